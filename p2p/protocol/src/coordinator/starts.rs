//! Jobs that leave the queue: for the first time, or after they had halted. No job starts before the nodes that are
//! here have looked at its data.

use std::collections::{BTreeMap, BTreeSet};

use super::data_checks::Verdict;
use super::founding::{Usable, by_seat, choose_origin};
use super::input_output::CoordinatorOutput;
use super::limits::{DATA_CHECK_MS_MAX, RESUME_ORIGIN_GRACE_MS};
use super::machine::{Coordinator, Pass};
use super::plan_view::FoundingFacts;
use super::proposals::ProposalKey;
use super::why::Wait;
use crate::ids::{Boot, Incarnation, JobId, Life, Millis, NodeId};
use crate::ledger::{JobRecord, LedgerCommand};
use crate::view::Origin;

/// Jobs on their way out of the queue.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// Since when each of them could start if nothing but its data and its checkpoints were in question.
    since: BTreeMap<JobId, Millis>,
    /// What they wait for.
    pub(super) waits: BTreeMap<JobId, Wait>,
}

/// Whether a job starts.
enum Readiness {
    /// Now, from there and on these nodes.
    Now(Origin, Usable),
    /// Soon: it holds up the others.
    Soon,
    /// Not before other nodes come: the next job may start.
    Unable,
}

/// Nodes by what they said about a job's data.
#[derive(Default)]
struct Checked {
    same: Usable,
    unknown: Vec<NodeId>,
    unusable: Vec<(NodeId, String)>,
}

impl Coordinator {
    /// Starts the next job of the queue that can.
    pub(super) fn decide_start(&mut self, pass: &mut Pass<'_>) {
        let able = self.liveness.able(pass.ledger);
        let live: BTreeSet<NodeId> = able.keys().copied().collect();
        let jobs: Vec<&JobRecord> = pass.ledger.startable_jobs(&live).collect();
        self.starts.since.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        for job in jobs {
            match self.readiness(pass, job, &able) {
                Readiness::Now(origin, founders) => {
                    self.start_job(pass, job, origin, &founders, able.len());
                    return;
                }
                Readiness::Soon => return,
                Readiness::Unable => {}
            }
        }
    }

    /// Ends jobs that never ran and whose data a node cannot use that was here when they came.
    pub(super) fn decide_refusals(&mut self, pass: &mut Pass<'_>) {
        let able = self.liveness.able(pass.ledger);
        for (job, node, reason) in self.checks.unusable(pass.ledger, &able) {
            if self.proposals.is_due(pass.now, ProposalKey::Refuse(job)) {
                pass.out.push(CoordinatorOutput::Propose(LedgerCommand::RefuseJob { job, by: node, reason }));
            }
        }
    }

    fn readiness(&mut self, pass: &mut Pass<'_>, job: &JobRecord, able: &Usable) -> Readiness {
        let since = *self.starts.since.entry(job.id).or_insert(pass.now);
        let Checked { same, unknown, unusable } = self.checked(job, able);
        let refuses = |(node, _): &(NodeId, String)| pass.ledger.may_refuse(*node, job);
        if !job.has_run() && unusable.iter().any(refuses) {
            return Readiness::Soon;
        }
        let check_end = since.plus(DATA_CHECK_MS_MAX);
        if !unknown.is_empty() && pass.now < check_end {
            let end = Some((check_end, "the others start without it"));
            self.hold_job(pass, job, waits_for_check(&unknown), since, end);
            return Readiness::Soon;
        }
        let (count, needed) = (same.len(), job.plan.nodes_min as usize);
        if count < needed {
            let others: Vec<String> =
                unusable.iter().map(|(node, reason)| format!("{}: {reason}", node.friendly_name())).collect();
            let silent = unknown.iter().map(|node| format!("{} did not look", node.friendly_name()));
            let words = others.into_iter().chain(silent).collect::<Vec<_>>().join("; ");
            let verb = if count == 1 { "has" } else { "have" };
            let what = format!("waits for {needed} nodes with its data, {count} {verb} it ({words})");
            self.hold_job(pass, job, what, since, None);
            return Readiness::Unable;
        }
        let origin_end = since.plus(RESUME_ORIGIN_GRACE_MS);
        if let Some((origin, founders)) = choose_origin(job, &same, pass.now >= origin_end) {
            return Readiness::Now(origin, founders);
        }
        let (step, names) = newest_holders(job);
        let what = format!("waits for a holder of the checkpoint of step {step} ({names})");
        let end = Some((origin_end, "an older checkpoint is taken, if one is held here"));
        self.hold_job(pass, job, what, since, end.filter(|(end, _)| pass.now < *end));
        Readiness::Unable
    }

