//! Any commands in any order: whatever is proposed, the ledger stays one that a coordinator can go on from.

use super::super::testing::*;
use super::super::*;
use crate::ids::{Boot, Epoch, Incarnation};
use crate::view::{Member, Origin};
use crate::wire::control::EvaluationTotals;

const SEEDS: u64 = 300;
const COMMANDS: u32 = 350;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn number(&mut self) -> u8 {
        1 + self.below(3) as u8
    }
}

/// A view that may follow, or nearly so.
fn any_view(random: &mut Random, ledger: &Ledger, job: u8) -> LedgerCommand {
    let record = ledger.jobs.get(&job_id(job));
    let (epoch, incarnation) = record.map_or((Epoch(0), Incarnation(0)), JobRecord::newest_epoch);
    let previous = record.and_then(|record| record.view.as_ref());
    let founding = previous.is_none() || random.below(6) == 0;
    let epoch = if random.below(12) == 0 { epoch } else { epoch.next() };
    let mut members: Vec<Member> = Vec::new();
    for record in ledger.nodes.values().filter(|_| random.below(4) > 0) {
        let known = previous.and_then(|previous| previous.member(record.life())).filter(|_| !founding);
        let fresh = Member { node: record.node, boot: record.boot, tenure: epoch };
        members.push(known.copied().unwrap_or(fresh));
    }
    let newest = record.and_then(|record| record.origins().next());
    let from_newest = newest.filter(|_| founding).map(|entry| Origin::Checkpoint {
        step: entry.step,
        chain: entry.chain,
        digest: entry.digest,
    });
    let count = members.len().max(1) as u64;
    let mut view = view(epoch.0, epoch.0, members, random.below(count) as u16);
    view.job = job_id(job);
    view.halt = !founding && random.below(3) == 0;
    view.incarnation = Incarnation(incarnation.0 + u32::from(founding));
    view.origin = from_newest.unwrap_or(Origin::Seed);
    if let Some(previous) = previous.filter(|_| !founding) {
        (view.founding_epoch, view.origin) = (previous.founding_epoch, previous.origin);
    }
    commit(view)
}

fn any_command(random: &mut Random, ledger: &Ledger) -> LedgerCommand {
    let (number, job, by) = (random.number(), random.number(), node(random.number()));
    let record = ledger.jobs.get(&job_id(job));
    let committed = record.map_or(0, |record| record.committed_to().0);
    let (epoch, _) = record.map_or((Epoch(0), Incarnation(0)), JobRecord::newest_epoch);
    let id = job_id(job);
    let boot = ledger.nodes.get(&node(number)).map_or(1, |record| record.boot.0);
    match random.below(24) {
        0 => register(number, boot + random.below(2)),
        1 => LedgerCommand::ForgetNode { node: node(number) },
        2 => submit(job, plan()),
        3 if random.below(4) == 0 => LedgerCommand::CancelJob { job: id, by },
        4 => LedgerCommand::PauseJob { job: id, by },
        5..=6 => LedgerCommand::ResumeJob { job: id, by },
        7..=8 => LedgerCommand::CommitHalt { job: id, epoch, step: committed, chain: chain(committed) },
        9 if random.below(4) == 0 => LedgerCommand::RefuseJob { job: id, by, reason: String::new() },
        10 => {
            let until = [DrainUntil::Undrain, DrainUntil::Restart { boot: Boot(boot) }];
            let until = until[random.below(2) as usize];
            LedgerCommand::DrainNode { node: node(number), by, reason: String::new(), until }
        }
        11 => LedgerCommand::UndrainNode { node: node(number), by },
        12..=13 => {
            let totals = EvaluationTotals { correct: 1, total: 2, loss: 0.5 };
            LedgerCommand::RecordEvaluation { job: id, step: random.below(committed + 2), totals }
        }
        14..=15 => {
            let to = committed + random.below(3);
            LedgerCommand::CommitSteps { job: id, from: committed, to, epoch, chain: chain(to) }
        }
        16..=17 => {
            let step = committed.saturating_sub(random.below(2));
            LedgerCommand::RecordCheckpoint { job: id, entry: checkpoint(step, &[number]) }
        }
        18 => LedgerCommand::FailMicrobatch {
            job: id,
            step: committed,
            microbatch: random.below(12) as u32,
            samples: Vec::new(),
            node: by,
            reason: String::new(),
        },
        _ => any_view(random, ledger, job),
    }
}

fn check(ledger: &Ledger, context: &str) {
    assert!(ledger.jobs.values().filter(|job| job.status == JobStatus::Running).count() <= 1, "{context}");
    for job in ledger.jobs.values() {
        let runs = job.status == JobStatus::Running;
        let waits = matches!(job.status, JobStatus::Queued | JobStatus::Paused { .. });
        assert!(!runs || job.view.is_some(), "{context}: runs without a view");
        assert!(!waits || (job.view.is_none() && job.synced.is_empty()), "{context}: waits with a view");
        assert!(runs || job.pausing.is_none(), "{context}: about to pause and does not run");
        let newest = job.view_changes.last();
        assert_eq!(newest.map_or(0, |change| change.epoch.0), job.epochs, "{context}");
        assert_eq!(job.has_run(), newest.is_some(), "{context}");
        if let Some(view) = &job.view {
            assert_eq!((view.epoch, view.incarnation), job.newest_epoch(), "{context}");
            assert!(view.is_well_formed(), "{context}");
        }
        let committed = job.committed_to().0;
        assert!(job.committed.windows(2).all(|pair| pair[0].to_step == pair[1].from_step), "{context}");
        assert!(job.evaluations.windows(2).all(|pair| pair[0].step < pair[1].step), "{context}");
        assert!(job.evaluations.iter().all(|entry| entry.step <= committed), "{context}");
        assert!(job.checkpoints.iter().all(|entry| entry.step <= committed), "{context}");
        assert!(job.checkpoints.iter().all(|entry| !entry.holders.is_empty()), "{context}");
    }
    for record in ledger.nodes.values() {
        assert!(!record.is_leaving || !record.takes_work(), "{context}: leaves and takes work");
    }
    let mut copy = Ledger::default();
    copy.restore(&ledger.snapshot()).unwrap();
    assert_eq!(&copy, ledger, "{context}");
}

#[test]
fn any_commands_in_any_order_leave_a_sound_ledger() {
    let (mut halts, mut resumed, mut refusals) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut ledger = Ledger::default();
        for index in 0..COMMANDS {
            let command = any_command(&mut random, &ledger);
            let (kind, before) = (command.kind(), ledger.clone());
            let outcome = ledger.apply_command(u64::from(index), command);
            let context = format!("seed {seed}, command {index}, {kind}");
            match outcome {
                Ok(()) => {
                    halts += u32::from(kind == "commit halt");
                    let went_on = |job: &JobRecord| {
                        job.has_run() && job.view.is_none() && ledger.jobs[&job.id].view.is_some()
                    };
                    resumed += u32::from(kind == "commit view" && before.jobs.values().any(went_on));
                }
                Err(_) => {
                    refusals += 1;
                    assert_eq!(ledger, before, "{context}: a rejected command changed something");
                }
            }
            check(&ledger, &context);
        }
    }
    println!("{halts} halts, {resumed} went on, {refusals} refusals");
    assert!(halts > SEEDS as u32 / 5 && resumed > SEEDS as u32 / 8, "{halts} {resumed} {refusals}");
}
