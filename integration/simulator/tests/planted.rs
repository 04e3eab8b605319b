//! The harness sees what it is there to see: each rule of the sync step, broken on purpose, is found within a number of
//! seeds.

use traind_simulator::{Plan, PlantedFault, Sabotage, run, run_schedule, shrink};

/// Runs seeds until one finds `sabotage`; what it was found as must be among `ids`.
fn is_found(sabotage: Sabotage, seeds: u64, ids: &[&str]) {
    is_found_among(sabotage, 0..seeds, ids);
}

fn is_found_among(sabotage: Sabotage, seeds: impl IntoIterator<Item = u64>, ids: &[&str]) {
    let mut count = 0;
    for seed in seeds {
        count += 1;
        let world = run(seed, Some(sabotage), false);
        if let Some(violation) = world.violation() {
            println!("{sabotage:?} found by seed {seed}: {} {:.80}", violation.id, violation.what);
            assert!(ids.contains(&violation.id), "found as {}: {}", violation.id, violation.what);
            return;
        }
    }
    panic!("{sabotage:?} is not found by {count} seeds");
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
    missing_boot_is_found: BootIgnored within 600 as "B1" | "S1" | "P1" | "H1";
    missing_base_is_found: BaseIgnored within 6000 as "D1" | "P1";
    idle_members_not_awaited_are_found: EmptyLeasesNotAwaited within 50 as "B1" | "S1" | "P1";
    fold_without_flush_is_found: FlushSkipped within 50 as "B1" | "S1" | "P1";
    kept_knowledge_of_peers_is_found: PeersKept within 500 as "B1" | "S1" | "P1" | "H1" | "W1";
    trusted_state_of_a_joiner_is_found: JoinerStateTrusted within 50 as "B1" | "S1" | "P1";
    waiting_for_whoever_did_not_ask_is_found: AwaitsUnheard within 500 as "B1" | "S1" | "P1" | "V2";
    results_not_kept_for_joiners_are_found: KeptResultsDropped within 200 as "P1";
    a_single_offer_that_is_believed_is_found: OneOfferBelieved within 2000 as "V2" | "B1" | "B2" | "S1" | "D1" | "P1";
    lease_taken_from_who_computes_is_found: ComputingIgnored within 200 as "W1";
    untold_computing_is_found: ComputingUntold within 200 as "W1";
    supplier_by_lease_alone_is_found: SupplierIgnoresComputing within 200 as "W1";
    lease_taken_at_apply_is_found: LeaseTakenAtApply within 500 as "W1" | "P1";
    awaiting_the_work_of_others_is_found: WholeLeaseAwaited within 500 as "P1";
    moving_halt_is_found: HaltStepMoves within 50 as "H1" | "P1";
    halt_that_forgets_the_begun_is_found: BegunForgotten within 50 as "H1" | "P1";
    halted_member_that_computes_is_found: HaltedComputes within 50 as "H1";
    forgotten_revocation_is_found: RevocationForgotten within 200 as "B1" | "V2";
    work_of_the_step_before_is_found: WorkOfStepBefore within 50 as "D1";
}

#[test]
fn members_taken_out_too_early_are_found() {
    is_found(Sabotage::DrainedTooEarly, 300, &["W1"]);
}

#[test]
fn members_taken_out_on_their_own_word_are_found() {
    // Rare: a result that nobody else has must be lost with the member that folded it.
    let orderly = (0..16_000).filter(|seed| Plan::of(*seed).orderly);
    is_found_among(Sabotage::DrainedByItsWord, orderly, &["W1"]);
}

#[test]
fn views_without_continuity_are_found() {
    is_found(Sabotage::NoContinuity, 50, &["S1"]);
}

/// A found fault becomes a story of a few faults, and the command that tells it does break the rule.
#[test]
fn what_is_found_shrinks_to_a_few_faults() {
    for (planted, seed, faults_max) in
        [(PlantedFault::OldResultAccepted, 2, 3), (PlantedFault::JoinerStateTrusted, 4, 3)]
    {
        let sabotage = Some(Sabotage::Machine(planted));
        let whole = run(seed, sabotage, false);
        let all = whole.struck().2.len();
        let shrunk = shrink(seed, sabotage).expect("the seed breaks a rule");
        println!("{planted:?}: {all} faults to {}: {}", shrunk.faults, shrunk.schedule.options());
        assert!(shrunk.faults <= faults_max, "{} faults are left of {all}", shrunk.faults);
        let again = run_schedule(&shrunk.schedule, sabotage, false);
        assert_eq!(again.violation(), Some(&shrunk.violation));
        assert_eq!(Some(shrunk.violation.id), whole.violation().map(|violation| violation.id));
        let without = run_schedule(&shrunk.schedule, None, false);
        assert!(without.violation().is_none(), "the product breaks it too");
    }
    assert!(shrink(3, None).is_none(), "there is nothing to shrink where nothing is broken");
}
