//! What members of a view tell each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::arrival::Arrival;
use super::state_offer::StateOffer;
use crate::ids::{Boot, Chain, Epoch, Incarnation, JobId};
use crate::index_set::IndexSet;

/// Where a member stands. Within an epoch it only grows, by (synced, step), then by what is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether it has the state. If not, the rest says nothing but for `arrival`.
    pub synced: bool,
    /// While announced, it has been given the state and followed the others to the step they are in: whoever hears this goes no
    /// further before it is synced, says so ([`SyncBody::State`]), and what it lacks by then it gets.
    pub arrival: Arrival,
    /// Steps applied.
    pub step: u64,
    /// Chain of its state.
    pub chain: Chain,
    /// Parts of the step in progress whose result it holds.
    pub held: IndexSet,
    /// How it entered the view; `None` of one that had nothing then and got the state of other members. The same in every
    /// state of an epoch.
    pub entry: Option<Entry>,
}

/// How a member entered a view, or what it had once its origin was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The steps that it had applied.
    pub step: u64,
    /// One more if it had begun anything of the next. In a view that halts all come to the latest of these steps and stop.
    pub halt_step: u64,
    /// The step of the state that it keeps for joiners, with all results since.
    pub kept_step: Option<u64>,
    /// It had nothing on entering, and loaded its origin in this view.
    pub is_loaded: bool,
    /// Micro-batches of the next step that it had computed.
    pub computed: IndexSet,
    /// Those that it was computing: they are its to deliver, whoever has their lease now.
    pub computing: IndexSet,
    /// Those whose sums it had, its own or others', for every part that it reduces in this view and had no result of. What all
    /// owners had so need not be computed, even if whoever did is gone.
    pub summed: IndexSet,
    /// Those that it knew to have failed, itself or, by their word, others.
    pub failed: IndexSet,
}

/// One message of the sync step, fenced by incarnation and epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncMessage {
    /// The job.
    pub job: JobId,
    /// The lineage of the sender's view.
    pub incarnation: Incarnation,
    /// The sender's epoch.
    pub epoch: Epoch,
    /// The sender's process.
    pub boot: Boot,
    /// What it says.
    pub body: SyncBody,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncBody {
    /// Where the sender stands: to all members on entering a view, to one on a new connection.
    State {
        /// Where.
        standing: Standing,
        /// What was under way between the two may be lost, as the sender has just entered the view or noticed a new
        /// connection. The receiver answers with its own.
        fresh: bool,
        /// The arrival of the receiver that the sender has heard of: while it is announced, the sender goes no further without it,
        /// nor will once it is synced.
        awaits: Arrival,
    },
    /// The sum of contributions of a set of micro-batches to a part, to its owner, or what the owner itself has computed to who
    /// takes its place if it dies. An empty set says only that the sender is in this step.
    Contribution {
        /// The step.
        step: u64,
        /// Chain of the state it was computed on.
        base: Chain,
        /// The part.
        part: u32,
        /// Which micro-batches.
        microbatches: IndexSet,
        /// Their sum, encoded; empty for the empty set.
        sum: Bytes,
        /// The sender has more to compute in this step, and sends it of itself.
        more: bool,
    },
    /// The result of a part.
    Result {
        /// The step.
        step: u64,
        /// Chain of the state it applies to.
        base: Chain,
        /// The part.
        part: u32,
        /// The result, encoded.
        result: Bytes,
    },
    /// Asks for the sum over exactly these micro-batches, or for the result if it exists.
    NeedContribution {
        /// The step.
        step: u64,
        /// The part.
        part: u32,
        /// Which micro-batches.
        microbatches: IndexSet,
    },
    /// Asks for a result.
    NeedResult {
        /// The step.
        step: u64,
        /// The part.
        part: u32,
    },
    /// A joiner asks what the state is.
    NeedSnapshot,
    /// The sender has this state, and gives its chunks to whoever asks.
    Offer {
        /// The state.
        offer: StateOffer,
    },
}

/// What goes with a state: enough to serve members that are a step behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The lineage in which it was asked for.
    pub incarnation: Incarnation,
    /// The epoch in which it was asked for.
    pub epoch: Epoch,
    /// Steps applied.
    pub step: u64,
    /// Chain of the state.
    pub chain: Chain,
    /// Chain of the state a step before.
    pub previous_chain: Chain,
    /// Results of the step before, one for each part; empty if the state is the first of its incarnation.
    pub last: Vec<Bytes>,
}

impl SyncMessage {
    /// The message that offers the state that was asked for in this epoch ([`super::SyncOutput::OfferState`]).
    #[must_use]
    pub fn offer(
        job: JobId,
        boot: Boot,
        (incarnation, epoch): (Incarnation, Epoch),
        offer: StateOffer,
    ) -> Self {
        Self { job, incarnation, epoch, boot, body: SyncBody::Offer { offer } }
    }

    /// Bytes that are not header: what holding this message costs.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match &self.body {
            SyncBody::Contribution { sum, .. } => sum.len(),
            SyncBody::Result { result, .. } => result.len(),
            SyncBody::Offer { offer } => offer.list_bytes(),
            SyncBody::State { .. }
            | SyncBody::NeedContribution { .. }
            | SyncBody::NeedResult { .. }
            | SyncBody::NeedSnapshot => 0,
        }
    }
}
