//! Rules broken on purpose, to see that the checks see it. The machines of the product know nothing of it: what goes in
//! and comes out of them is altered here.

mod inputs;
mod outputs;
mod rig;

pub(crate) use rig::Rig;

/// A rule of the sync step that every machine breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlantedFault {
    /// Messages of later epochs are lost and the first state of a peer changes nothing (no rule R1).
    LaterEpochDropped,
    /// A state does not tell which results are held.
    HeldForgotten,
    /// The owner of the view before folds as well.
    OldOwnerFolds,
    /// Contributions are summed as they come, not keyed by micro-batch.
    SummedBySender,
    /// A result of an older epoch is taken.
    OldResultAccepted,
    /// Results of a step are dropped when it is applied.
    LastResultsDropped,
    /// A member admitted again continues as if it had never left.
    TenureIgnored,
    /// A restarted process takes itself for the one before.
    BootIgnored,
    /// Contributions of another state are folded.
    BaseIgnored,
    /// Members without micro-batches send nothing and are not waited for.
    EmptyLeasesNotAwaited,
    /// A part is folded as soon as it is covered.
    FlushSkipped,
    /// What was known of peers survives a new view.
    PeersKept,
    /// A joiner takes the state it has for that of the others.
    JoinerStateTrusted,
    /// A member says that it waits for a joiner that has not asked it to.
    AwaitsUnheard,
    /// Members keep no results for joiners but those of the step before.
    KeptResultsDropped,
    /// A joiner takes the first state that it is offered.
    OneOfferBelieved,
    /// A contribution counts as a state: no rule R2.
    ContributionCountsAsState,
    /// What others are computing is computed by the new holder of the lease as well.
    ComputingIgnored,
    /// A state does not tell what is being computed.
    ComputingUntold,
    /// Owners ask the holder of the lease for what another says it is computing.
    SupplierIgnoresComputing,
    /// A member that begins a step computes all of its lease, whatever others have begun of it.
    LeaseTakenAtApply,
    /// A member sends its sums once all of its lease is computed, what others have begun of it too.
    WholeLeaseAwaited,
    /// The step at which a halt ends is reckoned anew in every state.
    HaltStepMoves,
    /// A halt ends at the furthest state, whatever is begun beyond it.
    BegunForgotten,
    /// A member that has halted computes.
    HaltedComputes,
    /// Messages of a lineage that was given up are taken for those of the one that took its place.
    RevocationForgotten,
    /// Work that was done on one state is handed in for the next.
    WorkOfStepBefore,
}

impl PlantedFault {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::LaterEpochDropped,
        Self::HeldForgotten,
        Self::OldOwnerFolds,
        Self::SummedBySender,
        Self::OldResultAccepted,
        Self::LastResultsDropped,
        Self::TenureIgnored,
        Self::BootIgnored,
        Self::BaseIgnored,
        Self::EmptyLeasesNotAwaited,
        Self::FlushSkipped,
        Self::PeersKept,
        Self::JoinerStateTrusted,
        Self::AwaitsUnheard,
        Self::KeptResultsDropped,
        Self::OneOfferBelieved,
        Self::ContributionCountsAsState,
        Self::ComputingIgnored,
        Self::ComputingUntold,
        Self::SupplierIgnoresComputing,
        Self::LeaseTakenAtApply,
        Self::WholeLeaseAwaited,
        Self::HaltStepMoves,
        Self::BegunForgotten,
        Self::HaltedComputes,
        Self::RevocationForgotten,
        Self::WorkOfStepBefore,
    ];
}
