//! From a job in the ledger to a running session: threads, queues.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};
use traind_averaging::PartLayout;
use traind_protocol::ledger::JobRecord;
use traind_protocol::sync::SyncOptions;
use traind_training::{JobSpec, Session};

use super::driver::{SessionDriver, SessionError, SessionPlan};
use super::links::SessionLinks;
use super::messages::{SESSION_INBOX_MAX, SessionInput, TRAINER_EVENTS_MAX, TRAINER_QUEUE_MAX};
use super::plan::{SetPaths, localise, memory_bytes};
use super::present_state::PresentState;
use super::trainer::{Pace, Trainer, chain_of, panic_message};
use super::{SessionParts, SharedWork};

/// Bytes of results that a member keeps for joiners while these fetch the state, in bytes of that state. With a path no
/// slower than that of the others a state is here before three steps are made, which with AdamW have as many bytes as it.
const KEPT_STATES_MAX: u64 = 2;

/// Bytes of results that may be kept for joiners of a job that takes `needed` bytes, with a state of so many, on a node that lets
/// jobs have at most so much memory. Beyond them the others wait for joiners.
fn kept_bytes_max(state_bytes: u64, needed: u64, memory_bytes_max: Option<u64>) -> u64 {
    let room = memory_bytes_max.map_or(u64::MAX, |bytes_max| bytes_max.saturating_sub(needed));
    state_bytes.saturating_mul(KEPT_STATES_MAX).min(room)
}

/// Who waits for a session to be built before this node is a member: whether it was, or why not.
pub(super) type WhenBuilt = oneshot::Sender<Result<(), String>>;

/// Starts the threads of a session and gives its queue. A session that cannot be built ends the process of a member; where
/// `when_built` is given, it is told instead.
pub(super) fn session(
    parts: &SessionParts,
    job: &JobRecord,
    work: SharedWork,
    (mut when_built, is_built): (Option<WhenBuilt>, Arc<AtomicBool>),
) -> Result<mpsc::Sender<SessionInput>, SessionError> {
    let (inbox, inputs) = mpsc::channel(SESSION_INBOX_MAX);
    let links = SessionLinks {
        clock: parts.clock,
        network: parts.network.clone(),
        council: parts.council.clone(),
        checkpoints: parts.checkpoints.clone(),
        store: Arc::clone(&parts.store),
        transfers: parts.transfers.clone(),
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
            sends_early: !parts.spares_upload,
            kept_bytes_max: 0,
        },
        checkpoint_every: job.plan.checkpoint_every,
        checkpoint_replicas: job.plan.checkpoint_replicas,
        work,
    };
    let sets = parts.data_sets.paths_of(&job.spec_toml);
    let (spec_toml, fatal) = (job.spec_toml.clone(), parts.fatal.clone());
    let sizes = (job.plan.state_bytes, parts.memory_bytes_max);
    let pace = Pace { device: parts.device.clone(), microbatch_time_min: parts.microbatch_time_min };
    // Every line of the session's and the trainer's log names the job.
    let span = tracing::info_span!("session", job = %job.id);
    let started = std::thread::Builder::new().name("session".to_owned()).spawn(move || {
        let _entered = span.enter();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let built = || {
                is_built.store(true, Ordering::Release);
                if let Some(when_built) = when_built.take() {
                    // Who asked may be gone.
                    let _ = when_built.send(Ok(()));
                }
            };
            run(plan, (&spec_toml, &sets, sizes), &pace, (links, inputs), built)
        }))
        .unwrap_or_else(|panic| Err(SessionError::Panicked { message: panic_message(&*panic) }));
        match (outcome, when_built) {
            (Ok(()), _) => {}
            (Err(error), None) => fatal.raise("running a session", &error),
            // Nobody counts on it yet. Who asked may be gone.
            (Err(error), Some(when_built)) => drop(when_built.send(Err(chain_of(&error)))),
        }
    });
    started.map_err(|error| SessionError::Start { reason: format!("no thread for it: {error}") })?;
    Ok(inbox)
}

fn run(
    mut plan: SessionPlan,
    (spec_toml, sets, (state_bytes, memory_bytes_max)): (&str, &SetPaths, (u64, Option<u64>)),
    pace: &Pace,
    (links, inputs): (SessionLinks, mpsc::Receiver<SessionInput>),
    built: impl FnOnce(),
) -> Result<(), SessionError> {
    let refused = |reason: String| SessionError::Start { reason };
    let spec = JobSpec::parse(spec_toml).map_err(|error| refused(chain_of(&error)))?;
    let spec = localise(&spec, sets).map_err(|error| refused(chain_of(&error)))?;
    let session = Session::start(&spec, &pace.device).map_err(|error| refused(chain_of(&error)))?;
    let needed = memory_bytes(&spec, session.data_facts()).map_err(|error| refused(chain_of(&error)))?;
    plan.sync.kept_bytes_max = kept_bytes_max(state_bytes, needed, memory_bytes_max);
    let layout = PartLayout::new(session.layout().elements()).map_err(|error| refused(error.to_string()))?;
    let (events, trained) = mpsc::channel(TRAINER_EVENTS_MAX);
    let (commands, orders) = mpsc::channel(TRAINER_QUEUE_MAX);
    let cancel_below = Arc::new(AtomicU64::new(0));
    let evaluation = spec.evaluation;
    let present = PresentState::default();
    let shared = (Arc::clone(&cancel_below), present.clone());
    let trainer = Trainer::new((spec, pace.clone(), session), layout, shared, events);
    let shared = (Arc::clone(&cancel_below), present);
    let driver = SessionDriver::new(plan, (layout, &evaluation), links, commands, shared);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| refused(format!("no runtime: {error}")))?;
    let training = std::thread::Builder::new()
        .name("trainer".to_owned())
        .spawn({
            let span = tracing::Span::current();
            move || span.in_scope(|| trainer.run(orders))
        })
        .map_err(|error| refused(format!("no thread for the trainer: {error}")))?;
    built();
    let outcome = runtime.block_on(driver.run(inputs, trained));
    // The driver is gone and with it the trainer's queue: it ends after the micro-batch in hand, without a rest.
    cancel_below.store(u64::MAX, Ordering::Release);
    let _ = training.join();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_joiners_stays_within_the_memory_that_a_job_may_have() {
        assert_eq!(kept_bytes_max(100, 1_000, None), 200);
        assert_eq!(kept_bytes_max(100, 1_000, Some(5_000)), 200);
        assert_eq!(kept_bytes_max(100, 1_000, Some(1_150)), 150);
        assert_eq!(kept_bytes_max(100, 1_000, Some(1_000)), 0, "the others wait at once");
    }
}
