//! Why the ledger refuses a command.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{CouncilId, Epoch, JobId, NodeId};

/// A command that changed nothing. The same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// No such job, or it was forgotten.
    #[error("job {job} is not in the ledger")]
    JobUnknown {
        /// The job.
        job: JobId,
    },
    /// The job has another specification already.
    #[error("job {job} was submitted before with other contents")]
    JobIdTaken {
        /// The job.
        job: JobId,
    },
    /// The command needs a running job.
    #[error("job {job} is not running")]
    JobNotRunning {
        /// The job.
        job: JobId,
    },
    /// The job has ended.
    #[error("job {job} has ended")]
    JobEnded {
        /// The job.
        job: JobId,
    },
    /// The job ran already, so what it found out is worth more than one node's refusal.
    #[error("job {job} has run: it is not refused")]
    JobHasRun {
        /// The job.
        job: JobId,
    },
    /// Something is missing for the job to lose its view.
    #[error("halt refused: {what}")]
    HaltRefused {
        /// What.
        what: &'static str,
    },
    /// The figures are not of the newest committed steps.
    #[error("evaluation after step {step} refused: it is not committed, or older than one on record")]
    EvaluationRefused {
        /// Steps applied.
        step: u64,
    },
    /// The imported state contradicts the submission.
    #[error("imported state refused: {what}")]
    InitialRefused {
        /// What does not fit.
        what: &'static str,
    },
    /// Jobs run one at a time.
    #[error("job {running} is running")]
    AnotherJobRuns {
        /// The running job.
        running: JobId,
    },
    /// Someone committed a view in between (V1).
    #[error("view {found:?} is not the next one, {expected:?} is")]
    EpochNotNext {
        /// The only epoch that is accepted.
        expected: Epoch,
        /// The one proposed.
        found: Epoch,
    },
    /// The view contradicts itself, its job or the view before it.
    #[error("view refused: {what}")]
    ViewMalformed {
        /// What does not fit.
        what: &'static str,
    },
    /// No member of the view before that has the state is in this one.
    #[error("view refused: no synced member of the view before is in it")]
    ContinuityBroken,
    /// Not registered, or registered with another process since.
    #[error("node {} is not registered with this process", node.friendly_name())]
    NodeNotRegistered {
        /// The node.
        node: NodeId,
    },
    /// The node takes part in a running job.
    #[error("node {} takes part in a job", node.friendly_name())]
    NodeInUse {
        /// The node.
        node: NodeId,
    },
    /// A limit of the ledger is reached.
    #[error("at most {max} {what}")]
    LimitReached {
        /// What there would be too much of, with its unit.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A figure of the job is out of range.
    #[error("job refused: {what}")]
    PlanInvalid {
        /// Which, and its range.
        what: &'static str,
    },
    /// The member is not in the newest view with this process and tenure.
    #[error("no such member in the newest view")]
    MemberUnknown,
    /// Does not continue what is committed.
    #[error("steps are committed up to {committed}, not {from}, or the range is empty or of another lineage")]
    StepsNotNext {
        /// Steps committed.
        committed: u64,
        /// Where the command starts.
        from: u64,
    },
    /// The checkpoint is not of a committed step, contradicts what is known of it, or is older than all kept.
    #[error("checkpoint of step {step} refused: {what}")]
    CheckpointRefused {
        /// Its step.
        step: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The job cannot be taken back there.
    #[error("rollback to step {step} refused: {what}")]
    RollbackRefused {
        /// The step.
        step: u64,
        /// Why.
        what: &'static str,
    },
    /// The data set contradicts one on record, or is needed.
    #[error("data set {name} refused: {what}")]
    DataSetRefused {
        /// Its name.
        name: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The result is not that of the last committed step.
    #[error("result refused: step or chain is not the last committed one")]
    ResultRefused,
    /// The council ended, because another one is further.
    #[error("this council gave way to {to}")]
    GaveWay {
        /// The other one.
        to: CouncilId,
    },
    /// Something about another council does not fit.
    #[error("succession refused: {what}")]
    SuccessionRefused {
        /// What.
        what: &'static str,
    },
    /// The failure is known or of a step that is past.
    #[error("failure of micro-batch {microbatch} of step {step} is known or past")]
    FailureNotNew {
        /// Steps applied before it.
        step: u64,
        /// Its index.
        microbatch: u32,
    },
}

/// A rejected command, remembered for whoever proposed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Its index in the council's log.
    pub index: u64,
    /// Its name.
    pub command: String,
    /// The job that it was about.
    pub job: Option<JobId>,
    /// Why it was rejected.
    pub reason: String,
}
