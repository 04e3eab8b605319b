//! The machine: facts in, one pass of decisions, outputs out.

use std::collections::{BTreeMap, VecDeque};

use super::admissions::{Admissions, KeptOutNode};
use super::data_checks::DataChecks;
use super::divergence::Relapses;
use super::input_output::{CoordinatorInput, CoordinatorOptions, CoordinatorOutput};
use super::liveness::{Liveness, Loss};
use super::misbehaviour::Quarrels;
use super::progress::ProgressState;
use super::proposals::{ProposalKey, Proposals};
use super::replicas::Replicas;
use super::reports::JobReports;
use super::seats::SeatsSeen;
use super::setbacks::{CRASHES, STRAGGLERS, Setbacks};
use super::starts::Starts;
use super::why::Wait;
use crate::ids::{Epoch, JobId, Life, Millis, NodeId, SeatId};
use crate::ledger::Ledger;
use crate::wire::control::{Registration, Report};

/// Follows who is alive on every node; on the council's leader it also decides.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) me: NodeId,
    pub(super) options: CoordinatorOptions,
    pub(super) now: Millis,
    /// When this node became coordinator; `None` while it is not.
    pub(super) elected_at: Option<Millis>,
    pub(super) liveness: Liveness,
    pub(super) registrations: BTreeMap<NodeId, (Registration, u64)>,
    pub(super) proposals: Proposals,
    pub(super) seats: Option<SeatsSeen>,
    pub(super) reports: Option<JobReports>,
    /// Reports on views that the ledger does not show yet, at most [`super::limits::REPORTS_EARLY_MAX`], the newest.
    pub(super) reports_early: VecDeque<(NodeId, Report)>,
    pub(super) admissions: Admissions,
    pub(super) relapses: Relapses,
    /// Members that died.
    pub(super) crashes: Setbacks,
    /// Members that held up a step.
    pub(super) straggled: Setbacks,
    /// Whom nodes accused, and what came of it.
    pub(super) quarrels: Quarrels,
    /// What nodes found where the data of the jobs should be.
    pub(super) checks: DataChecks,
    /// Jobs that are about to leave the queue.
    pub(super) starts: Starts,
    /// Checkpoints that have too few holders.
    pub(super) replicas: Replicas,
    /// Nodes that are here and may not take part in the running job, and why.
    pub(super) kept_out: Vec<KeptOutNode>,
    /// The view of a job whose members with the state are all lost, and since when.
    pub(super) lineage_lost: Option<(JobId, Epoch, Millis)>,
    /// Since when all members of this view have finished.
    pub(super) all_finished: Option<(JobId, Epoch, Millis)>,
    /// Seats of the group that the ledger does not know any more, and since when.
    pub(super) forgotten: BTreeMap<SeatId, Millis>,
    /// A live member with the state was seen since the election.
    pub(super) lineage_was_alive: bool,
    pub(super) progress: ProgressState,
    pub(super) waits: Vec<Wait>,
    rejections_seen: u64,
    deadline: Option<Millis>,
}

/// One pass of decisions.
pub(super) struct Pass<'a> {
    pub(super) now: Millis,
    pub(super) ledger: &'a Ledger,
    pub(super) out: &'a mut Vec<CoordinatorOutput>,
    /// Where the steps end that were proposed in this pass.
    pub(super) steps_proposed: Option<u64>,
    wake: Option<Millis>,
}

impl Pass<'_> {
    /// Asks for another pass at `at`.
    pub(super) fn wake_at(&mut self, at: Millis) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

impl Coordinator {
    /// The coordinator on node `me`, which has no other node in sight.
    #[must_use]
    pub fn new(me: NodeId, options: CoordinatorOptions) -> Self {
        let life = Life { node: me, boot: options.registration.boot };
        Self {
            me,
            options,
            now: Millis(0),
            elected_at: None,
            liveness: Liveness::new(life),
            registrations: BTreeMap::new(),
            proposals: Proposals::default(),
            seats: None,
            reports: None,
            reports_early: VecDeque::new(),
            admissions: Admissions::default(),
            relapses: Relapses::new(),
            crashes: Setbacks::new(CRASHES),
            straggled: Setbacks::new(STRAGGLERS),
            quarrels: Quarrels::default(),
            checks: DataChecks::default(),
            starts: Starts::default(),
            replicas: Replicas::default(),
            kept_out: Vec::new(),
            lineage_lost: None,
            all_finished: None,
            forgotten: BTreeMap::new(),
            lineage_was_alive: false,
            progress: ProgressState::default(),
            waits: Vec::new(),
            rejections_seen: 0,
            deadline: None,
        }
    }