    /// Sorts nodes by what they said about the data of `job`.
    fn checked(&self, job: &JobRecord, able: &Usable) -> Checked {
        let mut checked = Checked::default();
        let is_member = |node: NodeId, boot: Boot| {
            job.view.as_ref().is_some_and(|view| view.member(Life { node, boot }).is_some())
        };
        for (node, (boot, since)) in able {
            match self.checks.verdict(job, *node, *boot) {
                Verdict::Same => {
                    checked.same.insert(*node, (*boot, *since));
                }
                // It was taken at its word when it became a member, by an earlier coordinator too, and says it no more.
                Verdict::Unknown if is_member(*node, *boot) => {
                    checked.same.insert(*node, (*boot, *since));
                }
                Verdict::Unknown => checked.unknown.push(*node),
                Verdict::Unusable(reason) => checked.unusable.push((*node, reason)),
            }
        }
        checked
    }

    /// Nodes with the data of a running job, and those that hold `job`'s newest states, or all if there are none, and
    /// have not looked yet.
    pub(super) fn founders(&self, job: &JobRecord, able: &Usable) -> (Usable, Vec<NodeId>) {
        let Checked { same, mut unknown, .. } = self.checked(job, able);
        let holds = |node: &NodeId| job.origins().any(|entry| entry.holders.contains(node));
        let is_seeded = job.origins().next().is_none();
        unknown.retain(|node| is_seeded || holds(node));
        (same, unknown)
    }

    fn hold_job(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        what: String,
        since: Millis,
        end: Option<(Millis, &'static str)>,
    ) {
        if let Some((until, _)) = end {
            pass.wake_at(until);
        }
        self.starts.waits.insert(job.id, Wait::new(what, since, end));
    }

    fn start_job(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        origin: Origin,
        founders: &Usable,
        nodes: usize,
    ) {
        let (_, incarnation) = job.newest_epoch();
        let facts = FoundingFacts {
            job: job.id,
            plan: &job.plan,
            incarnation: Incarnation(incarnation.0 + 1),
            epoch: pass.ledger.next_epoch(job),
            origin,
            lives: by_seat(pass, founders),
        };
        let members = founders.len().min(job.plan.members_max());
        let stable = job.committed_to().0;
        let from = match origin {
            Origin::Seed => String::new(),
            Origin::Checkpoint { step: 0, .. } => " from the imported state".to_owned(),
            Origin::Checkpoint { step, .. } => format!(" from the checkpoint of step {step}"),
        };
        let start = match origin {
            Origin::Seed => 0,
            Origin::Checkpoint { step, .. } => step,
        };
        let verb = if job.has_run() { "goes on" } else { "started" };
        let undone = if stable > start {
            format!("; steps {start} to {stable} are done again")
        } else {
            String::new()
        };
        let reason = format!("{verb}{from} on {members} of {nodes} nodes{undone}");
        self.propose_founding(pass, &facts, reason, stable);
    }
}

/// The step of the newest state of `job` and who holds it, in words.
pub(super) fn newest_holders(job: &JobRecord) -> (u64, String) {
    let newest = job.origins().next();
    let names: Vec<String> =
        newest.iter().flat_map(|entry| &entry.holders).map(NodeId::friendly_name).collect();
    (newest.map_or(0, |entry| entry.step), names.join(", "))
}

/// Waiting for `nodes` to look, in words.
pub(super) fn waits_for_check(nodes: &[NodeId]) -> String {
    let names: Vec<String> = nodes.iter().map(NodeId::friendly_name).collect();
    format!("waits for {} to check the job's data", names.join(", "))
}
