//! Requests, answers and events of the control socket. Their JSON is versioned: fields are added, never changed.

mod error;
mod event;
mod job;
mod node;
mod request;
mod status;

pub use error::{ApiError, ErrorCode};
pub use event::FollowEvent;
pub use job::{
    CheckpointRow, Departure, JobDetail, JobResult, JobRow, JobStatus, LossPoint, MemberRow, NumericClassRow,
    StepRange, ViewRow, WorkRow, mixed_class_warnings,
};
pub use node::{CouncilRole, NodeRef, NodeRole, NodeRow};
pub use request::{Request, Response};
pub use status::{Council, JobSummary, Status};

#[cfg(test)]
mod tests;