    /// Takes note of `input` at `now` and, on the council's leader, decides what `ledger` lacks.
    pub fn step(
        &mut self,
        now: Millis,
        ledger: &Ledger,
        input: CoordinatorInput,
        out: &mut Vec<CoordinatorOutput>,
    ) {
        self.now = now;
        match input {
            CoordinatorInput::Elected { term: _ } => self.start(now, ledger),
            CoordinatorInput::Deposed => self.stop(),
            CoordinatorInput::PeerJoined { node, boot } => self.liveness.joined(now, node, boot),
            CoordinatorInput::PeerLost { node, boot, death_is_certain, reason } => {
                self.liveness.lost(node, Loss { boot, at: now, is_certain: death_is_certain, reason });
            }
            CoordinatorInput::Register { from, registration, turn } => {
                self.register(from, registration, turn)
            }
            CoordinatorInput::Report { from, report } => self.hold(from, report),
            CoordinatorInput::JobChecked { from, check } => self.checks.note(ledger, from, check),
            CoordinatorInput::ProgressHeard { progress } => {
                if self.elected_at.is_none() {
                    self.progress.latest = Some(progress);
                }
            }
            CoordinatorInput::Seats { voters, learners, caught_up } => {
                let seen = SeatsSeen { voters, learners, caught_up };
                if self.seats.as_ref() != Some(&seen) {
                    self.proposals.forget(ProposalKey::Seats);
                }
                self.seats = Some(seen);
            }
            CoordinatorInput::LedgerChanged => self.checks.prune(ledger),
            CoordinatorInput::Tick => {}
        }
        self.deadline = None;
        if self.elected_at.is_some() {
            self.pass(now, ledger, out);
        }
    }

    /// When to step with [`CoordinatorInput::Tick`] if nothing else happens before; `None` for never.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        self.deadline
    }

    /// Members of the running job that contradict each other, in words. A broken node: for the log.
    #[must_use]
    pub fn alarm(&self) -> Option<&str> {
        self.reports.as_ref().and_then(|reports| reports.divergence.as_deref())
    }

    fn start(&mut self, now: Millis, ledger: &Ledger) {
        if self.elected_at.is_none() {
            self.elected_at = Some(now);
            self.rejections_seen = ledger.rejections_total;
            self.progress.is_due = true;
        }
    }

    /// Forgets everything that only a coordinator needs.
    fn stop(&mut self) {
        self.elected_at = None;
        self.registrations.clear();
        self.proposals.clear();
        self.reports = None;
        self.reports_early.clear();
        self.admissions = Admissions::default();
        self.relapses.clear();
        self.crashes.clear();
        self.straggled.clear();
        self.quarrels = Quarrels::default();
        self.checks = DataChecks::default();
        self.starts = Starts::default();
        self.replicas = Replicas::default();
        self.kept_out.clear();
        self.lineage_lost = None;
        self.all_finished = None;
        self.forgotten.clear();
        self.lineage_was_alive = false;
        self.waits.clear();
    }

    fn pass(&mut self, now: Millis, ledger: &Ledger, out: &mut Vec<CoordinatorOutput>) {
        let mut pass = Pass { now, ledger, out, steps_proposed: None, wake: None };
        self.waits.clear();
        self.starts.waits.clear();
        self.proposals.begin_pass();
        if self.rejections_seen != ledger.rejections_total {
            self.rejections_seen = ledger.rejections_total;
            self.proposals.rejected(now);
        }
        if ledger.lineage.yielded.is_some() {
            // Nothing is applied any more.
            self.deadline = None;
            return;
        }
        self.decide_registrations(&mut pass);
        self.decide_seats(&mut pass);
        self.decide_refusals(&mut pass);
        self.decide_job(&mut pass);
        self.decide_replicas(&mut pass);
        self.decide_progress(&mut pass);
        self.proposals.end_pass();
        if let Some(retry_at) = self.proposals.deadline() {
            pass.wake_at(retry_at);
        }
        self.deadline = pass.wake;
    }

    fn decide_job(&mut self, pass: &mut Pass<'_>) {
        let running = pass.ledger.running_job();
        let followed = self.reports.as_ref().map(|reports| reports.job);
        if followed.is_some() && followed != running.map(|job| job.id) {
            self.tell_end(pass);
        }
        let Some((job, view)) = running.and_then(|job| Some((job, job.view.as_ref()?))) else {
            self.admissions = Admissions::default();
            self.kept_out.clear();
            self.decide_start(pass);
            return;
        };
        let same_lineage =
            self.reports.as_ref().is_some_and(|reports| reports.incarnation == view.incarnation);
        if !same_lineage {
            if let Some(reports) = &self.reports {
                self.progress.latest = Some(reports.word(pass.now, view.epoch, &self.kept_out));
            }
            self.reports = Some(JobReports::new(pass.now, job, view, self.progress.latest.as_ref()));
            self.progress.is_due = true;
        }
        self.read_reports(pass, job.id, view);
        self.propose_synced(pass, job);
        self.note_work(pass, job, view);
        self.note_kept_out(pass, job, view);
        self.decide_evaluations(pass, job);
        if self.decide_failures(pass, job) || self.decide_finish(pass, job, view) {
            return;
        }
        self.decide_checkpoints(pass, job, view, false);
        self.decide_saves(pass, job, view);
        self.commit_in_time(pass, job);
        self.decide_view(pass, job, view);
    }
}
