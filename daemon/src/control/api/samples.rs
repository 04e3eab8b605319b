//! Which samples went into a step.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// Which samples went into one stable step, and where they were computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSamples {
    /// Id of the job, in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The step, counted from 1.
    pub step: u64,
    /// Samples of an epoch of the data.
    pub epoch_samples: u64,
    /// The view that committed it; `None` where the ledger no longer tells views of that time apart.
    pub view: Option<StepView>,
    /// The micro-batches, in order. Each went into the step exactly once.
    pub micro_batches: Vec<MicroBatchSamples>,
}

/// The view that committed a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Lineage.
    pub incarnation: u32,
    /// Epoch.
    pub epoch: u64,
    /// Its members.
    pub members: Vec<NodeRef>,
    /// Steps that were stable when it was committed. Micro-batches of the step in progress then were kept if they had
    /// been computed, so the first steps after it may hold some of the view before.
    pub since_step: u64,
}

/// The samples of one micro-batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicroBatchSamples {
    /// Its index within the step.
    pub micro_batch: u32,
    /// Who had its lease in the view that committed the step; `None` where that is no longer known.
    pub node: Option<NodeRef>,
    /// Ids of its samples, in order.
    pub samples: Vec<u32>,
}
