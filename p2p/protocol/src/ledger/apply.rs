//! Applying commands: nodes, and jobs from submission to end. Views and steps are in files of their own.

use super::limits::{
    ENDED_JOBS_BYTES_MAX, JOB_NAME_BYTES_MAX, JOBS_MAX, NODE_TEXT_BYTES_MAX, NODES_MAX, OPEN_JOBS_BYTES_MAX,
    REASON_BYTES_MAX, SPEC_BYTES_MAX, cut,
};
use super::{JobPlan, JobRecord, JobResult, JobStatus, Ledger, LedgerCommand, NodeRecord, Rejected};
use crate::ids::{JobId, NodeId, SeatId};
use crate::wire::control::Registration;
use crate::wire::encode;

impl Ledger {
    /// Applies `command`, which is at `index` of the council's log.
    ///
    /// # Errors
    /// When the command contradicts the ledger or a limit; then nothing has changed.
    pub fn apply_command(&mut self, index: u64, command: LedgerCommand) -> Result<(), Rejected> {
        match command {
            LedgerCommand::RegisterNode { node, registration } => self.register(index, node, registration),
            LedgerCommand::ForgetNode { node } => self.forget(node),
            LedgerCommand::SubmitJob { id, name, spec_toml, plan, by } => {
                self.submit(id, name, spec_toml, plan, by)
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

    fn register(&mut self, index: u64, node: NodeId, registration: Registration) -> Result<(), Rejected> {
        let Registration { boot, mut numeric_class, mut device } = registration;
        cut(&mut numeric_class, NODE_TEXT_BYTES_MAX);
        cut(&mut device, NODE_TEXT_BYTES_MAX);
        let seat = match self.nodes.get(&node) {
            Some(record) if record.boot == boot => return Ok(()),
            Some(record) => record.seat,
            None if self.nodes.len() >= NODES_MAX => {
                return Err(Rejected::LimitReached { what: "nodes", max: NODES_MAX });
            }
            None => {
                self.seats_given += 1;
                SeatId(self.seats_given)
            }
        };
        let record = NodeRecord { node, seat, boot, numeric_class, device, registered_index: index };
        self.nodes.insert(node, record);
        Ok(())
    }

    fn forget(&mut self, node: NodeId) -> Result<(), Rejected> {
        if !self.nodes.contains_key(&node) {
            return Err(Rejected::NodeNotRegistered { node });
        }
        let view = self.running_job().and_then(|job| job.view.as_ref());
        if view.is_some_and(|view| view.member_on(node).is_some()) {
            return Err(Rejected::NodeInUse { node });
        }
        self.nodes.remove(&node);
        for job in self.jobs.values_mut() {
            for entry in &mut job.checkpoints {
                entry.holders.remove(&node);
            }
            job.checkpoints.retain(|entry| !entry.holders.is_empty());
        }
        Ok(())
    }

    fn submit(
        &mut self,
        id: JobId,
        name: String,
        spec_toml: String,
        plan: JobPlan,
        submitted_by: NodeId,
    ) -> Result<(), Rejected> {
        if let Some(known) = self.jobs.get(&id) {
            let same = known.name == name && known.spec_toml == spec_toml && known.plan == plan;
            return if same { Ok(()) } else { Err(Rejected::JobIdTaken { job: id }) };
        }
        if let Some(what) = plan.violation() {
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
            submitted_by,
            order: self.jobs_submitted,
            status: JobStatus::Queued,
            view: None,
            epochs: 0,
            view_changes: Vec::new(),
            synced: Default::default(),
            committed: Vec::new(),
            checkpoints: Vec::new(),
            failed_microbatches: Vec::new(),
            result: None,
        };
        self.jobs.insert(id, record);
        self.forget_ended_jobs();
        Ok(())
    }

    fn end_open(&mut self, job: JobId, status: JobStatus) -> Result<(), Rejected> {
        let record = self.job_mut(job)?;
        if record.has_ended() {
            return Err(Rejected::JobEnded { job });
        }
        record.status = status;
        self.forget_ended_jobs();
        Ok(())
    }

    fn finish(&mut self, job: JobId, result: JobResult) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let committed = record.committed_to();
        if result.step != record.plan.steps || committed != (result.step, result.chain) {
            return Err(Rejected::ResultRefused);
        }
        record.status = JobStatus::Done;
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
            bytes -= job_bytes;
        }
    }
}
