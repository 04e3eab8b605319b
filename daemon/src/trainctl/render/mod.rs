//! Answers as text for people. Pure: data in, text out.

mod checkpoint;
mod event;
mod job;
mod node;
mod status;
mod table;
mod units;
mod wrap;

use crate::control::api::Response;

pub(super) use event::{ending, event};
pub(super) use job::work;
pub(super) use units::{duration_ms, percent};
pub(super) use wrap::wrap;

/// Lines of names and values; long values go on below themselves.
fn facts(lines: &[(&str, String)]) -> String {
    let line = |(name, value): &(&str, String)| {
        format!("{}\n", wrap(&format!("{:<15}{value}", format!("{name}:")), 15))
    };
    lines.iter().map(line).collect()
}

/// Any answer, with a line end.
pub(super) fn response(answer: &Response) -> String {
    match answer {
        Response::Status(status) => status::status(status),
        Response::NodeList { nodes } => node::nodes(nodes),
        Response::JobSubmitted { job, name } => format!("submitted {name} as {job}\n"),
        Response::JobList { jobs } => job::jobs(jobs),
        Response::JobDetail(detail) => job::detail(detail),
        Response::JobCancelled { job } => format!("cancelled {job}\n"),
        Response::CheckpointList { checkpoints } => checkpoint::checkpoints(checkpoints),
        Response::Error(error) => format!("{error}\n"),
        other => format!("{other:?}\n"),
    }
}

#[cfg(test)]
mod tests;
