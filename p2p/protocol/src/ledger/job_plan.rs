//! What a job asks of the swarm.

use serde::{Deserialize, Serialize};

use super::limits::{
    CHECKPOINT_KEEP_MAX, CHECKPOINT_REPLICAS_MAX, MICROBATCH_SIZE_MAX, MICROBATCHES_MAX, PARTS_MAX, STEPS_MAX,
};
use crate::ids::Chain;
use crate::transfer::STATE_BYTES_MAX;

/// The figures of a job that decide about its views; everything else stays in its specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlan {
    /// Micro-batches of a step.
    pub microbatches: u32,
    /// Samples in a micro-batch.
    pub microbatch_size: u32,
    /// Parts that the gradient is cut into.
    pub parts: u32,
    /// Steps to do.
    pub steps: u64,
    /// Whether its members may find that it ends earlier, as the results of its tests decide.
    pub may_end_early: bool,
    /// Steps from one checkpoint to the next; 0 for none.
    pub checkpoint_every: u64,
    /// Checkpoints to keep, the newest ones.
    pub checkpoint_keep: u32,
    /// Nodes that hold each checkpoint, if there are so many.
    pub checkpoint_replicas: u32,
    /// Nodes with the data and not draining that are needed to start, and to go on after a pause or another halt. A job
    /// that runs goes on with fewer.
    pub nodes_min: u32,
    /// Members of a view at most.
    pub nodes_max: u32,
    /// Chain of step 0.
    pub genesis: Chain,
    /// Length of the encoded state, bytes.
    pub state_bytes: u64,
}

impl JobPlan {
    /// Members that a view of this job may have: no more than `nodes_max`, and each has a micro-batch.
    #[must_use]
    pub fn members_max(&self) -> usize {
        self.nodes_max.min(self.microbatches) as usize
    }

    /// Samples of a step.
    #[must_use]
    pub fn samples_per_step(&self) -> u64 {
        u64::from(self.microbatches) * u64::from(self.microbatch_size)
    }

    /// The field that is out of its range, and the range in words.
    #[must_use]
    pub fn violation(&self) -> Option<&'static str> {
        let checks = [
            ((1..=MICROBATCHES_MAX).contains(&self.microbatches), "micro-batches must be 1 to 4096"),
            (
                (1..=MICROBATCH_SIZE_MAX).contains(&self.microbatch_size),
                "the size of a micro-batch must be 1 to 1048576",
            ),
            ((1..=PARTS_MAX).contains(&self.parts), "parts must be 1 to 4096"),
            ((1..=STEPS_MAX).contains(&self.steps), "steps must be 1 to 2^40"),
            (
                (1..=CHECKPOINT_KEEP_MAX).contains(&self.checkpoint_keep),
                "checkpoints to keep must be 1 to 64",
            ),
            (
                (1..=CHECKPOINT_REPLICAS_MAX).contains(&self.checkpoint_replicas),
                "replicas of checkpoints must be 1 to 64",
            ),
            (self.nodes_min >= 1, "the least number of nodes must be at least 1"),
            (self.nodes_max >= self.nodes_min, "the largest number of nodes is below the least"),
            (self.nodes_min <= self.microbatches, "more nodes are needed than there are micro-batches"),
            (self.state_bytes <= STATE_BYTES_MAX, "the state is larger than 32 GiB"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, sentence)| sentence)
    }
}
