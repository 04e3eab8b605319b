//! Lines that come one after the other on a connection until a last one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::checkpoint::CheckpointVerified;
use super::event::FollowEvent;
use super::log::LogLine;
use super::metric::MetricPoint;
use super::node::NodeDetail;
use super::store::{StoreProgress, StoreVerified};
use super::swarm_event::EventLine;

/// A line of a stream.
pub trait StreamLine: Serialize + DeserializeOwned + Send + 'static {
    /// Whether nothing follows.
    fn is_last(&self) -> bool;
}

/// What answers [`JobLogs`](super::Request::JobLogs), [`JobMetrics`](super::Request::JobMetrics),
/// [`Events`](super::Request::Events), [`NodeDrainFollow`](super::Request::NodeDrainFollow) and
/// [`StoreVerify`](super::Request::StoreVerify) and [`CheckpointVerify`](super::Request::CheckpointVerify).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum StreamItem {
    /// A line of the log.
    LogLine(LogLine),
    /// The numbers of a step.
    MetricPoint(MetricPoint),
    /// Something that happened.
    EventLine(EventLine),
    /// How far a drain is.
    NodeDetail(Box<NodeDetail>),
    /// How far a look at every byte is.
    StoreProgress(StoreProgress),
    /// What it found.
    StoreVerified(StoreVerified),
    /// What it found of a checkpoint.
    CheckpointVerified(CheckpointVerified),
    /// Lines were left out, since the reader was too slow.
    Skipped {
        /// How many.
        lines: u64,
    },
    /// Nothing follows.
    StreamEnd,
}

impl StreamLine for StreamItem {
    fn is_last(&self) -> bool {
        matches!(self, Self::StreamEnd)
    }
}

impl StreamLine for FollowEvent {
    fn is_last(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}
