//! What can be asked.

use serde::{Deserialize, Serialize};

/// What can be asked. A job is named by its id, a unique prefix of it, or its name if only one job has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Request {
    /// How the daemon and its swarm are.
    Status,
    /// All nodes of the ledger, live or not.
    NodeList,
    /// Answers [`Response::NodeList`] as soon as that many nodes are live. The server does this one by itself.
    NodeWait {
        /// Nodes that must be live.
        live: u32,
        /// Gives up after that many milliseconds.
        timeout_ms: u64,
    },
    /// Submits a job.
    JobSubmit {
        /// The job file's text.
        spec_toml: String,
        /// The model to start from; its bytes follow the request on the connection.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Upload>,
        /// The imported model to start from, by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_imported: Option<String>,
        /// Whether the job is only checked: answered by [`Response::JobPlanned`](super::Response::JobPlanned).
        #[serde(default, skip_serializing_if = "is_false")]
        dry_run: bool,
    },
    /// All jobs, oldest first.
    JobList,
    /// Everything about one job.
    JobShow {
        /// The job.
        job: String,
    },
    /// What one job waits for.
    JobWhy {
        /// The job.
        job: String,
    },
    /// Which samples went into a stable step of a job.
    JobSamples {
        /// The job.
        job: String,
        /// The step, counted from 1.
        step: u64,
    },
    /// Events of one job until it ended.
    JobFollow {
        /// The job.
        job: String,
    },
    /// Stops a job for good.
    JobCancel {
        /// The job.
        job: String,
    },
    /// Lets a job finish what it has begun and wait.
    JobPause {
        /// The job.
        job: String,
    },
    /// Lets a paused job go on.
    JobResume {
        /// The job.
        job: String,
    },
    /// What this daemon's log says about a job.
    JobLogs {
        /// The job.
        job: String,
        /// Old lines at most; all that are kept if absent.
        tail: Option<u64>,
        /// Whether to go on with lines as they are written, until the job has ended.
        follow: bool,
    },
    /// The course of a job in numbers.
    JobMetrics {
        /// The job.
        job: String,
        /// Steps after this one only.
        since_step: Option<u64>,
        /// Whether to go on with steps as they become stable, until the job has ended.
        follow: bool,
    },
    /// Checkpoints in the ledger.
    CheckpointList {
        /// Of this job only.
        job: Option<String>,
    },
    /// Everything about one checkpoint.
    CheckpointShow {
        /// The job.
        job: String,
        /// Steps applied; the newest if absent.
        step: Option<u64>,
    },
    /// A checkpoint as files that other programs load.
    CheckpointExport {
        /// The job.
        job: String,
        /// Steps applied; the newest if absent.
        step: Option<u64>,
    },
    /// Reads every byte of a checkpoint on the daemon's node:
    /// [`StreamItem::StoreProgress`](super::StreamItem::StoreProgress) now and then, and
    /// [`StreamItem::CheckpointVerified`](super::StreamItem::CheckpointVerified).
    CheckpointVerify {
        /// The job.
        job: String,
        /// Steps applied; the newest if absent.
        step: Option<u64>,
    },
    /// Keeps a checkpoint until it is unpinned, or no longer for that reason.
    CheckpointPin {
        /// The job.
        job: String,
        /// Steps applied; the newest if absent.
        step: Option<u64>,
        /// Whether it is to be pinned.
        pinned: bool,
    },
    /// Forgets checkpoints that nothing keeps.
    CheckpointPrune {
        /// The job.
        job: String,
        /// How many of the newest to keep; as many as the job says if absent.
        keep: Option<u32>,
        /// Whether it is only looked.
        #[serde(default, skip_serializing_if = "is_false")]
        dry_run: bool,
    },
    /// Takes a job that is paused or has ended back to one of its checkpoints.
    CheckpointRollback {
        /// The job.
        job: String,
        /// Steps applied; 0 is its beginning.
        step: u64,
    },
    /// Takes in a checkpoint of the daemon's machine: a manifest of another data directory, or an exported model.
    CheckpointImport {
        /// A file that ends in `.manifest`, a `model.safetensors`, or a directory with one; absolute.
        path: String,
        /// Of a manifest: the folder of its chunks; `../chunks` beside it if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chunks: Option<String>,
        /// Of a model: what it is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Everything about one node, named by its id, a unique prefix of it, or its name.
    NodeShow {
        /// The node; the daemon's own if absent.
        node: Option<String>,
    },
    /// Lets a node take no more work, and hand over what it has.
    NodeDrain {
        /// The node; the daemon's own if absent.
        node: Option<String>,
        /// Why; shown to everyone.
        reason: String,
        /// Whether it ends with the node's next start.
        until_restart: bool,
    },
    /// [`StreamItem::NodeDetail`](super::StreamItem::NodeDetail) whenever a drain has come further, until it is
    /// drained or no longer to be. The server does this one by itself.
    NodeDrainFollow {
        /// The node; the daemon's own if absent.
        node: Option<String>,
    },
    /// Lets a drained node take work again.
    NodeUndrain {
        /// The node; the daemon's own if absent.
        node: Option<String>,
    },
    /// Takes the daemon's own, drained node out of the ledger for good; after the answer the daemon stops.
    Leave,
    /// What happened in the swarm.
    Events {
        /// Old events at most; all that are kept if absent.
        tail: Option<u64>,
        /// Whether to go on with events as they happen.
        follow: bool,
    },
    /// Data sets in the ledger.
    DataList,
    /// Checks a file or folder of the daemon's machine, cuts it, and gives it a name.
    DataAdd {
        /// The name.
        name: String,
        /// Where it is, absolute.
        path: String,
        /// `idx`, `csv`, `text`, `jsonl`, `images` or `files`; by the path if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set_kind: Option<String>,
        /// Which column of a table is the class.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// Whether the first line of a table names the columns.
        #[serde(default, skip_serializing_if = "is_false")]
        header: bool,
        /// Which field of each line of a JSONL file is the text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// Everything about one data set.
    DataShow {
        /// Its name.
        name: String,
    },
    /// Reads all of a data set on the daemon's node.
    DataVerify {
        /// Its name.
        name: String,
    },
    /// Forgets a data set that no open job needs.
    DataRemove {
        /// Its name.
        name: String,
    },
    /// What the node of the daemon keeps on its disk.
    StoreStatus,
    /// Reads every byte of it: [`StreamItem::StoreProgress`](super::StreamItem::StoreProgress) now and then, and
    /// [`StreamItem::StoreVerified`](super::StreamItem::StoreVerified).
    StoreVerify,
    /// Removes chunks that nothing names.
    StoreCollect {
        /// Whether it is only looked.
        #[serde(default, skip_serializing_if = "is_false")]
        dry_run: bool,
    },
    /// Makes the index of the chunks anew from the manifests.
    StoreRebuildIndex,
    /// The daemon's settings with their origins.
    ConfigShow,
    /// Versions of the daemon and of all nodes.
    Version,
}

/// A file whose bytes follow a request on the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its length, bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

impl Request {
    /// Submits a job that starts from fresh parameters.
    #[must_use]
    pub fn job_submit(spec_toml: impl Into<String>) -> Self {
        Self::JobSubmit { spec_toml: spec_toml.into(), from: None, from_imported: None, dry_run: false }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
