//! Control messages: small, on one long-lived stream per peer.

use serde::{Deserialize, Serialize};

use super::state_sample::StateSample;
use super::step_wait::StepWait;
use crate::ids::{Boot, Chain, CouncilId, Digest, Epoch, Incarnation, JobId, ManifestId, NodeId, SeatId};
use crate::misdeed::Accusation;

/// Longest encoded control message, bytes. The largest are the council's snapshots of the ledger; a ledger of 64
/// nodes, 1,000 jobs and their views stays below 8 MiB.
pub const CONTROL_BYTES_MAX: usize = 8 << 20;

/// Everything that travels on a control stream after the hellos.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ControlMessage {
    /// A message of the consensus group, opaque here, validated before the library sees it.
    Raft {
        /// The council it is of. A seat drops what is of another one.
        council: CouncilId,
        /// Seat of the sender.
        from: SeatId,
        /// Seat of the receiver.
        to: SeatId,
        /// Encoded message of the consensus library.
        bytes: Vec<u8>,
    },
    /// A node asks to be admitted, or tells the coordinator its new process.
    Register(Registration),
    /// The coordinator's answer: the seat that the ledger gave to the node.
    Registered {
        /// The seat.
        seat: SeatId,
        /// The process that was registered.
        boot: Boot,
        /// The council that did it.
        council: CouncilId,
        /// The turn that the seat is for, as [`ControlMessage::Turn`] named it; zero for a plain registration.
        turn: u64,
    },
    /// The receiver of a request is not the coordinator.
    NotCoordinator {
        /// Who is, as far as it knows.
        coordinator: Option<NodeId>,
    },
    /// A member tells the coordinator how far it is.
    Report(Report),
    /// The coordinator tells everyone how far the running job is.
    Progress(Progress),
    /// A node tells the coordinator whether it has a job's data.
    JobChecked(JobCheck),
    /// The coordinator tells everyone what jobs wait for, about once a second.
    Waits(JobWaits),
    /// A node tells all others which council it is in, about once a second and when a majority is lost.
    Standing(Standing),
    /// A node of another council comes over. It has nothing of what it may have promised in its old seat, so it needs one
    /// that promised nothing.
    Turn {
        /// What it says about itself.
        registration: Registration,
        /// The how-manieth turn of this process, from 1 on.
        turn: u64,
    },
}

/// Which council a node is in and how far it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The council.
    pub council: CouncilId,
    /// Samples of committed steps, each once: where two councils meet, the one with more of them goes on.
    pub samples: u64,
    /// The range of its views' epochs: a council that takes in nodes of another one goes above its range.
    pub range: u64,
    /// Term and index of the last entry of its log.
    pub log_end: (u64, u64),
    /// Whether it leads that council and has applied everything that was committed before.
    pub leads: bool,
}

/// What the jobs that have not ended wait for, as the coordinator knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobWaits {
    /// By job, at most [`WAITING_JOBS_MAX`], each with at most [`crate::coordinator::limits::WAITS_MAX`].
    pub jobs: Vec<(JobId, Vec<JobWait>)>,
}

/// Jobs in one [`JobWaits`]: the running one and the first of the queue.
pub const WAITING_JOBS_MAX: usize = 64;

/// One thing that a job waits for. Times are spans, because nodes share no clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobWait {
    /// In words, with the names of those it depends on.
    pub what: String,
    /// For how long it has been so, ms; `None` where that is not known.
    pub since_ms: Option<u64>,
    /// The timer that ends it.
    pub ends: Option<WaitEnd>,
}

/// A timer and what happens when it runs out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitEnd {
    /// Time left, ms.
    pub in_ms: u64,
    /// In words.
    pub then: String,
}

impl JobWait {
    /// A fact without a time.
    #[must_use]
    pub fn fact(what: impl Into<String>) -> Self {
        Self { what: what.into(), since_ms: None, ends: None }
    }
}

impl std::fmt::Display for JobWait {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        write!(formatter, "{}", self.what)?;
        let Some(since_ms) = self.since_ms else { return Ok(()) };
        write!(formatter, ", for {}", seconds(since_ms))?;
        match &self.ends {
            None => write!(formatter, ", no timer ends this"),
            Some(end) => write!(formatter, ", at most {} more, then {}", seconds(end.in_ms), end.then),
        }
    }
}

/// What the coordinator learns about a node when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The process that registers.
    pub boot: Boot,
    /// Numeric class of the node.
    pub numeric_class: String,
    /// Device it computes on, as `cpu` or `cuda:0`.
    pub device: String,
    /// Threads that it computes with.
    pub threads: u32,
    /// What it fails together with, at most [`crate::ledger::limits::FAILURE_LABEL_BYTES_MAX`]; empty for nothing but itself.
    pub failure_label: String,
    /// Version of its program, as `0.1.0`.
    pub version: String,
}

/// A fact that every node tells about each job that waits or runs, until the ledger shows that nobody needs it: what
/// it found where the job's data should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCheck {
    /// The job.
    pub job: JobId,
    /// The process that looked.
    pub boot: Boot,
    /// Digest of the data, or in words what is wrong with it, at most [`CHECK_REASON_BYTES_MAX`].
    pub outcome: Result<[u8; 32], String>,
}

/// Longest reason in a [`JobCheck`], bytes: a file, a line and what is wrong there. Longer ones are cut.
pub const CHECK_REASON_BYTES_MAX: usize = 512;

