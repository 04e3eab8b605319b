//! How far a node's ordered leave is.

use traind_actors::council::Published;
use traind_protocol::coordinator::{DrainFacts, DrainState, drain_state};
use traind_protocol::ids::NodeId;

/// Whether the node is to take no more work.
pub(super) fn is_asked(published: &Published, node: NodeId) -> bool {
    published.ledger.nodes.get(&node).is_some_and(|record| record.drain.is_some() || record.is_leaving)
}

/// What still needs the node, in words; nothing once it is drained.
pub(super) fn waits_for(published: &Published, node: NodeId) -> Vec<String> {
    let facts = DrainFacts {
        live: published.live.clone(),
        leader: published.coordinator,
        voters: published.voters.clone(),
    };
    match drain_state(&published.ledger, node, &facts) {
        DrainState::Done => Vec::new(),
        DrainState::Waiting { for_what } => vec![for_what],
    }
}
