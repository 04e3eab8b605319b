//! Whether a node that drains may go: a pure function, for the daemon that wants to end and for people.

use std::collections::BTreeSet;

use crate::ids::{NodeId, SeatId};
use crate::ledger::Ledger;

/// What one needs to know beside the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainFacts {
    /// Nodes that are connected with their registered process, the one that drains included or not.
    pub live: BTreeSet<NodeId>,
    /// The coordinator, if one is known.
    pub leader: Option<NodeId>,
    /// Seats that vote in the council.
    pub voters: BTreeSet<SeatId>,
}

/// How far a drain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainState {
    /// Nobody misses the node when it is gone.
    Done,
    /// Something would be lost or held up.
    Waiting {
        /// What comes next, in words.
        for_what: String,
    },
}

/// How far the drain of `node` is. Done means: no running job needs it, no checkpoint goes with it if it drains for longer than
/// a restart, it has no vote in the council and does not lead it. Votes and lead stay where they are if every other live node drains too, for nobody could take them.
#[must_use]
pub fn drain_state(ledger: &Ledger, node: NodeId, facts: &DrainFacts) -> DrainState {
    let waiting = |for_what: String| DrainState::Waiting { for_what };
    // Forgotten: it takes part in nothing.
    let Some(record) = ledger.nodes.get(&node) else { return DrainState::Done };
    if record.takes_work() {
        return waiting("the coordinator to take note of the drain".to_owned());
    }
    let running = ledger.running_job().and_then(|job| Some((job, job.view.as_ref()?)));
    if let Some((job, view)) = running
        && view.member_on(node).is_some()
    {
        let name = &job.name;
        return waiting(match (view.halt, view.lease(node).is_empty()) {
            (true, _) => format!("job {name} to halt and to be written down"),
            (false, false) => format!("others to take over its work on job {name}"),
            (false, true) => format!("job {name} to pass the last step that it worked on"),
        });
    }
    let mut others = facts.live.iter().filter(|other| **other != node && ledger.takes_work(**other));
    if others.next().is_none() {
        return DrainState::Done;
    }
    if ledger.leaves_for_good(node)
        && let Some((job, step)) = ledger.would_lose(node)
    {
        return waiting(format!("another node to get the checkpoint of step {step} of {}", job.name));
    }
    match facts.leader {
        None => return waiting("a coordinator to be elected".to_owned()),
        Some(leader) if leader == node => {
            return waiting("another node to become coordinator".to_owned());
        }
        Some(_) => {}
    }
    if facts.voters.contains(&record.seat) {
        return waiting("another node to take over its vote in the council".to_owned());
    }
    DrainState::Done
}
