//! Applying commands: jobs from submission to end. Nodes, halts, views and steps are in files of their own.

use super::limits::{
    ENDED_JOBS_BYTES_MAX, JOB_NAME_BYTES_MAX, JOBS_MAX, OPEN_JOBS_BYTES_MAX, REASON_BYTES_MAX,
    SPEC_BYTES_MAX, cut,
};
use super::{
    CheckpointEntry, JobPlan, JobRecord, JobResult, JobStatus, KeepRules, Keeping, Ledger, LedgerCommand,
    Rejected,
};
use crate::ids::{JobId, NodeId};
use crate::wire::encode;

impl Ledger {
    /// Applies `command`, which is at `index` of the council's log.
    ///
    /// # Errors
    /// When the command contradicts the ledger or a limit; then nothing has changed.
    pub fn apply_command(&mut self, index: u64, command: LedgerCommand) -> Result<(), Rejected> {
        if let Some(to) = self.lineage.yielded {
            return Err(Rejected::GaveWay { to });
        }
        match command {
            LedgerCommand::RegisterNode { node, registration } => self.register(index, node, registration),
            LedgerCommand::ForgetNode { node } => self.forget(node),
            LedgerCommand::SubmitJob { id, name, spec_toml, plan, data_digest, initial, by, rules } => {
                let submission = Submission { id, name, spec_toml, plan, data_digest, initial, by, rules };
                self.submit(index, submission)
            }
            LedgerCommand::PauseJob { job, by } => self.pause(job, by),
            LedgerCommand::ResumeJob { job, by: _ } => self.resume(job),
            LedgerCommand::CommitHalt { job, epoch, step, chain } => {
                self.commit_halt(job, epoch, step, chain)
            }
            LedgerCommand::RefuseJob { job, by, reason } => self.refuse(job, by, reason),
            LedgerCommand::DrainNode { node, by, reason, until } => self.drain(node, by, reason, until),
            LedgerCommand::UndrainNode { node, by: _ } => self.undrain(node),
            LedgerCommand::RecordEvaluation { job, step, totals } => {
                self.record_evaluation(job, step, totals)
            }
            LedgerCommand::CancelJob { job, by } => self.end_open(job, JobStatus::Cancelled { by }),
            LedgerCommand::FailJob { job, mut reason } => {
                cut(&mut reason, REASON_BYTES_MAX);
                self.end_open(job, JobStatus::Failed { reason })
            }
            LedgerCommand::FinishJob { job, result } => self.finish(job, result),
            LedgerCommand::CommitView { view, reason, stable_step } => {
                self.commit_view(view, reason, stable_step)
            }
            LedgerCommand::RecordSynced { job, life, tenure } => self.record_synced(job, life, tenure),
            LedgerCommand::CommitSteps { job, from, to, epoch, chain } => {
                self.commit_steps(job, from, to, epoch, chain)
            }
            LedgerCommand::RecordCheckpoint { job, entry } => self.record_checkpoint(job, entry),
            LedgerCommand::DropCheckpoint { job, step, holder } => self.drop_checkpoint(job, step, holder),
            LedgerCommand::AssignCheckpoint { job, step, nodes } => self.assign_checkpoint(job, step, nodes),
            LedgerCommand::RecordVerdict { verdict } => self.record_verdict(verdict),
            LedgerCommand::AddDataSet { name, record } => self.add_data_set(name, record),
            LedgerCommand::RemoveDataSet { name } => self.remove_data_set(&name),
            LedgerCommand::NoteDataHolder { name, manifest, node, holds } => {
                self.note_data_holder(&name, manifest, node, holds)
            }
            LedgerCommand::PinCheckpoint { job, step, by, is_pinned } => {
                self.pin_checkpoint(job, step, by, is_pinned)
            }
            LedgerCommand::PruneCheckpoints { job, keep, by: _ } => self.prune_checkpoints(job, keep),
            LedgerCommand::RollBack { job, step, by } => self.roll_back(job, step, by),
            LedgerCommand::ImportCheckpoint { job, entry, by } => self.import_checkpoint(job, entry, by),
            LedgerCommand::ScheduleCheckpoint { job, step } => self.schedule_checkpoint(job, step),
            LedgerCommand::YieldCouncil { to, samples } => self.yield_to(to, samples),
            LedgerCommand::UniteCouncils { range } => self.unite(range),
            LedgerCommand::ReseatNode { node, registration, turn } => {
                self.reseat(index, node, registration, turn)
            }
            LedgerCommand::KeepBranch { branch } => self.keep_branch(branch),
            LedgerCommand::FailMicrobatch { job, step, microbatch, samples, node, reason } => {
                self.fail_microbatch(job, (step, microbatch), samples, node, reason)
            }
        }
    }

    /// The job, to be changed.
    pub(super) fn job_mut(&mut self, job: JobId) -> Result<&mut JobRecord, Rejected> {
        self.jobs.get_mut(&job).ok_or(Rejected::JobUnknown { job })
    }

    /// The job, to be changed, if it runs.
    pub(super) fn running_mut(&mut self, job: JobId) -> Result<&mut JobRecord, Rejected> {
        let record = self.job_mut(job)?;
        if record.status == JobStatus::Running { Ok(record) } else { Err(Rejected::JobNotRunning { job }) }
    }

