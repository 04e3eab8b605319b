//! What the members of the running job have reported, and what follows from all of it together.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoints::{PendingCheckpoint, WrittenState};
use super::divergence::StateSamples;
use super::drains::IdleSteps;
use super::failures::PendingFailure;
use super::halts::HaltedState;
use super::limits::{EVALUATIONS_PENDING_MAX, STABLE_CHAINS_MAX, WORK_ENTRIES_MAX};
use super::member_reports::{AppliedStep, MemberReports};
use super::misbehaviour::Accusations;
use super::saves::SaveClock;
use super::speeds::Speeds;
use super::stall::Stall;
use crate::ids::{Boot, Chain, Digest, Epoch, Incarnation, JobId, Life, Millis, NodeId};
use crate::ledger::JobRecord;
use crate::view::View;
use crate::wire::control::{
    EvaluationTotals, PROGRESS_POINTS_MAX, Progress, Report, ReportEvent, StepPoint, WorkCounters,
};

/// A member's word on its final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FinishedState {
    pub(super) step: u64,
    pub(super) chain: Chain,
    pub(super) digest: Digest,
    pub(super) test_correct: u64,
    pub(super) test_total: u64,
}

/// Reports on one lineage of one job.
#[derive(Clone, Debug)]
pub(super) struct JobReports {
    pub(super) job: JobId,
    pub(super) incarnation: Incarnation,
    pub(super) steps: u64,
    /// Whether members may finish earlier.
    may_end_early: bool,
    /// The view that `members` are of.
    epoch: Epoch,
    /// Members of the newest view.
    pub(super) members: BTreeMap<NodeId, MemberReports>,
    /// Lives and tenures of the newest view that have the state.
    pub(super) synced: BTreeSet<(Life, Epoch)>,
    /// Final states, by life and tenure of the newest view.
    pub(super) finished: BTreeMap<(Life, Epoch), FinishedState>,
    /// Steps applied by every member of one view, with the chain after them and that view's epoch.
    pub(super) stable: (u64, Chain, Epoch),
    /// Chains after earlier stable steps, at most [`STABLE_CHAINS_MAX`].
    chains: BTreeMap<u64, Chain>,
    /// The latest stable steps in figures, at most [`PROGRESS_POINTS_MAX`].
    pub(super) points: BTreeMap<u64, StepPoint>,
    /// Evaluations of stable steps that the ledger does not show yet, at most [`EVALUATIONS_PENDING_MAX`], the newest.
    pub(super) evaluations: BTreeMap<u64, EvaluationTotals>,
    /// Stable steps by the former coordinator's last word: what was told is not taken back.
    stable_heard: u64,
    /// Counters by process with the time of the last word.
    pub(super) work: BTreeMap<(NodeId, Boot), (WorkCounters, Millis)>,
    pub(super) checkpoints: BTreeMap<WrittenState, PendingCheckpoint>,
    /// By member the latest checkpoint that it could not write, and why.
    pub(super) unwritten: BTreeMap<NodeId, (u64, String)>,
    /// The committed steps behind which stable ones are, and since when.
    pub(super) uncommitted: Option<(u64, Millis)>,
    /// When time made the last checkpoint due.
    pub(super) saves: SaveClock,
    /// Whether step 0 was imported: then its state is worth a checkpoint.
    pub(super) is_imported: bool,
    /// Where members stopped, by their word in the newest view.
    pub(super) halted: BTreeMap<NodeId, HaltedState>,
    /// The step at which the job halted, and when the ledger first showed a checkpoint of it.
    pub(super) halt_recorded: Option<(u64, Millis)>,
    pub(super) idle_steps: IdleSteps,
    /// By step, micro-batch and node, at most [`super::limits::FAILURES_PENDING_OF_ONE_MAX`] of a node.
    pub(super) failures: BTreeMap<(u64, u32, NodeId), PendingFailure>,
    /// The view in which micro-batches failed, and since when.
    pub(super) failed_since: Option<(Epoch, Millis)>,
    /// Members with different chains after the same step, and no majority among them: a broken node. Nothing is stable any
    /// more.
    pub(super) divergence: Option<String>,
    /// What members say of each other.
    pub(super) accusations: Accusations,
    /// What members' states look like.
    pub(super) samples: StateSamples,
    /// How long members take.
    pub(super) speeds: Speeds,
    /// For how long the job has not advanced.
    pub(super) stall: Stall,
}