/// A training step in figures. All members have the same ones, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepPoint {
    /// Steps applied, this one included.
    pub step: u64,
    /// Mean loss of the step, from its exact sum.
    pub loss: f64,
    /// The learning rate that it was applied with.
    pub learning_rate: f64,
    /// Norm of the mean gradient before clipping.
    pub gradient_norm: f64,
}

/// What the held-out samples gave, from exact sums over all members.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationTotals {
    /// Right answers.
    pub correct: u64,
    /// Held-out samples.
    pub total: u64,
    /// Mean loss over them.
    pub loss: f64,
}

/// A member's word on its own progress, fenced by (job, incarnation, epoch, boot).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The job.
    pub job: JobId,
    /// The lineage.
    pub incarnation: Incarnation,
    /// The view in which it happened.
    pub epoch: Epoch,
    /// The process of the reporting member.
    pub boot: Boot,
    /// What happened.
    pub event: ReportEvent,
}

/// What a member reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ReportEvent {
    /// This life, in this tenure, has the state and the results of the step before it.
    Synced {
        /// Steps applied.
        step: u64,
        /// Chain of that state.
        chain: Chain,
    },
    /// Applied a step. Says nothing about survival; stable is what all members of one view applied.
    Applied {
        /// Steps applied, this one included.
        step: u64,
        /// Chain of the new state.
        chain: Chain,
        /// The latest step whose figures are known, this one or an earlier one: the trainer applies behind.
        point: Option<StepPoint>,
        /// A sample of the latest state that is known.
        sample: Option<StateSample>,
        /// What this process did for the job so far.
        work: WorkCounters,
    },
    /// Tested a state on the held-out samples. The totals are exact sums over all members, so one member's word is enough.
    Evaluated {
        /// Steps applied to that state.
        step: u64,
        /// Its chain.
        chain: Chain,
        /// The figures.
        totals: EvaluationTotals,
    },
    /// Wrote a checkpoint of the state after `step` steps to its disk.
    CheckpointWritten {
        /// Steps applied.
        step: u64,
        /// Chain of that state.
        chain: Chain,
        /// Digest of that state.
        digest: Digest,
        /// Its manifest.
        manifest: ManifestId,
        /// Length of the state, bytes.
        bytes: u64,
    },
    /// Could not write such a checkpoint.
    CheckpointNotWritten {
        /// Steps applied.
        step: u64,
        /// What was wrong, in words.
        reason: String,
    },
    /// Stopped in a view that halts. Said anew in each such view; the word of an earlier one counts for nothing.
    Halted {
        /// Steps applied.
        step: u64,
        /// Chain of that state.
        chain: Chain,
        /// Digest of that state.
        digest: Digest,
    },
    /// Holds the final state.
    Finished {
        /// Steps applied.
        step: u64,
        /// Chain of the final state.
        chain: Chain,
        /// Digest of the final state.
        digest: Digest,
        /// Right answers on the held-out samples.
        test_correct: u64,
        /// Number of held-out samples.
        test_total: u64,
    },
    /// A micro-batch gave a loss or a gradient that is not finite, or its computation failed.
    MicrobatchFailed {
        /// Steps applied before it.
        step: u64,
        /// Index within the step.
        microbatch: u32,
        /// The ids of its samples.
        samples: Vec<u32>,
        /// What was wrong, in words.
        reason: String,
    },
    /// Has come no further for a while, and what is missing. Said again for as long as that is so.
    Waiting(StepWait),
    /// Is in no view. Said again for as long as that is so.
    Outside {
        /// Whether its trainer has worked off all that it was told while this process was a member.
        is_idle: bool,
    },
    /// Another member sent what no honest one does.
    Misbehaved(Accusation),
}

/// Counters of one process for one job, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkCounters {
    /// Micro-batches whose gradient was computed.
    pub microbatches_computed: u64,
    /// Of these, the ones computed because another member's lease fell to this one within a step.
    pub microbatches_taken_over: u64,
    /// Contributions and results sent, payload bytes.
    pub exchange_bytes_sent: u64,
    /// Steps applied by this process.
    pub steps_applied: u64,
    /// Time that its computations took, µs.
    pub computing_us: u64,
}

/// The coordinator's word on a running job, sent to every connected node a few times a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The job.
    pub job: JobId,
    /// The lineage.
    pub incarnation: Incarnation,
    /// The newest committed view.
    pub epoch: Epoch,
    /// Stable steps: applied by every member of one view.
    pub stable_step: u64,
    /// The latest stable steps in figures, oldest first, at most [`PROGRESS_POINTS_MAX`].
    pub points: Vec<StepPoint>,
    /// Counters by process, the dead ones at their last word.
    pub work: Vec<(NodeId, Boot, WorkCounters)>,
    /// Nodes that are here and may not take part, at most one entry per registered node.
    pub kept_out: Vec<KeptOut>,
    /// Members that could not write the latest checkpoint that was theirs to write, at most one entry each.
    pub unwritten: Vec<UnwrittenCheckpoint>,
}

/// A checkpoint that is not on the disk of a member that was to write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwrittenCheckpoint {
    /// The member.
    pub node: NodeId,
    /// Steps applied.
    pub step: u64,
    /// What was wrong, in words.
    pub reason: String,
}

/// A node that is here and may not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOut {
    /// The node.
    pub node: NodeId,
    /// Why, in words.
    pub reason: String,
    /// After this time it may take part again, ms; `None` where no timer says so. A span, because nodes share no clock.
    pub ends_in_ms: Option<u64>,
}

/// Steps in one [`Progress`]: about a second of quick ones, so that a follower that missed a few sees no gap.
pub const PROGRESS_POINTS_MAX: usize = 256;
