//! From a job's text to a running session: plan, threads, queues.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use thiserror::Error;
use tokio::sync::mpsc;
use traind_averaging::PartLayout;
use traind_protocol::ids::Chain;
use traind_protocol::ledger::{JobPlan, JobRecord};
use traind_protocol::sync::SyncOptions;
use traind_protocol::wire::data::DATA_PAYLOAD_BYTES_MAX;
use traind_training::{JobSpec, Session};

use super::SessionParts;
use super::driver::{SessionDriver, SessionError, SessionPlan};
use super::links::SessionLinks;
use super::messages::{SESSION_INBOX_MAX, SessionInput, TRAINER_EVENTS_MAX, TRAINER_QUEUE_MAX};
use super::trainer::{Trainer, chain_of, panic_message};

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
    /// The state does not fit into what nodes exchange.
    #[error("the job's state takes {bytes} bytes, {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
}

/// Reads a job file and works out what the ledger has to know of it. Builds the model once, to see that it can be.
///
/// # Errors
/// When the text is no job, or the job cannot run.
pub fn plan_job(spec_toml: &str, device: &str) -> Result<(JobSpec, JobPlan), PlanError> {
    let spec = JobSpec::parse(spec_toml)?;
    let session =
        Session::start(&spec, device).map_err(|error| PlanError::Session { reason: chain_of(&error) })?;
    let layout = PartLayout::new(session.layout().elements())
        .map_err(|error| PlanError::Session { reason: error.to_string() })?;
    let state_bytes = session.state_bytes();
    let bytes_max = DATA_PAYLOAD_BYTES_MAX as u64 / 2;
    if state_bytes > bytes_max {
        return Err(PlanError::TooLarge { bytes: state_bytes, bytes_max });
    }
    let plan = JobPlan {
        microbatches: spec.batch.micro_batches,
        microbatch_size: spec.batch.micro_batch_size,
        parts: layout.parts(),
        steps: spec.steps,
        checkpoint_every: spec.checkpoint.every_steps,
        checkpoint_keep: spec.checkpoint.keep,
        nodes_min: spec.nodes.min,
        nodes_max: spec.nodes.max,
        genesis: genesis(spec_toml),
        state_bytes,
    };
    Ok((spec, plan))
}

/// The chain of the state at step 0: a hash of the job as it was submitted.
fn genesis(spec_toml: &str) -> Chain {
    let mut hasher = blake3::Hasher::new_derive_key("traind genesis chain v1");
    hasher.update(spec_toml.as_bytes());
    Chain(*hasher.finalize().as_bytes())
}

/// Starts the threads of a session and gives its queue.
pub(super) fn session(
    parts: &SessionParts,
    job: &JobRecord,
) -> Result<mpsc::Sender<SessionInput>, SessionError> {
    let (inbox, inputs) = mpsc::channel(SESSION_INBOX_MAX);
    let links = SessionLinks {
        clock: parts.clock,
        network: parts.network.clone(),
        council: parts.council.clone(),
        checkpoints: parts.checkpoints.clone(),
        store: Arc::clone(&parts.store),
        inbox: inbox.clone(),
    };
    let plan = SessionPlan {
        sync: SyncOptions {
            job: job.id,
            me: parts.me,
            microbatches: job.plan.microbatches,
            parts: job.plan.parts,
            steps: job.plan.steps,
            genesis: job.plan.genesis,
        },
        checkpoint_every: job.plan.checkpoint_every,
    };
    let (spec_toml, device, fatal) = (job.spec_toml.clone(), parts.device.clone(), parts.fatal.clone());
    let started = std::thread::Builder::new().name("session".to_owned()).spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(plan, &spec_toml, &device, links, inputs)))
            .unwrap_or_else(|panic| Err(SessionError::Panicked { message: panic_message(&*panic) }));
        if let Err(error) = outcome {
            fatal.raise("running a session", &error);
        }
    });
    started.map_err(|error| SessionError::Start { reason: format!("no thread for it: {error}") })?;
    Ok(inbox)
}

fn run(
    plan: SessionPlan,
    spec_toml: &str,
    device: &str,
    links: SessionLinks,
    inputs: mpsc::Receiver<SessionInput>,
) -> Result<(), SessionError> {
    let refused = |reason: String| SessionError::Start { reason };
    let spec = JobSpec::parse(spec_toml).map_err(|error| refused(chain_of(&error)))?;
    let session = Session::start(&spec, device).map_err(|error| refused(chain_of(&error)))?;
    let layout = PartLayout::new(session.layout().elements()).map_err(|error| refused(error.to_string()))?;
    let (events, trained) = mpsc::channel(TRAINER_EVENTS_MAX);
    let (commands, orders) = mpsc::channel(TRAINER_QUEUE_MAX);
    let cancel_below = Arc::new(AtomicU64::new(0));
    let trainer = Trainer::new((spec, device.to_owned(), session), layout, Arc::clone(&cancel_below), events);
    let driver = SessionDriver::new(plan, layout, links, commands, cancel_below);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| refused(format!("no runtime: {error}")))?;
    let training = std::thread::Builder::new()
        .name("trainer".to_owned())
        .spawn(move || trainer.run(orders))
        .map_err(|error| refused(format!("no thread for the trainer: {error}")))?;
    let outcome = runtime.block_on(driver.run(inputs, trained));
    // The driver is gone and with it the trainer's queue: it ends after the micro-batch in hand.
    let _ = training.join();
    outcome
}
