//! Which samples went into a step: from the job and its data, and the views and ranges of the ledger.

use std::sync::Arc;
use std::time::Duration;

use traind_actors::council::Published;
use traind_actors::session::{chain_of, localise};
use traind_protocol::ids::{Digest, Epoch, JobId};
use traind_protocol::ledger::JobRecord;
use traind_training::{JobSpec, StepSamples, step_samples};

use super::super::api_views;
use super::super::history::JobHistory;
use super::Backend;
use crate::control::api::{ApiError, JobSamples, MicroBatchSamples, NodeRef, Response, StepView};

/// How long an entry of the ledger may come after a word of it: far more than from one heartbeat of the council to the next.
const VIEW_PATIENCE: Duration = Duration::from_secs(2);

impl Backend {
    /// The samples of the `step`-th step of a job, counted from 1.
    pub(super) async fn job_samples(self, job: JobId, step: u64) -> Result<Response, ApiError> {
        let (record, past) = self.record_and_past(job).await?;
        let stable = api_views::stable_step(&record, &past);
        if step == 0 || step > stable {
            return Err(ApiError::no_such_object(format!("step {step} is not stable"))
                .because(format!("the job has {stable} stable steps of {}", record.plan.steps))
                .next(format!("trainctl job show {job}")));
        }
        let spec = JobSpec::parse(&record.spec_toml).map_err(|error| unreadable(&error))?;
        let sets = self.actors.data_sets.paths_of(&record.spec_toml);
        let spec = localise(&spec, &sets).map_err(|error| unreadable(&error))?;
        let found = tokio::task::spawn_blocking(move || step_samples(&spec, step - 1)).await;
        let samples = match found {
            Ok(Ok(samples)) => samples,
            Ok(Err(error)) => return Err(unreadable(&error)),
            Err(_panicked) => return Err(ApiError::unavailable("the job's data cannot be read")),
        };
        if samples.data_digest != record.data_digest {
            let (now, then) = (Digest(samples.data_digest), Digest(record.data_digest));
            return Err(ApiError::refused("this node's data is not what the job trained on")
                .because(format!("its digest is {now}, the job's is {then}"))
                .next("run the same command on a node that has the job's data"));
        }
        Ok(Response::JobSamples(answer(&record, step, (stable, past.epoch), samples)))
    }

    /// A job and what was heard of it, with the view of which it was heard: the word of it may come before the entry.
    async fn record_and_past(&self, job: JobId) -> Result<(JobRecord, JobHistory), ApiError> {
        let mut ledger = self.actors.view.published.clone();
        let knows_view = |published: &Arc<Published>, heard: Epoch| {
            published.ledger.jobs.get(&job).is_none_or(|record| record.newest_epoch().0 >= heard)
        };
        let heard = self.history().job(job).epoch;
        let known = ledger.wait_for(|published| knows_view(published, heard));
        // What is not known by then is said to be unknown.
        let _ = tokio::time::timeout(VIEW_PATIENCE, known).await;
        let gone = || ApiError::no_such_object("the job is gone");
        let record = self.published().ledger.jobs.get(&job).ok_or_else(gone)?.clone();
        Ok((record, self.history().job(job)))
    }
}

fn unreadable(error: &dyn std::error::Error) -> ApiError {
    ApiError::refused("the job's data cannot be read on this node")
        .because(chain_of(error))
        .next("run the same command on a node that has the job's data")
}

fn answer(record: &JobRecord, step: u64, heard: (u64, Epoch), samples: StepSamples) -> JobSamples {
    let view = record.view_of_stable_step(step, heard);
    let row = |(micro_batch, samples): (u32, Vec<u32>)| MicroBatchSamples {
        micro_batch,
        node: view.and_then(|view| view.lease_holder(micro_batch)).map(NodeRef::from),
        samples,
    };
    JobSamples {
        id: record.id.to_hex(),
        name: record.name.clone(),
        step,
        epoch_samples: samples.epoch_samples,
        view: view.map(|view| StepView {
            incarnation: view.incarnation.0,
            epoch: view.epoch.0,
            members: api_views::refs(view.members.iter().map(|member| member.node)),
            since_step: view.stable_step,
        }),
        micro_batches: (0..).zip(samples.micro_batches).map(row).collect(),
    }
}
