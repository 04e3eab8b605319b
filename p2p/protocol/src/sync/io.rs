//! What drives the machine and what it asks of its driver.

use bytes::Bytes;

use super::message::{SnapshotHead, SyncMessage};
use super::state_offer::StateOffer;
use crate::ids::{Chain, Epoch, JobId, Life, NodeId, StateId};
use crate::index_set::IndexSet;
use crate::misdeed::Accusation;
use crate::view::{Origin, View};

/// What does not change while a process works on a job.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// The job.
    pub job: JobId,
    /// This process.
    pub me: Life,
    /// Micro-batches of a step.
    pub microbatches: u32,
    /// Parts of the gradient.
    pub parts: u32,
    /// Stop after so many applied steps.
    pub steps: u64,
    /// Chain of the state at step 0.
    pub genesis: Chain,
    /// Bytes of results that are kept while joiners fetch a state; beyond these the others wait for them.
    pub kept_bytes_max: u64,
    /// Whether sums may be sent as they are computed, which takes more bytes and makes a death cost less.
    pub sends_early: bool,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum SyncInput {
    /// The council committed this view. Late, repeated and skipped views are fine.
    EnterView(View),
    /// A peer sent this.
    Message {
        /// Who, as the connection proves.
        from: NodeId,
        /// What.
        message: SyncMessage,
    },
    /// A peer sent a frame of this job that is no message ([`SyncMessage::decode`]).
    Malformed {
        /// Who, as the connection proves.
        from: NodeId,
        /// BLAKE3 of the frame.
        evidence: [u8; 32],
    },
    /// A connection to this node works (again): whatever was under way before may be lost.
    PathOpened(NodeId),
    /// A micro-batch was computed on the state after `step` applies with that chain.
    Computed {
        /// Steps applied before.
        step: u64,
        /// Chain of the state it was computed on.
        base: Chain,
        /// Which one.
        microbatch: u32,
        /// One encoded contribution for each part.
        contributions: Vec<Bytes>,
    },
    /// A micro-batch could not be computed here. It is not tried again in this epoch.
    ComputeFailed {
        /// Steps applied before.
        step: u64,
        /// Chain of the state.
        base: Chain,
        /// Which one.
        microbatch: u32,
    },
    /// All chunks of [`SyncOutput::FetchState`] are here and what their names say.
    StateFetched {
        /// The state.
        id: StateId,
        /// Its bytes.
        state: Bytes,
        /// The results of the step before it.
        last: Vec<Bytes>,
    },
    /// The checkpoint of [`SyncOutput::LoadOrigin`] is loaded, and the machine's numbers with it
    /// ([`super::SyncMachine::numbers_mut`]).
    OriginLoaded {
        /// Steps applied.
        step: u64,
        /// Chain of that state.
        chain: Chain,
    },
}

/// Something to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncOutput {
    /// Send this.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: SyncMessage,
    },
    /// Capture the state exactly as it is after the outputs before this one, cut it and the results of this head in
    /// chunks, and keep these for whoever asks until [`Self::ReleaseState`] or a later one of these.
    KeepState {
        /// What goes with the state.
        snapshot: SnapshotHead,
    },
    /// Send the list of the state that is kept, or was fetched, as soon as it is cut ([`SyncMessage::offer`]).
    OfferState {
        /// To whom.
        to: NodeId,
        /// What goes with that state, and the view in which it was asked for.
        snapshot: SnapshotHead,
    },
    /// Get these chunks from these members, then say [`SyncInput::StateFetched`]. Said again for members to be added, and
    /// for those from which something under way may be lost; another offer takes the place of the one before. What has
    /// come is kept over views.
    FetchState {
        /// The certified state.
        offer: StateOffer,
        /// Who has it.
        from: Vec<NodeId>,
        /// The first word of this epoch: who offered the state in an earlier one may be gone, and is not asked any more
        /// unless it offers again.
        is_anew: bool,
    },
    /// What is kept of states that were offered or fetched is not needed any more, nor what is still to come.
    ReleaseState,
    /// Compute these on the state after `step` applies; each is answered by [`SyncInput::Computed`] or
    /// [`SyncInput::ComputeFailed`] unless cancelled.
    Compute {
        /// Steps applied.
        step: u64,
        /// Chain of the state.
        base: Chain,
        /// Which ones.
        microbatches: IndexSet,
    },
    /// Computations under way are no longer needed; none of them has to be answered.
    CancelCompute,
    /// Take the state from `step` to `step + 1`.
    Apply {
        /// Steps applied before.
        step: u64,
        /// Chain afterwards.
        chain: Chain,
        /// The result of each part.
        results: Vec<Bytes>,
    },
    /// Replace the state by this one.
    InstallState {
        /// Steps applied to it.
        step: u64,
        /// Its chain.
        chain: Chain,
        /// Its bytes.
        state: Bytes,
    },
    /// Load what founders of this incarnation start from, then say [`SyncInput::OriginLoaded`]. A later
    /// [`Self::InstallState`] takes its place: then the load is given up.
    LoadOrigin(Origin),
    /// This life holds the state: tell the council, for continuity.
    Synced {
        /// Epoch of its admission.
        tenure: Epoch,
        /// Current epoch.
        epoch: Epoch,
        /// Steps applied.
        step: u64,
        /// Chain of the state.
        chain: Chain,
    },
    /// A step was applied: tell the coordinator, which finds out what is stable.
    Applied {
        /// Current epoch.
        epoch: Epoch,
        /// Steps applied, this one included.
        step: u64,
        /// Chain of the state.
        chain: Chain,
    },
    /// This life is not in the newest view. Its state is a prefetch from now on.
    Evicted,
    /// A later epoch exists: fetch its view.
    NeedView {
        /// That epoch.
        epoch: Epoch,
    },
    /// All steps are applied. Those behind are still served.
    Finished {
        /// Steps applied.
        step: u64,
        /// Chain of the final state.
        chain: Chain,
    },
    /// The view halts, and all that any member had begun is applied: this life computes nothing more in it. Said once
    /// in each view that halts, by every member that has the state; all of them name the same state.
    Halted {
        /// Epoch of the view.
        epoch: Epoch,
        /// Steps applied.
        step: u64,
        /// Chain of the state.
        chain: Chain,
    },
    /// Something that cannot happen among honest members on sound machines.
    Alarm {
        /// What.
        kind: AlarmKind,
        /// With whom.
        with: NodeId,
        /// At which step.
        step: u64,
    },
    /// A member sent what no honest one does: tell the coordinator, which decides whom to believe. Nothing of the message
    /// is used. Said once of each member and kind of misdeed in a view.
    Accuse(Accusation),
    /// Verdict on a message: its sender breaks the protocol.
    Refused {
        /// The sender.
        from: NodeId,
        /// What is wrong.
        reason: &'static str,
    },
}

/// What contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// B1: another chain at the same step.
    ChainsDiffer,
    /// Two results of one part of one step, from two members: one of them is wrong.
    TwoResults,
    /// A result for this step that builds on another state.
    ResultOnOtherChain,
    /// A contribution or result of a step that nobody can be in yet.
    StepFromTheFuture,
    /// A member offers joiners another state of this step than most do.
    OffersDiffer,
    /// A committed view that contradicts itself or the job.
    MalformedView,
}
