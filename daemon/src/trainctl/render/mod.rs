//! Answers as text for people, or for shells. Pure: data in, text out.

mod checkpoint;
mod config;
mod data;
mod elements;
mod event;
mod job;
mod node;
mod samples;
mod status;
mod store;
mod stream;
mod table;
mod units;
mod version;
mod why;
mod wrap;

use crate::control::api::Response;

pub(super) use checkpoint::exported;
pub(super) use config::config;
pub(super) use elements::{elements, names};
pub(super) use event::{ending, event};
pub(super) use job::work;
pub(super) use node::drained;
pub(super) use stream::{METRICS_CSV_HEAD, METRICS_HEAD, metric_csv, stream_line, stream_name};
pub(super) use units::{bytes, duration_ms, percent};
pub(super) use version::version;
pub(super) use wrap::wrap;

/// Lines of names and values; long values go on below themselves.
fn facts(lines: &[(&str, String)]) -> String {
    let line = |(name, value): &(&str, String)| {
        format!("{}\n", wrap(&format!("{:<15}{value}", format!("{name}:")), 15))
    };
    lines.iter().map(line).collect()
}

/// Any answer, with a line end. Wide: all columns, nothing shortened.
pub(super) fn response(answer: &Response, is_wide: bool) -> String {
    match answer {
        Response::Status(status) => status::status(status),
        Response::NodeList { nodes } => node::nodes(nodes, is_wide),
        Response::NodeDetail(detail) => node::detail(detail),
        Response::JobSubmitted { job, name } => format!("submitted {name} as {job}\n"),
        Response::JobPlanned(planned) => job::planned(planned),
        Response::JobList { jobs } => job::jobs(jobs, is_wide),
        Response::JobDetail(detail) => job::detail(detail, is_wide),
        Response::JobWhy(why) => why::why(why),
        Response::JobSamples(samples) => samples::samples(samples, is_wide),
        Response::JobPausing { job } => format!("pausing {job}: it stops after its present step\n"),
        Response::JobResumed { job } => format!("resumed {job}\n"),
        Response::JobCancelled { job } => format!("cancelled {job}\n"),
        Response::CheckpointList { checkpoints } => checkpoint::checkpoints(checkpoints, is_wide),
        Response::CheckpointDetail(detail) => checkpoint::detail(detail),
        Response::CheckpointExport(export) => format!("{} files follow\n", export.files.len()),
        Response::CheckpointPinned(row) => checkpoint::pinned(row),
        Response::CheckpointsPruned(pruned) => checkpoint::pruned(pruned),
        Response::CheckpointImported(imported) => checkpoint::imported(imported),
        Response::JobRolledBack { job, from_step, step } => {
            format!("took {job} back from step {from_step} to step {step}; it is paused\n")
        }
        Response::DataList { data } => data::sets(data, is_wide),
        Response::DataAdded(row) => format!(
            "added {} ({}): jobs use it as path = \"set:{}\"\n",
            row.name,
            units::bytes(row.bytes),
            row.name
        ),
        Response::DataDetail(detail) => data::detail(detail),
        Response::DataVerified(verified) => data::verified(verified),
        Response::DataRemoved { name } => format!("removed {name}\n"),
        Response::Left { node } => format!("{} has left; its daemon stops\n", node.name),
        Response::StoreStatus(report) => store::report(report),
        Response::StoreCollected(collected) => store::collected(collected),
        Response::StoreIndexRebuilt { manifests } => {
            format!("made the index anew from {manifests} manifests\n")
        }
        Response::Config { entries } => config::config(entries, is_wide),
        Response::Version(info) => version::version(env!("CARGO_PKG_VERSION"), Some(info), is_wide),
        Response::Error(error) => format!("{error}\n"),
    }
}

/// `text` without characters that would move the cursor or colour a terminal: parts of it come from other machines.
pub(super) fn printable(text: &str) -> String {
    let is_harmless = |character: char| !character.is_control() || character == '\n';
    text.chars().map(|character| if is_harmless(character) { character } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests;
