//! From a job's text to what the ledger has to know of it, and whether this node can run it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thiserror::Error;
use traind_averaging::{Grid, PartLayout};
use traind_protocol::ids::{Chain, Digest};
use traind_protocol::ledger::{BestBy, JobPlan, KeepRules};
use traind_protocol::transfer::STATE_BYTES_MAX;
use traind_training::{BestMetric, CheckpointSpec, DataFacts, DataSummary, JobSpec, Session};

use super::early_stopping::EarlyStopping;
use super::state;
use super::trainer::chain_of;

/// A job that cannot run as it is written.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The text is not a job.
    #[error("the job file is refused")]
    Spec(#[from] traind_training::SpecError),
    /// The model or data cannot be built.
    #[error("the model or its data cannot be built: {reason}")]
    Session {
        /// What is wrong.
        reason: String,
    },
    /// A data set is not here.
    #[error(
        "there is no data set {name:?} here: `trainctl data ls` lists them, `trainctl data add` makes one"
    )]
    NoSuchSet {
        /// Its name.
        name: String,
    },
    /// More than this node gives to a job.
    #[error("the job takes about {bytes} bytes of memory, limits.memory of this node allows {bytes_max}")]
    Memory {
        /// What it takes, an estimate.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The state does not fit into what nodes exchange.
    #[error("the job's state takes {bytes} bytes, {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
}

/// What a node has for a job.
#[derive(Clone, Debug)]
pub struct JobNeeds {
    /// Device that training runs on.
    pub device: String,
    /// Bytes that a job may take; `None` is no limit.
    pub memory_bytes_max: Option<u64>,
    /// Where data sets of the swarm are on this node.
    pub sets: SetPaths,
}

/// Where data sets are on this node, by name.
pub type SetPaths = BTreeMap<String, PathBuf>;

/// A job's description with the paths of this node.
///
/// # Errors
/// When it names a data set that is not here.
pub fn localise(spec: &JobSpec, sets: &SetPaths) -> Result<JobSpec, PlanError> {
    let mut local = spec.clone();
    local.localise(|name| sets.get(name).cloned()).map_err(|name| PlanError::NoSuchSet { name })?;
    Ok(local)
}

/// A job that can run on this node.
#[derive(Debug)]
pub struct PlannedJob {
    /// Its description.
    pub spec: JobSpec,
    /// What the ledger has to know of it.
    pub plan: JobPlan,
    /// Which of its checkpoints are kept beside the newest, and when time makes one due.
    pub rules: KeepRules,
    /// Its data as found here.
    pub data: DataSummary,
    /// The state of step 0, where it starts from given parameters.
    pub initial: Option<InitialState>,
}

/// A state of step 0 that the seed alone does not decide.
#[derive(Debug)]
pub struct InitialState {
    /// Its digest.
    pub digest: Digest,
    /// The state.
    pub bytes: Bytes,
}

/// Reads a job file and works out what the ledger has to know of it. Builds the model once, to see that it can be. `from`
/// is a `model.safetensors` to start from.
///
/// # Errors
/// When the text is no job, its data or `from` cannot be used, or the job cannot run here.
pub fn plan_job(spec_toml: &str, needs: &JobNeeds, from: Option<&Path>) -> Result<PlannedJob, PlanError> {
    let spec = JobSpec::parse(spec_toml)?;
    let local = localise(&spec, &needs.sets)?;
    let refused = |error: &dyn std::error::Error| PlanError::Session { reason: chain_of(error) };
    let data = traind_training::check_data(&local).map_err(|error| refused(&error))?;
    check_memory(&local, &data, needs)?;
    let mut session = Session::start(&local, &needs.device).map_err(|error| refused(&error))?;
    let layout = PartLayout::new(session.layout().elements()).map_err(|error| refused(&error))?;
    let state_bytes = session.state_bytes();
    if state_bytes > STATE_BYTES_MAX {
        return Err(PlanError::TooLarge { bytes: state_bytes, bytes_max: STATE_BYTES_MAX });
    }
    let initial = match from {
        None => None,
        Some(from) => {
            let training = traind_training::initial_state(&local, from).map_err(|error| refused(&error))?;
            session.restore(&training).map_err(|error| refused(&error))?;
            let (grid, stopping) = (Grid::new(&layout), EarlyStopping::new(&spec.evaluation));
            Some(InitialState {
                digest: state::digest(&grid, stopping, &session),
                bytes: [state::head(&grid, stopping), session.state()].concat().into(),
            })
        }
    };
    let plan = JobPlan {
        microbatches: spec.batch.micro_batches,
        microbatch_size: spec.batch.micro_batch_size,
        parts: layout.parts(),
        steps: spec.steps,
        may_end_early: spec.evaluation.patience > 0,
        checkpoint_every: spec.checkpoint.every_steps,
        checkpoint_keep: spec.checkpoint.keep,
        checkpoint_replicas: spec.checkpoint.replicas,
        nodes_min: spec.nodes.min,
        nodes_max: spec.nodes.max,
        genesis: genesis(spec_toml, &data, initial.as_ref()),
        state_bytes,
    };
    let rules = keep_rules(&spec.checkpoint);
    Ok(PlannedJob { spec, plan, rules, data, initial })
}

