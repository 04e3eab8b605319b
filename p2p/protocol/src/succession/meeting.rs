//! What a node does that hears of another council than its own.

use crate::ledger::{GENERATION_MAX, Lineage};
use crate::wire::control::Standing;

/// Whether a node goes over to the council of `theirs`, whose leader says so. It does if its own council gave way to
/// that one, or cannot decide and is behind it.
#[must_use]
pub fn turns(own: &Lineage, own_has_leader: bool, theirs: &Standing) -> bool {
    let is_another = theirs.council != own.council && theirs.council.generation <= GENERATION_MAX;
    // One that gave way decides nothing any more, and the one it gave way to may have met another in turn.
    let decides = own_has_leader && own.yielded.is_none();
    let gave_way = own.yielded == Some(theirs.council);
    is_another && theirs.leads && (gave_way || (!decides && weight(theirs) > own.weight()))
}

/// Whether a council whose leader hears of `theirs` gives way. Of two councils that meet one does: the numbers of both
/// only grow, and one that gave way counts no more.
#[must_use]
pub fn gives_way(own: &Lineage, theirs: &Standing) -> bool {
    let is_another = theirs.council != own.council && theirs.council.generation <= GENERATION_MAX;
    is_another && theirs.leads && own.yielded.is_none() && weight(theirs) > own.weight()
}

fn weight(standing: &Standing) -> (u64, crate::ids::CouncilId) {
    (standing.samples, standing.council)
}
