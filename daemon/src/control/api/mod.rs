//! Requests, answers and events of the control socket. Their JSON is versioned: fields are added, never changed.

mod boot_hex;
mod checkpoint;
mod config;
mod data;
mod drain;
mod error;
mod event;
mod job;
mod log;
mod metric;
mod node;
mod request;
mod response;
mod samples;
mod status;
mod store;
mod stream;
mod swarm_event;
mod version;
mod view;
mod why;

pub use checkpoint::{
    CheckpointDetail, CheckpointExport, CheckpointImported, CheckpointRow, CheckpointVerified,
    CheckpointsPruned, ExportedFile, KeptReason,
};
pub use config::ConfigEntry;
pub use data::{DataDetail, DataFile, DataRow, DataVerified};
pub use drain::{Drain, KeptOut};
pub use error::{ApiError, ErrorCode};
pub use event::FollowEvent;
pub use job::{
    JobData, JobDetail, JobPlanned, JobResult, JobRow, JobStatus, LossPoint, NumericClassRow, Pause, Refusal,
};
pub use log::{LogLevel, LogLine};
pub use metric::{EvaluationPoint, MetricPoint};
pub use node::{CouncilRole, NodeDetail, NodeRef, NodeRole, NodeRow};
pub use request::{Request, Upload};
pub use response::Response;
pub use samples::{JobSamples, MicroBatchSamples, StepView};
pub use status::{Council, JobSummary, Status};
pub use store::{DamagedFile, StoreCollected, StoreProgress, StoreReport, StoreVerified};
pub use stream::{StreamItem, StreamLine};
pub use swarm_event::{EventKind, EventLine};
pub use version::{NodeVersion, VersionInfo};
pub use view::{Departure, MemberRow, StepRange, ViewRow, WorkRow, mixed_class_warnings};
pub use why::{CouncilStandstill, JobWhy, MissingNode, WaitRow};

#[cfg(test)]
mod tests;
