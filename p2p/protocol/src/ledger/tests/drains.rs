//! Nodes that drain.

use super::super::testing::*;
use super::super::*;
use super::{ledger, refused, running};
use crate::ids::{Boot, SeatId};
use crate::view::View;

fn drain(number: u8, until: DrainUntil) -> LedgerCommand {
    let reason = "r".repeat(1000);
    LedgerCommand::DrainNode { node: node(number), by: node(1), reason, until }
}

fn restart(boot: u64) -> DrainUntil {
    DrainUntil::Restart { boot: Boot(boot) }
}

/// Whether node 2 takes work, and whether its process ends.
fn node_2(ledger: &Ledger) -> (bool, bool) {
    let record = &ledger.nodes[&node(2)];
    (record.takes_work(), record.is_leaving)
}

#[test]
fn a_drain_by_signal_ends_with_the_process_and_one_by_a_person_when_it_is_taken_back() {
    let mut ledger = ledger();
    let late = drain(2, restart(9));
    assert_eq!(refused(&mut ledger, late), Rejected::NodeNotRegistered { node: node(2) });
    assert_eq!(refused(&mut ledger, drain(9, restart(1))), Rejected::NodeNotRegistered { node: node(9) });
    ledger.apply_command(5, drain(2, restart(1))).unwrap();
    ledger.apply_command(6, drain(2, restart(1))).unwrap();
    assert_eq!((node_2(&ledger), ledger.takes_work(node(2))), ((false, true), false));
    let reason = &ledger.nodes[&node(2)].drain.as_ref().unwrap().reason;
    assert_eq!(reason.len(), limits::NODE_TEXT_BYTES_MAX);
    ledger.apply_command(7, register(2, 1)).unwrap();
    assert_eq!(node_2(&ledger), (false, true), "the same process");
    ledger.apply_command(8, register(2, 2)).unwrap();
    assert_eq!(node_2(&ledger), (true, false));
    // Both at once: the drain lasts, the process that ends does not.
    ledger.apply_command(9, drain(2, DrainUntil::Undrain)).unwrap();
    assert_eq!(node_2(&ledger), (false, false));
    ledger.apply_command(10, drain(2, restart(2))).unwrap();
    assert_eq!(node_2(&ledger), (false, true));
    ledger.apply_command(11, register(2, 3)).unwrap();
    assert_eq!(node_2(&ledger), (false, false));
    ledger.apply_command(12, LedgerCommand::UndrainNode { node: node(2), by: node(1) }).unwrap();
    assert_eq!(node_2(&ledger), (true, false));
    // The other way round too.
    ledger.apply_command(13, drain(2, restart(3))).unwrap();
    ledger.apply_command(14, drain(2, DrainUntil::Undrain)).unwrap();
    ledger.apply_command(15, register(2, 4)).unwrap();
    assert_eq!(node_2(&ledger), (false, false));
}

#[test]
fn a_forgotten_node_comes_back_as_a_new_one() {
    let mut ledger = running();
    ledger.apply_command(10, drain(2, DrainUntil::Undrain)).unwrap();
    let forget = || LedgerCommand::ForgetNode { node: node(2) };
    assert_eq!(refused(&mut ledger, forget()), Rejected::NodeInUse { node: node(2) });
    ledger.apply_command(11, commit(view(2, 1, vec![member(1, 1, 1)], 0))).unwrap();
    ledger.apply_command(12, forget()).unwrap();
    ledger.apply_command(13, register(2, 1)).unwrap();
    assert_eq!((node_2(&ledger), ledger.seat_of(node(2))), ((true, false), Some(SeatId(4))));
}

#[test]
fn nodes_that_drain_are_not_counted_for_a_start_nor_in_a_view() {
    let mut ledger = ledger();
    let two = JobPlan { nodes_min: 2, nodes_max: 2, ..plan() };
    ledger.apply_command(5, submit(2, two)).unwrap();
    ledger.apply_command(6, LedgerCommand::CancelJob { job: job_id(1), by: node(1) }).unwrap();
    let live = [node(1), node(2)].into();
    assert_eq!(ledger.startable_jobs(&live).count(), 1);
    ledger.apply_command(7, drain(2, DrainUntil::Undrain)).unwrap();
    assert_eq!(ledger.job_queue_reason(job_id(2), &live).unwrap(), "waits for 2 nodes, 1 is here");
    let three =
        || View { job: job_id(2), ..view(1, 1, vec![member(1, 1, 1), member(2, 1, 1), member(3, 1, 1)], 0) };
    ledger.apply_command(8, commit(three())).unwrap();
    ledger.apply_command(9, LedgerCommand::UndrainNode { node: node(2), by: node(1) }).unwrap();
    let next = View { epoch: crate::ids::Epoch(2), ..three() };
    assert!(matches!(refused(&mut ledger, commit(next)), Rejected::ViewMalformed { .. }));
}
