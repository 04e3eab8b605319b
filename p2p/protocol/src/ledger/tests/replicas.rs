use std::collections::BTreeSet;

use super::{refused, running};
use crate::ledger::testing::{checkpoint, commit_steps, job_id, manifest, node};
use crate::ledger::{CheckpointEntry, Ledger, LedgerCommand, Rejected};

fn nodes(numbers: &[u8]) -> BTreeSet<crate::ids::NodeId> {
    numbers.iter().map(|number| node(*number)).collect()
}

fn assign(step: u64, numbers: &[u8]) -> LedgerCommand {
    LedgerCommand::AssignCheckpoint { job: job_id(1), step, nodes: nodes(numbers) }
}

fn record(entry: CheckpointEntry) -> LedgerCommand {
    LedgerCommand::RecordCheckpoint { job: job_id(1), entry }
}

fn entry(ledger: &Ledger) -> &CheckpointEntry {
    &ledger.jobs[&job_id(1)].checkpoints[0]
}

#[test]
fn who_was_chosen_to_fetch_a_checkpoint_becomes_a_holder_of_the_same_state_alone() {
    let mut ledger = running();
    ledger.apply_command(20, commit_steps(0, 10, 1)).unwrap();
    let written = CheckpointEntry { assigned: nodes(&[3]), ..checkpoint(10, &[1]) };
    ledger.apply_command(21, record(written)).unwrap();
    assert!(entry(&ledger).assigned.is_empty(), "nobody chooses by the way");
    for wrong in [assign(20, &[2]), assign(10, &[1]), assign(10, &[99]), assign(10, &[2, 3, 1])] {
        refused(&mut ledger, wrong);
    }
    ledger.apply_command(22, assign(10, &[2])).unwrap();
    ledger.apply_command(23, assign(10, &[2, 3])).unwrap();
    let other = CheckpointEntry { manifest: manifest(11), ..checkpoint(10, &[2]) };
    assert!(matches!(refused(&mut ledger, record(other)), Rejected::CheckpointRefused { .. }));
    ledger.apply_command(24, record(checkpoint(10, &[2]))).unwrap();
    assert_eq!((&entry(&ledger).holders, &entry(&ledger).assigned), (&nodes(&[1, 2]), &nodes(&[3])));
    assert_eq!(ledger.would_lose(node(1)), None);
    let drop = LedgerCommand::DropCheckpoint { job: job_id(1), step: 10, holder: Some(node(2)) };
    ledger.apply_command(25, drop).unwrap();
    assert_eq!(ledger.would_lose(node(1)).map(|(_, step)| step), Some(10));
    ledger.apply_command(26, LedgerCommand::ForgetNode { node: node(3) }).unwrap();
    assert_eq!(entry(&ledger), &checkpoint(10, &[1]), "who is forgotten fetches nothing");
}
