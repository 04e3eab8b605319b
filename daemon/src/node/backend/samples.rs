//! Which samples went into a step: from the job and its data, and the views and ranges of the ledger.

use traind_actors::session::{chain_of, localise};
use traind_protocol::ids::{Digest, JobId};
use traind_protocol::ledger::JobRecord;
use traind_training::{JobSpec, StepSamples, step_samples};

use super::super::api_views;
use super::Backend;
use crate::control::api::{ApiError, JobSamples, MicroBatchSamples, NodeRef, Response, StepView};

impl Backend {
    /// The samples of the `step`-th step of a job, counted from 1.
    pub(super) async fn job_samples(self, job: JobId, step: u64) -> Result<Response, ApiError> {
        let published = self.published();
        let gone = || ApiError::no_such_object("the job is gone");
        let record = published.ledger.jobs.get(&job).ok_or_else(gone)?.clone();
        let stable = api_views::stable_step(&record, &self.history().job(job));
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
        Ok(Response::JobSamples(answer(&record, step, samples)))
    }
}

fn unreadable(error: &dyn std::error::Error) -> ApiError {
    ApiError::refused("the job's data cannot be read on this node")
        .because(chain_of(error))
        .next("run the same command on a node that has the job's data")
}

fn answer(record: &JobRecord, step: u64, samples: StepSamples) -> JobSamples {
    let view = record.view_of_step(step);
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
