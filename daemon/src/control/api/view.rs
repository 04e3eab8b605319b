//! Views of a job, who is in them, and who did what.

use serde::{Deserialize, Serialize};

use super::boot_hex;
use super::node::NodeRef;

/// A member of the newest view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// The node.
    pub node: NodeRef,
    /// The nonce of its process.
    #[serde(with = "boot_hex")]
    pub boot: u64,
    /// Epoch of its admission.
    pub tenure: u64,
    /// Whether it has the state; a joiner has not at first.
    pub synced: bool,
    /// Micro-batches per step leased to it.
    pub microbatches_leased: u32,
    /// Parts of the gradient that it reduces.
    pub parts_owned: u32,
}

/// What one process did for the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkRow {
    /// The node.
    pub node: NodeRef,
    /// The nonce of the process.
    #[serde(with = "boot_hex")]
    pub boot: u64,
    /// Whether that process lives; counters of gone ones are its last word.
    pub live: bool,
    /// Micro-batches whose gradient it computed.
    pub microbatches_computed: u64,
    /// Of these, the ones taken over from another member within a step.
    pub microbatches_taken_over: u64,
    /// Contributions and results sent, bytes.
    pub exchange_bytes_sent: u64,
    /// Steps that it applied.
    pub steps_applied: u64,
}

/// One view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRow {
    /// Lineage.
    pub incarnation: u32,
    /// Epoch.
    pub epoch: u64,
    /// Stable steps when it was committed, as far as known.
    pub step: u64,
    /// Why it was committed, in words.
    pub reason: String,
    /// Its members.
    pub members: Vec<NodeRef>,
    /// Who is new in it.
    pub joined: Vec<NodeRef>,
    /// Who is no longer in it, and what became of its work.
    pub left: Vec<Departure>,
    /// The distinct numeric classes of its members.
    pub numeric_classes: Vec<String>,
}

/// A member that a view has lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// The node.
    pub node: NodeRef,
    /// Why, as `connection closed`.
    pub reason: String,
    /// What became of its work, as `4 of 12 micro-batches of every step go to amber-seal-07 and calm-lark-31`.
    pub work: String,
}

/// Stable steps that one view committed, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRange {
    /// Lineage.
    pub incarnation: u32,
    /// Epoch.
    pub epoch: u64,
    /// First step, from 1.
    pub first_step: u64,
    /// Last step.
    pub last_step: u64,
}

/// A warning for each run of views that mixed numeric classes: equal digests across runs hold within one class only.
#[must_use]
pub fn mixed_class_warnings(views: &[ViewRow]) -> Vec<String> {
    let mut warnings: Vec<(u64, u64, &[String])> = Vec::new();
    for view in views.iter().filter(|view| view.numeric_classes.len() > 1) {
        match warnings.last_mut() {
            Some((_, last, classes)) if *last + 1 == view.epoch && *classes == view.numeric_classes => {
                *last = view.epoch;
            }
            _ => warnings.push((view.epoch, view.epoch, &view.numeric_classes)),
        }
    }
    warnings
        .into_iter()
        .map(|(first, last, classes)| {
            let epochs = if first == last {
                format!("view {first} mixes")
            } else {
                format!("views {first} to {last} mix")
            };
            format!(
                "{epochs} {} numeric classes ({}): the digest may differ from that of another run",
                classes.len(),
                classes.join("; ")
            )
        })
        .collect()
}
