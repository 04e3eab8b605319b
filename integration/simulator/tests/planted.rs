//! The harness sees what it is there to see: each rule of the sync step, broken on purpose, is found within a number of
//! seeds.

use traind_protocol::sync::PlantedFault;
use traind_simulator::{Sabotage, run};

/// Runs seeds until one finds `sabotage`; what it was found as must be among `ids`.
fn is_found(sabotage: Sabotage, seeds: u64, ids: &[&str]) {
    for seed in 0..seeds {
        let world = run(seed, Some(sabotage), false);
        if let Some(violation) = world.violation() {
            println!("{sabotage:?} found by seed {seed}: {} {:.80}", violation.id, violation.what);
            assert!(ids.contains(&violation.id), "found as {}: {}", violation.id, violation.what);
            return;
        }
    }
    panic!("{sabotage:?} is not found by {seeds} seeds");
}

macro_rules! planted {
    ($($test:ident: $fault:ident within $seeds:literal as $($id:literal)|+;)*) => {
        $(
            #[test]
            fn $test() {
                is_found(Sabotage::Machine(PlantedFault::$fault), $seeds, &[$($id),+]);
            }
        )*
    };
}

planted! {
    later_messages_dropped_is_found: LaterEpochDropped within 50 as "P1";
    held_results_forgotten_is_found: HeldForgotten within 500 as "B1" | "S1" | "P1";
    old_owner_folding_is_found: OldOwnerFolds within 50 as "B1" | "S1" | "P1";
    sums_by_sender_are_found: SummedBySender within 300 as "D1";
    old_results_are_found: OldResultAccepted within 100 as "V2";
    early_collection_is_found: LastResultsDropped within 100 as "P1";
    missing_tenure_is_found: TenureIgnored within 300 as "B1" | "S1" | "P1";
    missing_boot_is_found: BootIgnored within 600 as "B1" | "S1" | "P1";
    missing_base_is_found: BaseIgnored within 6000 as "D1";
    idle_members_not_awaited_are_found: EmptyLeasesNotAwaited within 50 as "B1" | "S1" | "P1";
    fold_without_flush_is_found: FlushSkipped within 50 as "B1" | "S1" | "P1";
    kept_knowledge_of_peers_is_found: PeersKept within 500 as "B1" | "S1" | "P1";
    trusted_state_of_a_joiner_is_found: JoinerStateTrusted within 50 as "B1" | "S1" | "P1";
    snapshot_without_results_is_found: SnapshotWithoutResults within 4000 as "P1";
}

#[test]
fn views_without_continuity_are_found() {
    is_found(Sabotage::NoContinuity, 50, &["S1"]);
}
