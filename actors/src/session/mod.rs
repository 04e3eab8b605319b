//! The session actor: builds a session before the council puts this node into a running job's view, or when it does, hands it the views,
//! stops it when the job ends.
//!
//! Hears: the published ledger. Tells: the session's thread, through its bounded queue. When a session fails the
//! process ends, because a process that lost its state must not go on as the same life.

mod applied;
mod captured_state;
mod driver;
mod early_stopping;
mod halted_state;
mod handover;
mod links;
mod messages;
mod numbers;
mod plan;
mod preparing;
mod present_state;
mod reports;
mod stalls;
mod start;
mod state;
mod taken_over;
#[cfg(test)]
mod tests;
mod trainer;
mod writing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot, watch};
use traind_protocol::ids::{Epoch, JobId, Life, NodeId};
use traind_protocol::ledger::{JobRecord, JobStatus};
use traind_protocol::wire::control::WorkCounters;
use traind_store::Store;

pub use captured_state::CapturedState;
pub use driver::SessionError;
pub use messages::{SESSION_INBOX_MAX, SessionDescription, SessionInput};
pub use plan::{InitialState, JobNeeds, PlanError, PlannedJob, SetPaths, check_job, localise, plan_job};
pub(crate) use preparing::PrepareSession;
pub use state::{MalformedState, digest_of_pieces, training_state};
pub use trainer::chain_of;

use crate::checkpoints::Checkpoints;
use crate::clock::Clock;
use crate::council::{CouncilInbox, Published};
use crate::data_sets::DataSets;
use crate::fatal::Fatal;
use crate::transfer::Transfers;

/// Messages that may wait for this actor: ledger changes, which replace each other, and questions.
const SESSIONS_MAILBOX_MAX: usize = 64;

/// Where frames of the data connections go: the running session's queue, if there is one.
pub type FrameSink = watch::Sender<Option<mpsc::Sender<SessionInput>>>;

/// What sessions need of the daemon.
pub struct SessionParts {
    /// This process.
    pub me: Life,
    /// Device that training runs on.
    pub device: String,
    /// Bytes that a job may take; `None` is no limit.
    pub memory_bytes_max: Option<u64>,
    /// Least time that a micro-batch takes; zero is no rest.
    pub microbatch_time_min: Duration,
    /// No byte is sent that only saves time: what is sent costs.
    pub spares_upload: bool,
    /// The daemon's clock.
    pub clock: Clock,
    /// The network.
    pub network: traind_p2p::Handle,
    /// The council's queue.
    pub council: mpsc::Sender<CouncilInbox>,
    /// The checkpoint writer.
    pub checkpoints: Addr<Checkpoints>,
    /// The store.
    pub store: Arc<Store>,
    /// How chunks of states come and go.
    pub transfers: Transfers,
    /// Where data sets of the swarm are on this node.
    pub data_sets: DataSets,
    /// Where frames are to go.
    pub frames: FrameSink,
    /// How the daemon learns that it cannot go on.
    pub fatal: Fatal,
}

/// What this process did for a job, over all its sessions of that job.
pub(crate) type SharedWork = Arc<Mutex<WorkCounters>>;

struct Running {
    job: JobId,
    /// [`Published::detours`] when it started.
    detours: u64,
    epoch: Epoch,
    coordinator: Option<NodeId>,
    saves: Vec<u64>,
    inbox: mpsc::Sender<SessionInput>,
    /// It is being built, before this node is a member.
    is_preparing: bool,
    /// Whether it takes inputs: its data is read and its model made.
    is_built: Arc<AtomicBool>,
}

/// The council that this node went over to counts on a state that this process left behind in its old one.
#[derive(Debug, thiserror::Error)]
#[error("the state of this process is that of a council which ended; start it again, it will join anew")]
struct StateOfAnotherCouncil;

/// Where a session stands in the ledger of another council.
enum Standpoint {
    /// In a view that follows its own.
    Same,
    /// In none: its state belongs to nobody any more, and a view to come admits this process anew.
    Outside,
    /// In one that counts on a state from before what this session did since.
    Lost,
}

impl Running {
    fn standpoint(&self, published: &Published, me: Life) -> Standpoint {
        if self.detours == published.detours {
            return Standpoint::Same;
        }
        let view = published.ledger.jobs.get(&self.job).and_then(|job| job.view.as_ref());
        let is_member = view.is_some_and(|view| view.member(me).is_some());
        if is_member { Standpoint::Lost } else { Standpoint::Outside }
    }
}

/// Runs the session of the job that this node is a member of.
pub struct Sessions {
    parts: SessionParts,
    running: Option<Running>,
    /// By job, for those that have not ended: a job that was paused goes on counting.
    work: BTreeMap<JobId, SharedWork>,
}

impl Sessions {
    /// No session yet.
    #[must_use]
    pub fn new(parts: SessionParts) -> Self {
        Self { parts, running: None, work: BTreeMap::new() }
    }

