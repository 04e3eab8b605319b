//! Takes a job in: checks it here, keeps the model that it starts from, puts it into the ledger.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use traind_actors::session::{InitialState, JobNeeds, PlanError, PlannedJob, plan_job};
use traind_protocol::ids::{Chain, JobId};
use traind_protocol::ledger::{CheckpointEntry, LedgerCommand};

use super::Backend;
use super::import::MODEL_KIND;
use super::initial_state::InitialOnDisk;
use crate::control::Submission;
use crate::control::api::{ApiError, JobData, JobPlanned, Response};

/// What to do about a job that cannot be planned: nothing was submitted.
const CHECK_AGAIN: &str = "mend it, and see whether it is taken: trainctl job submit JOB.toml --dry-run";

impl Backend {
    /// Answers a submission.
    pub(super) async fn submit_job(self, submission: Submission) -> Result<Response, ApiError> {
        let Submission { spec_toml, from, from_imported, dry_run } = submission;
        self.ensure_sets(&spec_toml).await?;
        let imported = match from_imported {
            Some(name) => Some(self.imported_model(&name).await?),
            None => None,
        };
        let needs = self.needs(&spec_toml);
        let (text, start_from) = (spec_toml.clone(), from.is_some() || imported.is_some());
        let staged_path = from.as_ref().map(|staged| staged.file.path().display().to_string());
        let planned = tokio::task::spawn_blocking(move || {
            // The staged file lives until it is read.
            let staged = from.as_ref().map(|staged| staged.file.path());
            plan_job(&text, &needs, staged.or(imported.as_deref()))
        });
        let planned = planned
            .await
            .map_err(|_panicked| ApiError::refused("the job cannot be planned"))?
            .map_err(|error| refusal(error, start_from, staged_path.as_deref()))?;
        if let Some(what) = planned.plan.violation().or_else(|| planned.rules.violation()) {
            return Err(ApiError::bad_request(format!("the job is refused: {what}")).next(CHECK_AGAIN));
        }
        if dry_run {
            return Ok(Response::JobPlanned(described(&planned)));
        }
        let PlannedJob { spec, plan, rules, data, initial } = planned;
        let id = self.new_job_id(&spec_toml);
        let (name, by, genesis) = (spec.name.clone(), self.actors.node, plan.genesis);
        let mut command = LedgerCommand::SubmitJob {
            id,
            name: spec.name,
            spec_toml,
            plan,
            data_digest: data.digest,
            initial: None,
            by,
            rules,
        };
        // Before a state is written that nobody would remove.
        self.check_room(&command, "trainctl job ls; trainctl job cancel JOB makes room")?;
        if let (LedgerCommand::SubmitJob { initial: kept, .. }, Some(state)) = (&mut command, initial) {
            *kept = Some(self.keep_initial(id, genesis, state).await?);
        }
        self.propose_until(command, move |published| published.ledger.jobs.contains_key(&id)).await?;
        Ok(Response::JobSubmitted { job: id.to_hex(), name })
    }

    /// Where the files of an imported model are, once they are here.
    async fn imported_model(&self, name: &str) -> Result<PathBuf, ApiError> {
        let kind = self.published().ledger.data_sets.get(name).map(|record| record.kind.clone());
        match kind.as_deref() {
            Some(MODEL_KIND) => self.ensure_set(name).await,
            Some(_) => {
                Err(ApiError::refused(format!("{name:?} is data, not a model")).next("trainctl data ls"))
            }
            None => Err(ApiError::no_such_object(format!("no imported model {name:?}"))
                .next("trainctl checkpoint import PATH --name NAME")),
        }
    }

    fn needs(&self, spec_toml: &str) -> JobNeeds {
        JobNeeds {
            device: self.device.clone(),
            memory_bytes_max: self.memory_bytes_max,
            sets: self.actors.data_sets.paths_of(spec_toml),
        }
    }

    fn new_job_id(&self, spec_toml: &str) -> JobId {
        let mut hasher = blake3::Hasher::new_derive_key("traind job id v1");
        hasher.update(&self.actors.node.0);
        hasher.update(&self.facts.started.elapsed().as_nanos().to_le_bytes());
        hasher.update(&std::process::id().to_le_bytes());
        hasher.update(spec_toml.as_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        JobId(id)
    }

    /// The state that a job starts from is a checkpoint of step 0, which the others get from here as joiners do.
    async fn keep_initial(
        &self,
        job: JobId,
        chain: Chain,
        state: InitialState,
    ) -> Result<CheckpointEntry, ApiError> {
        let refused = || ApiError::unavailable("the model to start from cannot be kept");
        let written = InitialOnDisk::write(Arc::clone(&self.facts.store), job, chain, state).await;
        let written = written.map_err(|error| match error {
            Some(error) => {
                refused().because(format!("{:#}", anyhow::Error::new(error))).next("trainctl status")
            }
            None => refused(),
        })?;
        // Nothing is waited for from here to the proposal.
        let record = written.claim();
        Ok(CheckpointEntry {
            step: record.step,
            chain: record.chain,
            digest: record.digest,
            manifest: record.manifest,
            bytes: record.state_bytes,
            holders: BTreeSet::from([self.actors.node]),
            assigned: BTreeSet::new(),
        })
    }
}

fn described(planned: &PlannedJob) -> JobPlanned {
    let PlannedJob { spec, plan, data, .. } = planned;
    JobPlanned {
        name: spec.name.clone(),
        steps: plan.steps,
        micro_batches: plan.microbatches,
        micro_batch_size: plan.microbatch_size,
        nodes_min: plan.nodes_min,
        state_bytes: plan.state_bytes,
        data: Some(JobData {
            kind: spec.data.kind().to_owned(),
            path: spec.data.path().map(|path| path.display().to_string()),
            digest: Some(traind_protocol::ids::Digest(data.digest).to_hex()),
        }),
        warnings: Vec::new(),
    }
}

/// Where the model came as a file, people know it by another path than the one it is `staged` at.
fn refusal(error: PlanError, start_from: bool, staged: Option<&str>) -> ApiError {
    match error {
        PlanError::Spec(error) => ApiError::of_job_file(&error),
        PlanError::Session { reason } if start_from => {
            let reason =
                staged.map_or_else(|| reason.clone(), |path| reason.replace(path, "the file that was given"));
            ApiError::bad_request(format!("the job or the model to start from is refused: {reason}"))
                .next(CHECK_AGAIN)
        }
        other => ApiError::bad_request(other.to_string()).next(CHECK_AGAIN),
    }
}
