//! Answers for shells: names alone, or one object per element of a list.

use serde::Serialize;

use super::super::failure::Failure;
use super::super::output::json;
use crate::control::api::{
    CheckpointImported, CheckpointRow, ConfigEntry, DataRow, JobRow, NodeRow, Response,
};

/// An element of a list as an object of its own.
#[derive(Serialize)]
#[serde(tag = "kind")]
enum Element<'a> {
    #[serde(rename = "Node")]
    Node(&'a NodeRow),
    #[serde(rename = "Job")]
    Job(&'a JobRow),
    #[serde(rename = "Checkpoint")]
    Checkpoint(&'a CheckpointRow),
    #[serde(rename = "Data")]
    Data(&'a DataRow),
    #[serde(rename = "ConfigEntry")]
    Config(&'a ConfigEntry),
}

/// The elements of a list, a line of JSON each; `None` where the answer is no list.
pub(in super::super) fn elements(answer: &Response) -> Option<Result<String, Failure>> {
    let elements: Vec<Element<'_>> = match answer {
        Response::NodeList { nodes } => nodes.iter().map(Element::Node).collect(),
        Response::JobList { jobs } => jobs.iter().map(Element::Job).collect(),
        Response::CheckpointList { checkpoints } => checkpoints.iter().map(Element::Checkpoint).collect(),
        Response::DataList { data } => data.iter().map(Element::Data).collect(),
        Response::Config { entries } => entries.iter().map(Element::Config).collect(),
        _ => return None,
    };
    Some(elements.iter().map(json).collect())
}

/// What an answer is about, one per line: names of nodes, ids of jobs, `JOB/STEP` of checkpoints, keys of settings.
pub(in super::super) fn names(answer: &Response) -> String {
    let checkpoint = |row: &CheckpointRow| format!("{}/{}", row.job, row.step);
    let names: Vec<String> = match answer {
        Response::Status(status) => vec![status.node.name.clone()],
        Response::NodeList { nodes } => nodes.iter().map(|node| node.name.clone()).collect(),
        Response::NodeDetail(detail) => vec![detail.row.name.clone()],
        Response::JobSubmitted { job, .. }
        | Response::JobPausing { job }
        | Response::JobResumed { job }
        | Response::JobCancelled { job } => vec![job.clone()],
        Response::JobPlanned(planned) => vec![planned.name.clone()],
        Response::JobList { jobs } => jobs.iter().map(|job| job.id.clone()).collect(),
        Response::JobDetail(detail) => vec![detail.id.clone()],
        Response::JobWhy(why) => vec![why.id.clone()],
        // For shells: the ids of the step's samples, in order.
        Response::JobSamples(samples) => {
            samples.micro_batches.iter().flat_map(|row| &row.samples).map(ToString::to_string).collect()
        }
        Response::CheckpointList { checkpoints } => checkpoints.iter().map(checkpoint).collect(),
        Response::CheckpointDetail(detail) => vec![checkpoint(&detail.row)],
        Response::CheckpointExport(export) => export.files.iter().map(|file| file.name.clone()).collect(),
        Response::DataList { data } => data.iter().map(|row| row.name.clone()).collect(),
        Response::DataAdded(row) => vec![row.name.clone()],
        Response::DataDetail(detail) => vec![detail.row.name.clone()],
        Response::DataVerified(verified) => vec![verified.name.clone()],
        Response::DataRemoved { name } => vec![name.clone()],
        Response::Left { node } => vec![node.name.clone()],
        Response::CheckpointPinned(row) => vec![checkpoint(row)],
        Response::CheckpointsPruned(pruned) => pruned.removed.iter().map(checkpoint).collect(),
        Response::CheckpointImported(CheckpointImported::Checkpoint(row)) => vec![checkpoint(row)],
        Response::CheckpointImported(CheckpointImported::Model { name, .. }) => vec![name.clone()],
        Response::JobRolledBack { job, .. } => vec![job.clone()],
        Response::StoreStatus(report) => vec![report.data_dir.clone()],
        Response::StoreCollected(collected) => vec![collected.chunks.to_string()],
        Response::StoreIndexRebuilt { manifests } => vec![manifests.to_string()],
        Response::Config { entries } => entries.iter().map(|entry| entry.key.clone()).collect(),
        Response::Version(info) => vec![info.version.clone()],
        Response::Error(_) => Vec::new(),
    };
    names.iter().map(|name| format!("{name}\n")).collect()
}
