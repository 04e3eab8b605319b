//! Who takes part in a job: the view, committed by the council, one per epoch.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{Boot, Chain, Digest, Epoch, Incarnation, JobId, Life, NodeId};
use crate::index_set::IndexSet;

/// A member of a view: a life and the epoch in which it was last admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Its process.
    pub boot: Boot,
    /// The epoch of its admission. A member re-admitted after an eviction has a new one and starts unsynced.
    pub tenure: Epoch,
}

impl Member {
    /// The life that is the member.
    #[must_use]
    pub fn life(&self) -> Life {
        Life { node: self.node, boot: self.boot }
    }
}

/// The state that the founding members of an incarnation start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Step 0, from the job's seed alone.
    Seed,
    /// A stable checkpoint that every founding member holds.
    Checkpoint {
        /// Steps applied.
        step: u64,
        /// Chain of that state.
        chain: Chain,
        /// Digest of that state.
        digest: Digest,
    },
}

/// (job, incarnation, epoch, members, leases, owners): committed by the council, the same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The job.
    pub job: JobId,
    /// The lineage.
    pub incarnation: Incarnation,
    /// The number of this view.
    pub epoch: Epoch,
    /// The first epoch of this incarnation. Members of that tenure are founders and start from `origin`;
    /// every other tenure starts unsynced and asks a synced member for its state.
    pub founding_epoch: Epoch,
    /// What founders start from.
    pub origin: Origin,
    /// Who takes part, sorted by node.
    pub members: Vec<Member>,
    /// For each micro-batch of a step the position in `members` of the one that computes it.
    pub leases: Vec<u16>,
    /// For each part of the gradient the position in `members` of the one that reduces it.
    pub owners: Vec<u16>,
    /// Members bring what any of them has begun to its end, say where they are, and compute nothing more.
    pub halt: bool,
}

impl View {
    /// The member that is `life`, if it takes part.
    #[must_use]
    pub fn member(&self, life: Life) -> Option<&Member> {
        self.members.iter().find(|member| member.life() == life)
    }

    /// The member on `node`, whatever its process.
    #[must_use]
    pub fn member_on(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == node)
    }

    /// The owner of `part`; `None` where the view is malformed or the part does not exist.
    #[must_use]
    pub fn owner(&self, part: u32) -> Option<NodeId> {
        self.node_at(*self.owners.get(part as usize)?)
    }

    /// The holder of the lease of `microbatch`.
    #[must_use]
    pub fn lease_holder(&self, microbatch: u32) -> Option<NodeId> {
        self.node_at(*self.leases.get(microbatch as usize)?)
    }

    /// The node of the member at `position`.
    #[must_use]
    pub fn node_at(&self, position: u16) -> Option<NodeId> {
        self.members.get(usize::from(position)).map(|member| member.node)
    }

    /// Positions in `members` of those that have a lease or a part.
    #[must_use]
    pub fn workers(&self) -> BTreeSet<u16> {
        self.leases.iter().chain(&self.owners).copied().collect()
    }

    /// The micro-batches that `node` has to compute in each step.
    #[must_use]
    pub fn lease(&self, node: NodeId) -> IndexSet {
        (0u32..)
            .zip(&self.leases)
            .filter(|(index, _)| self.lease_holder(*index) == Some(node))
            .map(|(i, _)| i)
            .collect()
    }

    /// The leases as runs of (position in `members`, number of micro-batches), in their order.
    #[must_use]
    pub fn lease_runs(&self) -> Vec<(u16, u32)> {
        let mut runs: Vec<(u16, u32)> = Vec::new();
        for &position in &self.leases {
            match runs.last_mut() {
                Some((last, count)) if *last == position => *count += 1,
                _ => runs.push((position, 1)),
            }
        }
        runs
    }

    /// Whether leases and owners name members, members are sorted and unique, and no tenure lies in the future.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let count = self.members.len();
        count > 0
            && self.members.windows(2).all(|pair| pair[0].node < pair[1].node)
            && self
                .members
                .iter()
                .all(|member| member.tenure <= self.epoch && member.tenure >= self.founding_epoch)
            && self.founding_epoch <= self.epoch
            && self.leases.iter().chain(&self.owners).all(|&position| usize::from(position) < count)
            && !self.leases.is_empty()
            && !self.owners.is_empty()
    }
}
