//! What became of councils between two sights of the ledger, in words.

use traind_protocol::ledger::Ledger;

use super::ledger_events::LedgerEvent;
use crate::control::api::EventKind;

/// Another council, and branches that were put on record.
pub(super) fn councils(before: &Ledger, after: &Ledger, events: &mut Vec<LedgerEvent>) {
    let (old, new) = (&before.lineage, &after.lineage);
    // The first sight of a ledger is no change.
    if old.council != new.council && !before.nodes.is_empty() {
        let message = format!("{} decides now, before it {}", new.council, old.council);
        events.push(LedgerEvent::of_node(EventKind::CouncilChanged, new.council.founder, message));
    }
    for branch in new.branches.iter().filter(|branch| !old.branches.contains(branch)) {
        let job = after.jobs.get(&branch.job).map_or_else(|| branch.job.to_hex(), |job| job.name.clone());
        let message = format!("{job}: its state of step {} is kept as {}", branch.state.step, branch.name());
        events.push(LedgerEvent {
            kind: EventKind::BranchKept,
            message,
            node: None,
            job: Some(branch.job),
            step: Some(branch.state.step),
        });
    }
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{CouncilId, NodeId, SeatId};
    use traind_protocol::ledger::LedgerCommand;
    use traind_protocol::wire::control::Registration;

    use super::*;

    #[test]
    fn another_council_is_told_once_and_the_first_sight_is_none() {
        let registration = Registration {
            boot: Default::default(),
            numeric_class: "test".to_owned(),
            device: "cpu".to_owned(),
            threads: 1,
            failure_label: String::new(),
            version: "0.1.0".to_owned(),
        };
        let mut before = Ledger::default();
        let node = NodeId([1; 32]);
        before.apply_command(1, LedgerCommand::RegisterNode { node, registration }).expect("room");
        let mut after = before.clone();
        let council = CouncilId { generation: 1, founder: node };
        after.begin_council(council, SeatId(1), (1, 1));
        let told = |before: &Ledger| {
            let mut events = Vec::new();
            councils(before, &after, &mut events);
            events
        };
        let events = told(&before);
        assert_eq!(
            (events.len(), events[0].kind, events[0].node),
            (1, EventKind::CouncilChanged, Some(node))
        );
        assert!(events[0].message.ends_with("before it the first council"), "{}", events[0].message);
        assert_eq!(told(&after), []);
        assert_eq!(told(&Ledger::default()), []);
    }
}
