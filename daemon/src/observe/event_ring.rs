//! The latest events of the swarm, as this daemon saw them.

use std::time::SystemTime;

use super::ring::{Ring, RingRecord};

/// Events kept: days of a quiet swarm, hours of a restless one.
pub const EVENTS_KEPT_MAX: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// When this daemon saw it.
    pub at: SystemTime,
    /// What kind of thing, as `node_joined`.
    pub kind: String,
    /// In words.
    pub message: String,
    /// Id of the node that it is about, in hexadecimal.
    pub node: Option<String>,
    /// Id of the job that it is about, in hexadecimal.
    pub job: Option<String>,
    /// Stable steps of that job then.
    pub step: Option<u64>,
}

/// The latest events.
pub type EventRing = Ring<EventRecord>;

impl RingRecord for EventRecord {
    const KEPT_MAX: usize = EVENTS_KEPT_MAX;
}