    fn submit(&mut self, index: u64, submission: Submission) -> Result<(), Rejected> {
        if let Some(known) = self.jobs.get(&submission.id) {
            let rules = self.keeping.get(&known.id).map_or_else(KeepRules::default, |keeping| keeping.rules);
            let same = submission.is_of(known, rules);
            return if same { Ok(()) } else { Err(Rejected::JobIdTaken { job: submission.id }) };
        }
        let Submission { id, name, spec_toml, plan, data_digest, initial, by, rules } = submission;
        if let Some(what) = plan.violation().or_else(|| rules.violation()) {
            return Err(Rejected::PlanInvalid { what });
        }
        for (what, bytes, max) in [
            ("bytes of name", name.len(), JOB_NAME_BYTES_MAX),
            ("bytes of specification", spec_toml.len(), SPEC_BYTES_MAX),
        ] {
            if bytes > max {
                return Err(Rejected::LimitReached { what, max });
            }
        }
        if let Some(entry) = &initial {
            self.check_initial(&plan, entry, by)?;
        }
        let open = self.jobs.values().filter(|job| !job.has_ended());
        let (count, bytes) = open.fold((0, name.len() + spec_toml.len()), |(count, bytes), job| {
            (count + 1, bytes + job.name.len() + job.spec_toml.len())
        });
        if count >= JOBS_MAX {
            return Err(Rejected::LimitReached { what: "jobs that have not ended", max: JOBS_MAX });
        }
        if bytes > OPEN_JOBS_BYTES_MAX {
            return Err(Rejected::LimitReached {
                what: "bytes of jobs that have not ended",
                max: OPEN_JOBS_BYTES_MAX,
            });
        }
        self.jobs_submitted += 1;
        let record = JobRecord {
            id,
            name,
            spec_toml,
            plan,
            data_digest,
            initial,
            submitted_by: by,
            submitted_index: index,
            order: self.jobs_submitted,
            status: JobStatus::Queued,
            pausing: None,
            view: None,
            epochs: 0,
            view_changes: Vec::new(),
            synced: Default::default(),
            committed: Vec::new(),
            checkpoints: Vec::new(),
            failed_microbatches: Vec::new(),
            evaluations: Vec::new(),
            result: None,
        };
        self.jobs.insert(id, record);
        if rules != KeepRules::default() {
            self.keeping.insert(id, Keeping { rules, ..Keeping::default() });
        }
        self.forget_ended_jobs();
        Ok(())
    }

    fn check_initial(&self, plan: &JobPlan, entry: &CheckpointEntry, by: NodeId) -> Result<(), Rejected> {
        let refuse = |what| Err(Rejected::InitialRefused { what });
        if !self.nodes.contains_key(&by) {
            return Err(Rejected::NodeNotRegistered { node: by });
        }
        if (entry.step, entry.chain) != (0, plan.genesis) {
            return refuse("it is not that of step 0");
        }
        if entry.holders.len() != 1 || !entry.holders.contains(&by) {
            return refuse("its holder is not the submitting node");
        }
        if !entry.assigned.is_empty() {
            return refuse("nobody was chosen to fetch it");
        }
        Ok(())
    }

    pub(super) fn end_open(&mut self, job: JobId, status: JobStatus) -> Result<(), Rejected> {
        let record = self.job_mut(job)?;
        if record.has_ended() {
            return Err(Rejected::JobEnded { job });
        }
        record.status = status;
        record.pausing = None;
        self.forget_ended_jobs();
        Ok(())
    }

    fn finish(&mut self, job: JobId, result: JobResult) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let committed = record.committed_to();
        let is_end = result.step == record.plan.steps
            || record.plan.may_end_early && (1..record.plan.steps).contains(&result.step);
        if !is_end || committed != (result.step, result.chain) {
            return Err(Rejected::ResultRefused);
        }
        record.status = JobStatus::Done;
        record.pausing = None;
        record.result = Some(result);
        self.forget_ended_jobs();
        Ok(())
    }

    /// Forgets ended jobs, oldest first, until the limits hold again.
    fn forget_ended_jobs(&mut self) {
        let mut ended: Vec<(u64, JobId, usize)> = self
            .jobs
            .values()
            .filter(|job| job.has_ended())
            .map(|job| (job.order, job.id, encode(job).len()))
            .collect();
        ended.sort_unstable();
        let mut bytes: usize = ended.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, id, job_bytes) in ended {
            if self.jobs.len() <= JOBS_MAX && bytes <= ENDED_JOBS_BYTES_MAX {
                break;
            }
            self.jobs.remove(&id);
            self.keeping.remove(&id);
            self.lineage.forget_job(id);
            bytes -= job_bytes;
        }
    }
}

/// The fields of [`LedgerCommand::SubmitJob`].
struct Submission {
    id: JobId,
    name: String,
    spec_toml: String,
    plan: JobPlan,
    data_digest: [u8; 32],
    initial: Option<CheckpointEntry>,
    by: NodeId,
    rules: KeepRules,
}

impl Submission {
    /// Whether `job` came from the same submission. Holders of the imported state change later.
    fn is_of(&self, job: &JobRecord, rules: KeepRules) -> bool {
        (&job.name, &job.spec_toml, &job.plan, &job.data_digest)
            == (&self.name, &self.spec_toml, &self.plan, &self.data_digest)
            && rules == self.rules
            && job.initial.as_ref().map(CheckpointEntry::state)
                == self.initial.as_ref().map(CheckpointEntry::state)
    }
}