impl JobReports {
    /// Starts from the ledger; `heard` is the former coordinator's last word, for figures and counters.
    pub(super) fn new(now: Millis, job: &JobRecord, view: &View, heard: Option<&Progress>) -> Self {
        let (step, chain) = job.committed_to();
        let epoch = job.committed.last().map_or(view.founding_epoch, |range| range.epoch);
        let mut reports = Self {
            job: job.id,
            incarnation: view.incarnation,
            steps: job.plan.steps,
            may_end_early: job.plan.may_end_early,
            epoch: Epoch(0),
            members: BTreeMap::new(),
            synced: BTreeSet::new(),
            finished: BTreeMap::new(),
            stable: (step, chain, epoch),
            chains: BTreeMap::from([(step, chain)]),
            points: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            stable_heard: 0,
            work: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            uncommitted: None,
            saves: SaveClock::new(now, step),
            is_imported: job.initial.is_some(),
            halted: BTreeMap::new(),
            halt_recorded: None,
            idle_steps: IdleSteps::default(),
            failures: BTreeMap::new(),
            failed_since: None,
            divergence: None,
            accusations: Accusations::default(),
            samples: StateSamples::default(),
            speeds: Speeds::default(),
            stall: Stall::default(),
        };
        if let Some(heard) = heard.filter(|heard| heard.job == job.id) {
            reports.work =
                heard.work.iter().map(|(node, boot, work)| ((*node, *boot), (*work, now))).collect();
            let same_lineage = heard.incarnation == view.incarnation;
            if same_lineage {
                reports.stable_heard = heard.stable_step.min(job.plan.steps);
            }
            // Another lineage starts at the committed step: what was before it is its past too.
            let kept = heard.points.iter().filter(|point| same_lineage || point.step <= step);
            let kept = kept.map(|point| (point.step, *point)).take(PROGRESS_POINTS_MAX);
            reports.points = kept.collect();
        }
        reports
    }

    /// Keeps what members of `view` have said in the tenure that they have there. Whether the view is another.
    pub(super) fn enter(&mut self, now: Millis, view: &View) -> bool {
        if self.epoch == view.epoch {
            return false;
        }
        self.idle_steps.enter(self.epoch, view);
        self.halted.clear();
        self.epoch = view.epoch;
        let is_member =
            |life: Life, tenure: Epoch| view.member(life).is_some_and(|member| member.tenure == tenure);
        self.members.retain(|node, known| is_member(Life { node: *node, boot: known.boot }, known.tenure));
        let members = &self.members;
        self.speeds.enter(now, |life| view.member(life).is_some());
        self.accusations.retain(view);
        self.samples.retain(|life| members.get(&life.node).is_some_and(|known| known.boot == life.boot));
        for member in &view.members {
            let fresh = || MemberReports::new(now, member.boot, member.tenure);
            self.members.entry(member.node).or_insert_with(fresh);
        }
        self.synced.retain(|(life, tenure)| is_member(*life, *tenure));
        self.finished.retain(|(life, tenure), _| is_member(*life, *tenure));
        self.unwritten.retain(|node, _| view.member_on(*node).is_some());
        let is_of = |failure: &PendingFailure| view.member_on(failure.node).map(|member| member.tenure);
        self.failures.retain(|_, failure| is_of(failure).is_some_and(|tenure| tenure <= failure.epoch));
        true
    }

    /// Takes note of a report of a member of `view`. Reports of other lives, lineages and earlier tenures change
    /// nothing; neither do those of later epochs, which the caller keeps.
    pub(super) fn receive(&mut self, now: Millis, view: &View, from: NodeId, report: Report) {
        let life = Life { node: from, boot: report.boot };
        let Some(member) = view.member(life) else { return };
        if report.incarnation != view.incarnation || report.epoch < member.tenure || report.epoch > view.epoch
        {
            return;
        }
        let (epoch, tenure) = (report.epoch, member.tenure);
        if let Some(known) = self.members.get_mut(&from) {
            known.heard_at = now;
        }
        match report.event {
            ReportEvent::Synced { step, chain } => {
                self.synced.insert((life, tenure));
                self.applied(now, view, from, step, AppliedStep { epoch, chain });
            }
            ReportEvent::Applied { step, chain, point, sample, work } => {
                self.synced.insert((life, tenure));
                self.count_work(now, life, work);
                self.speeds.heard(life, work);
                if epoch == view.epoch {
                    self.idle_steps.applied(view, member, step);
                }
                // All members have the same figures. They are shown once their step is stable.
                if let Some(point) = point.filter(|point| point.step <= step && point.loss.is_finite()) {
                    self.points.insert(point.step, point);
                    if self.points.len() > 2 * PROGRESS_POINTS_MAX {
                        self.points.pop_last();
                    }
                }
                self.applied(now, view, from, step, AppliedStep { epoch, chain });
                sample.into_iter().for_each(|sample| self.sampled(view, life, sample));
            }
            ReportEvent::Evaluated { step, totals, .. } => {
                if totals.loss.is_finite() {
                    self.evaluations.insert(step, totals);
                    if self.evaluations.len() > 2 * EVALUATIONS_PENDING_MAX {
                        self.evaluations.pop_last();
                    }
                }
            }
            ReportEvent::Halted { step, chain, digest } => {
                self.synced.insert((life, tenure));
                if view.halt && epoch == view.epoch && step <= self.steps {
                    self.halted.insert(from, HaltedState { step, chain, digest });
                }
                self.applied(now, view, from, step, AppliedStep { epoch, chain });
            }
            ReportEvent::CheckpointNotWritten { step, reason } => self.not_written(from, step, reason),
            ReportEvent::CheckpointWritten { step, chain, digest, manifest, bytes } => {
                self.unwritten.retain(|node, (unwritten, _)| *node != from || *unwritten > step);
                self.checkpoint_written(now, from, WrittenState { step, chain, digest, manifest, bytes });
            }
            ReportEvent::Finished { step, chain, digest, test_correct, test_total } => {
                if step == self.steps || self.may_end_early && step < self.steps {
                    self.synced.insert((life, tenure));
                    let state = FinishedState { step, chain, digest, test_correct, test_total };
                    self.finished.insert((life, tenure), state);
                }
            }
            ReportEvent::MicrobatchFailed { step, microbatch, samples, reason } => {
                self.microbatch_failed(step, microbatch, PendingFailure::new(from, epoch, samples, reason));
            }
            ReportEvent::Waiting(wait) => self.waits(now, from, epoch, wait),
            // Members are in a view; what others say is read before.
            ReportEvent::Outside { .. } => {}
            ReportEvent::Misbehaved(accusation) => self.accused(now, view, from, accusation),
        }
    }

