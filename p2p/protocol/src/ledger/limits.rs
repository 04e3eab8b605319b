//! Every limit of the ledger. Together they keep a snapshot below the longest control message (8 MiB): finished jobs
//! 3 MiB, names and specifications of the others 2 MiB, histories of those that halted 1 MiB; the running one, the nodes
//! and the fixed figures of queued ones less than 2 MiB.

/// Registered nodes: the largest swarm that one council follows; each has a seat in the consensus group.
pub const NODES_MAX: usize = 64;

/// Jobs, finished ones included. The oldest finished ones are forgotten first.
pub const JOBS_MAX: usize = 1000;

/// Longest job specification, bytes of TOML: real ones have one or two KiB.
pub const SPEC_BYTES_MAX: usize = 64 << 10;

/// Longest name of a job, bytes: a line in a table.
pub const JOB_NAME_BYTES_MAX: usize = 128;

/// Names and specifications of all jobs that have not ended, bytes.
pub const OPEN_JOBS_BYTES_MAX: usize = 2 << 20;

/// Encoded records of all jobs that have ended, bytes. The oldest are forgotten beyond it.
pub const ENDED_JOBS_BYTES_MAX: usize = 3 << 20;

/// Jobs that ran and have not ended: the running one and those that wait to go on. Each keeps its history. Beyond it
/// no further job starts.
pub const STARTED_JOBS_MAX: usize = 64;

/// Encoded records, without name and specification, of jobs that ran and wait to go on, bytes. Beyond it the largest
/// histories shrink to what is needed to go on and a sketch of the past.
pub const HALTED_JOBS_BYTES_MAX: usize = 1 << 20;

/// Micro-batches of a step: a view names the holder of each.
pub const MICROBATCHES_MAX: u32 = 4096;

/// Samples in a micro-batch: more do not fit a device.
pub const MICROBATCH_SIZE_MAX: u32 = 1 << 20;

/// Parts of the gradient: a view names the owner of each.
pub const PARTS_MAX: u32 = 4096;

/// Steps of a job: three years at 10,000 steps a second, and far from any overflow.
pub const STEPS_MAX: u64 = 1 << 40;

/// Copies of a checkpoint: one on each node.
pub const CHECKPOINT_REPLICAS_MAX: u32 = NODES_MAX as u32;

/// Longest failure label of a node, bytes: the name of a rack.
pub const FAILURE_LABEL_BYTES_MAX: usize = 64;

/// Checkpoints kept of one job.
pub const CHECKPOINT_KEEP_MAX: u32 = 64;

/// Checkpoints of a job that people pinned: each is a whole copy of the state that nothing removes by itself.
pub const PINS_MAX: usize = 16;

/// Checkpoints of a job kept because they are the first of so many steps. Beyond it the oldest go.
pub const NTH_KEPT_MAX: usize = 64;

/// Checkpoints of a job kept because their tests are the best.
pub const BEST_KEPT_MAX: u32 = 16;

/// Tests remembered of a job for the choice of the best: those of all checkpoints that are kept, and of some to come.
pub const TESTS_KEPT_MAX: usize = 256;

/// Pinned checkpoints of lineages that were given up, of one job: twice as many as may be pinned at a time.
pub const ASIDE_MAX: usize = 2 * PINS_MAX;

/// Times that a job was taken back by people, remembered, newest kept.
pub const ROLLBACKS_MAX: usize = 16;

/// Checkpoints that are due by time, newest kept: members need the last one, and the one before while they get there.
pub const DUE_SAVES_MAX: usize = 4;

/// Longest time from one checkpoint to the next, ms: thirty days.
pub const CHECKPOINT_EVERY_MS_MAX: u64 = 30 * 24 * 3_600_000;

/// View changes remembered of a job, newest kept: 64 of them with 64 members each take 0.2 MiB.
pub const VIEW_CHANGES_MAX: usize = 64;

/// Ranges of committed steps of a job. Beyond it the two oldest become one, which forgets in which of two views
/// the older steps were committed, never that they were.
pub const COMMITTED_RANGES_MAX: usize = 1024;

/// Evaluations kept of a job. Beyond it some are dropped so that the rest show the whole course evenly.
pub const EVALUATIONS_MAX: usize = 256;

/// Evaluations kept of a halted job whose history had to shrink.
pub const EVALUATIONS_SHRUNK_MAX: usize = 16;

/// Failed micro-batches remembered within one step: one that fails twice ends the job, so a few are enough.
pub const FAILED_MICROBATCHES_MAX: usize = 16;

/// Sample ids kept of a failed micro-batch: enough to look for the culprit.
pub const FAILED_SAMPLES_MAX: usize = 256;

/// Longest reason kept in words, bytes; longer ones are cut.
pub const REASON_BYTES_MAX: usize = 2048;

/// Longest numeric class, device, version and reason of a drain of a node, bytes each.
pub const NODE_TEXT_BYTES_MAX: usize = 256;

/// Data sets: each with 64 holders takes 2.3 KiB.
pub const DATA_SETS_MAX: usize = 128;

/// Verdicts remembered, newest kept: for people who look within a day.
pub const VERDICTS_MAX: usize = 64;

/// Longest name of a data set, bytes: it becomes part of a file's.
pub const DATA_SET_NAME_BYTES_MAX: usize = 128;

/// Longest kind of a data set, bytes: a word.
pub const DATA_SET_TEXT_BYTES_MAX: usize = 32;

/// Rejected commands remembered for those who proposed them, newest kept.
pub const REJECTIONS_MAX: usize = 32;

/// Longest encoded command, bytes: a specification of 64 KiB, or a view with 4,096 leases and as many owners.
pub const LEDGER_COMMAND_BYTES_MAX: usize = 128 << 10;

/// Longest snapshot that is restored, bytes: what fits into a control message.
pub const LEDGER_SNAPSHOT_BYTES_MAX: usize = crate::wire::control::CONTROL_BYTES_MAX;

/// `text` cut to at most `bytes_max` bytes at the border of a character.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
}

/// Councils before the present one that are remembered, the newest: one for each time that a majority was lost.
pub const ANCESTORS_MAX: usize = 64;

/// Branches kept of councils that ended, the newest: a few for each time that two of them met.
pub const BRANCHES_MAX: usize = 64;

/// Longest encoded lineage in a snapshot, bytes: the councils before, a figure for each job, the branches.
pub const LINEAGE_BYTES_MAX: usize = 256 << 10;