fn keep_rules(checkpoint: &CheckpointSpec) -> KeepRules {
    KeepRules {
        every_ms: checkpoint.every_ms,
        nth_steps: checkpoint.keep_every,
        best: checkpoint.keep_best,
        best_by: match checkpoint.best_by {
            BestMetric::Loss => BestBy::Loss,
            BestMetric::Accuracy => BestBy::Accuracy,
        },
    }
}

/// Whether this node can take part in a job: the digest of its data, or in words why not.
///
/// # Errors
/// For people: what is wrong and where.
pub fn check_job(spec_toml: &str, needs: &JobNeeds) -> Result<[u8; 32], String> {
    let spec = JobSpec::parse(spec_toml).map_err(|error| chain_of(&error))?;
    let spec = localise(&spec, &needs.sets).map_err(|error| chain_of(&error))?;
    let data = traind_training::check_data(&spec).map_err(|error| chain_of(&error))?;
    check_memory(&spec, &data, needs).map_err(|error| chain_of(&error))?;
    Ok(data.digest)
}

/// Bytes of memory that a job takes on such data, an encoded state for what is saved or sent included.
///
/// # Errors
/// When the description has no model for the data.
pub(super) fn memory_bytes(spec: &JobSpec, facts: &DataFacts) -> Result<u64, traind_training::TrainingError> {
    let kept = traind_training::state_bytes(spec, facts)?;
    Ok(traind_training::memory_estimate_bytes(spec, facts)?.saturating_add(kept))
}

fn check_memory(spec: &JobSpec, data: &DataSummary, needs: &JobNeeds) -> Result<(), PlanError> {
    // What black is changes no size.
    let facts = DataFacts {
        image_shape: data.shape,
        classes: data.classes,
        tokens: spec.data.is_text(),
        black: 0.0,
        bytes: data.bytes,
    };
    let refused = |error: traind_training::TrainingError| PlanError::Session { reason: chain_of(&error) };
    let bytes = memory_bytes(spec, &facts).map_err(refused)?;
    match needs.memory_bytes_max {
        Some(bytes_max) if bytes > bytes_max => Err(PlanError::Memory { bytes, bytes_max }),
        _ => Ok(()),
    }
}

/// The chain of the state at step 0: a hash of everything that the result is a function of.
fn genesis(spec_toml: &str, data: &DataSummary, initial: Option<&InitialState>) -> Chain {
    let mut hasher = blake3::Hasher::new_derive_key("traind genesis chain v2");
    hasher.update(&data.digest);
    hasher.update(&initial.map_or([0; 32], |initial| initial.digest.0));
    hasher.update(spec_toml.as_bytes());
    Chain(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "name = \"a\"\nmodel = \"lenet\"\ndata = \"digits\"\nsteps = 10\n\
                       [batch]\nmicro_batches = 4\nmicro_batch_size = 2\n";

    #[test]
    fn the_state_that_a_trainer_keeps_counts_as_memory_of_the_job() {
        let spec = JobSpec::parse(JOB).unwrap();
        let session = Session::start(&spec, "cpu").unwrap();
        let working = traind_training::memory_estimate_bytes(&spec, session.data_facts()).unwrap();
        let needed = working + session.state_bytes();
        let check = |bytes_max: u64| {
            let needs = JobNeeds {
                device: "cpu".to_owned(),
                memory_bytes_max: Some(bytes_max),
                sets: SetPaths::new(),
            };
            check_job(JOB, &needs)
        };
        assert!(check(needed).is_ok());
        let refused = check(needed - 1).unwrap_err();
        assert!(refused.contains("memory"), "{refused}");
    }
}