    /// What the session has to be told now that the ledger is as published.
    fn follow(&mut self, published: &Published) -> Vec<(mpsc::Sender<SessionInput>, SessionInput)> {
        let mut told = Vec::new();
        if let Some(running) = &self.running {
            let ended =
                published.ledger.jobs.get(&running.job).is_none_or(|job| job.status != JobStatus::Running);
            if ended {
                told.push((running.inbox.clone(), SessionInput::Stop));
                self.running = None;
                self.parts.frames.send_replace(None);
            }
        }
        if let Some(running) = &self.running {
            match running.standpoint(published, self.parts.me) {
                Standpoint::Same => {}
                Standpoint::Outside => {
                    told.push((running.inbox.clone(), SessionInput::Stop));
                    self.running = None;
                    self.parts.frames.send_replace(None);
                }
                Standpoint::Lost => self.parts.fatal.raise("following the ledger", &StateOfAnotherCouncil),
            }
        }
        self.work.retain(|job, _work| published.ledger.jobs.get(job).is_some_and(|job| !job.has_ended()));
        let Some(job) = published.ledger.running_job() else { return told };
        let Some(view) = &job.view else { return told };
        if self.running.is_none() && view.member(self.parts.me).is_some() {
            self.start(job, published.detours, None);
        }
        if let Some(running) = &mut self.running {
            // One that is ready before it is a member has nothing to do with views without it.
            let concerns = running.epoch > Epoch(0) || view.member(self.parts.me).is_some();
            if running.epoch < view.epoch && concerns {
                running.epoch = view.epoch;
                let failure_labels = published.ledger.failure_labels(view);
                let entered = SessionInput::EnterView { view: view.clone(), failure_labels };
                told.push((running.inbox.clone(), entered));
            }
            let due = published.ledger.keeping.get(&job.id).map_or(&[][..], |keeping| &keeping.due);
            if running.saves != due {
                running.saves = due.to_vec();
                told.push((running.inbox.clone(), SessionInput::SaveAfter(due.to_vec())));
            }
            if running.coordinator != published.coordinator {
                running.coordinator = published.coordinator;
                told.push((running.inbox.clone(), SessionInput::RepeatReports));
            }
        }
        told
    }

    fn start(&mut self, job: &JobRecord, detours: u64, when_built: Option<start::WhenBuilt>) {
        let work = Arc::clone(self.work.entry(job.id).or_default());
        let is_preparing = when_built.is_some();
        let is_built = Arc::new(AtomicBool::new(false));
        match start::session(&self.parts, job, work, (when_built, Arc::clone(&is_built))) {
            Ok(inbox) => {
                self.parts.frames.send_replace(Some(inbox.clone()));
                let (job, saves, epoch, coordinator) = (job.id, Vec::new(), Epoch(0), None);
                self.running =
                    Some(Running { job, detours, epoch, coordinator, saves, inbox, is_preparing, is_built });
            }
            Err(error) => self.parts.fatal.raise("starting a session", &error),
        }
    }
}

impl Actor for Sessions {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(SESSIONS_MAILBOX_MAX);
    }
}

/// The ledger changed, or who coordinates.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LedgerPublished(pub Arc<Published>);

impl Handler<LedgerPublished> for Sessions {
    /// The mailbox waits until the session took its inputs, so views keep their order.
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: LedgerPublished, _context: &mut Self::Context) -> Self::Result {
        let told = self.follow(&message.0);
        let deliver = async move {
            for (inbox, input) in told {
                // A session that has ended needs no more inputs.
                let _ = inbox.send(input).await;
            }
        };
        AtomicResponse::new(Box::pin(deliver.into_actor(self)))
    }
}

/// What is the session doing? `None` where there is none.
#[derive(Message)]
#[rtype(result = "Option<SessionDescription>")]
pub struct DescribeSession;

impl Handler<DescribeSession> for Sessions {
    type Result = ResponseFuture<Option<SessionDescription>>;

    fn handle(&mut self, _message: DescribeSession, _context: &mut Self::Context) -> Self::Result {
        // One that is being built would answer late, and there is nothing to tell of it.
        let running = self.running.as_ref().filter(|running| running.is_built.load(Ordering::Acquire));
        let inbox = running.map(|running| running.inbox.clone());
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            inbox?.send(SessionInput::Describe(reply)).await.ok()?;
            answer.await.ok()
        })
    }
}

/// The daemon stops: the session's threads end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopSession;

impl Handler<StopSession> for Sessions {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _message: StopSession, _context: &mut Self::Context) -> Self::Result {
        self.parts.frames.send_replace(None);
        let inbox = self.running.take().map(|running| running.inbox);
        let stop = async move {
            if let Some(inbox) = inbox {
                // A session that has ended needs no stop.
                let _ = inbox.send(SessionInput::Stop).await;
            }
        };
        AtomicResponse::new(Box::pin(stop.into_actor(self)))
    }
}