    fn not_written(&mut self, from: NodeId, step: u64, reason: String) {
        let is_news = self.unwritten.get(&from).is_none_or(|(known, _)| *known <= step);
        if is_news && step <= self.steps {
            self.unwritten.insert(from, (step, reason));
        }
    }

    fn applied(&mut self, now: Millis, view: &View, node: NodeId, step: u64, applied: AppliedStep) {
        if step > self.steps {
            return;
        }
        let differs = |known: &MemberReports| known.chain(step).is_some_and(|chain| chain != applied.chain);
        let contradicts = self.members.values().any(differs);
        if self.is_disputed(step, contradicts) {
            self.compare_chains(view, node, step, applied.chain);
        }
        if contradicts {
            return;
        }
        if let Some(member) = self.members.get_mut(&node)
            && member.record(now, step, applied)
        {
            self.advance_stable(view);
        }
    }

    /// Stable is what every member of the newest view said in that view to have applied.
    fn advance_stable(&mut self, view: &View) {
        if self.divergence.is_some() {
            return;
        }
        let in_this_view = |member: &MemberReports, step: u64| {
            member.applied.get(&step).is_some_and(|applied| applied.epoch == view.epoch)
        };
        let Some(step) = self.members.values().filter_map(MemberReports::step).min() else { return };
        let everywhere =
            (self.stable.0 + 1..=step).rev().take(super::limits::APPLIED_HISTORY_MAX).find(|step| {
                view.members.iter().all(|member| {
                    self.members.get(&member.node).is_some_and(|reports| in_this_view(reports, *step))
                })
            });
        let Some(step) = everywhere else { return };
        let chain = view.members.first().and_then(|member| self.members.get(&member.node)?.chain(step));
        if let Some(chain) = chain {
            self.set_stable(step, chain, view.epoch);
        }
    }

    /// Everything up to `step` is stable.
    pub(super) fn set_stable(&mut self, step: u64, chain: Chain, epoch: Epoch) {
        let known = self.members.values().flat_map(|member| member.applied.range(self.stable.0 + 1..=step));
        for (step, applied) in known {
            self.chains.entry(*step).or_insert(applied.chain);
        }
        self.chains.insert(step, chain);
        while self.chains.len() > STABLE_CHAINS_MAX {
            self.chains.pop_first();
        }
        while self.points.len() > PROGRESS_POINTS_MAX {
            self.points.pop_first();
        }
        while self.evaluations.len() > EVALUATIONS_PENDING_MAX {
            self.evaluations.pop_first();
        }
        self.stable = (step, chain, epoch);
        self.failures.retain(|(failed, ..), _| *failed >= step);
    }

    /// Whether the state of `step` with `chain` on `node` is a stable one. Where the chain of that step is not known
    /// any more, a member whose chain agrees later has it among its ancestors.
    pub(super) fn is_stable_state(&self, node: NodeId, step: u64, chain: Chain) -> bool {
        let (stable, stable_chain, _) = self.stable;
        match self.chains.get(&step) {
            Some(known) => *known == chain,
            None => {
                step <= stable
                    && self
                        .members
                        .get(&node)
                        .is_some_and(|member| member.chain(stable) == Some(stable_chain))
            }
        }
    }

    /// The chain after a stable step, if it is remembered.
    pub(super) fn stable_chain(&self, step: u64) -> Option<Chain> {
        self.chains.get(&step).copied()
    }

    /// Stable steps as they are told.
    pub(super) fn stable_told(&self) -> u64 {
        self.stable.0.max(self.stable_heard)
    }

    /// The figures of a step, from any member.
    pub(super) fn point_at(&self, step: u64) -> Option<StepPoint> {
        self.points.get(&step).copied()
    }

    fn count_work(&mut self, now: Millis, life: Life, work: WorkCounters) {
        let key = (life.node, life.boot);
        if !self.work.contains_key(&key) && self.work.len() >= WORK_ENTRIES_MAX {
            let oldest = self.work.iter().min_by_key(|(key, (_, at))| (*at, **key)).map(|(key, _)| *key);
            oldest.map(|oldest| self.work.remove(&oldest));
        }
        self.work.insert(key, (work, now));
    }
}
