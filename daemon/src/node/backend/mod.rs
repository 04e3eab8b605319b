//! Answers the control socket from the ledger, the progress and the session.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use traind_actors::NodeActors;
use traind_actors::council::Published;
use traind_actors::session::{PlanError, plan_job};
use traind_protocol::ids::{JobId, SwarmId};
use traind_protocol::ledger::{JobStatus, LedgerCommand};

use super::api_views;
use super::follow::follow;
use super::history::History;
use crate::control::api::{ApiError, FollowEvent, Request, Response, Status, StreamItem};
use crate::control::{ControlBackend, Export, FOLLOW_EVENTS_MAX, Submission, select_job};
use crate::settings::Settings;

/// A proposal that the ledger does not show after this long is made again: it may have been lost with a coordinator.
const PROPOSE_AGAIN_MS: u64 = 500;

/// How long a change of the ledger may take before the user is told that there is no coordinator.
const PROPOSE_WAIT_MAX: Duration = Duration::from_secs(15);

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) swarm: Option<SwarmId>,
    pub(super) threads: usize,
    pub(super) numeric_class: String,
    pub(super) started: Instant,
}

/// The daemon behind its control socket.
#[derive(Clone)]
pub(super) struct Backend {
    actors: NodeActors,
    network: traind_p2p::Handle,
    device: String,
    data_dir: PathBuf,
    facts: Facts,
    history: watch::Receiver<History>,
    nodes: watch::Receiver<u64>,
}

impl Backend {
    /// A backend that watches what `actors` publish. Must be called on the actix system.
    pub(super) fn new(
        actors: NodeActors,
        network: traind_p2p::Handle,
        settings: &Settings,
        facts: Facts,
    ) -> Self {
        let (history_told, history) = watch::channel(History::default());
        actix::spawn(keep_history(actors.clone(), history_told));
        let (nodes_told, nodes) = watch::channel(0);
        actix::spawn(count_changes(actors.view.published.clone(), nodes_told));
        let (device, data_dir) = (settings.device.clone(), settings.data_dir.clone());
        Self { actors, network, device, data_dir, facts, history, nodes }
    }

    fn published(&self) -> Arc<Published> {
        self.actors.view.published.borrow().clone()
    }

    async fn answer(self, request: Request) -> Result<Response, ApiError> {
        let published = self.published();
        match request {
            Request::Status => Ok(Response::Status(self.status(&published))),
            Request::NodeList => {
                let history = self.history.borrow().clone();
                let nodes = api_views::nodes(&published, &history, &self.network.peers(), self.actors.node);
                Ok(Response::NodeList { nodes })
            }
            Request::JobList => {
                let history = self.history.borrow().clone();
                let jobs = api_views::jobs(&published, &history);
                Ok(Response::JobList { jobs })
            }
            Request::JobShow { job } => {
                let job = find(&published, &job)?;
                let past = self.history.borrow().job(job);
                let session = self.actors.describe_session().await.filter(|session| session.job == job);
                let detail = api_views::job_detail(&published, job, &past, session.as_ref());
                detail.map(Response::JobDetail).ok_or_else(|| ApiError::no_such_object("the job is gone"))
            }
            Request::JobCancel { job } => self.cancel(find(&published, &job)?).await,
            Request::CheckpointList { job } => {
                let job = job.map(|job| find(&published, &job)).transpose()?;
                Ok(Response::CheckpointList { checkpoints: api_views::checkpoints(&published, job) })
            }
            _ => Err(unsupported()),
        }
    }
}

impl ControlBackend for Backend {
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Response, ApiError>> {
        Box::pin(self.clone().answer(request))
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'static, Result<Response, ApiError>> {
        let backend = self.clone();
        Box::pin(async move {
            if submission.from.is_some() || submission.dry_run {
                return Err(unsupported());
            }
            backend.submit_job(submission.spec_toml).await
        })
    }

    fn export(&self, _job: String, _step: Option<u64>) -> BoxFuture<'static, Result<Export, ApiError>> {
        Box::pin(async { Err(unsupported()) })
    }

    fn staging_directory(&self) -> PathBuf {
        self.data_dir.clone()
    }

    fn stream(&self, _request: Request) -> BoxFuture<'static, Result<mpsc::Receiver<StreamItem>, ApiError>> {
        Box::pin(async { Err(unsupported()) })
    }

    fn follow_job(&self, job: String) -> BoxFuture<'static, Result<mpsc::Receiver<FollowEvent>, ApiError>> {
        let backend = self.clone();
        Box::pin(async move {
            let job = find(&backend.published(), &job)?;
            let (events, receiver) = mpsc::channel(FOLLOW_EVENTS_MAX);
            tokio::spawn(follow(job, events, backend.actors.view.published.clone(), backend.history.clone()));
            Ok(receiver)
        })
    }

    fn nodes_changed(&self) -> watch::Receiver<u64> {
        self.nodes.clone()
    }
}

/// Keeps what the coordinator says about jobs.
async fn keep_history(actors: NodeActors, told: watch::Sender<History>) {
    let mut progress = actors.view.progress.clone();
    while progress.changed().await.is_ok() {
        let Some(progress) = progress.borrow_and_update().clone() else { continue };
        told.send_modify(|history| history.note(&progress));
    }
}

async fn count_changes(mut published: watch::Receiver<Arc<Published>>, told: watch::Sender<u64>) {
    while published.changed().await.is_ok() {
        told.send_modify(|count| *count += 1);
    }
}

fn find(published: &Published, selector: &str) -> Result<JobId, ApiError> {
    let jobs: Vec<(String, &str)> =
        published.ledger.jobs.values().map(|job| (job.id.to_hex(), job.name.as_str())).collect();
    let id = select_job(selector, jobs.iter().map(|(id, name)| (id.as_str(), *name)))?;
    JobId::from_hex(id).ok_or_else(|| ApiError::no_such_object(format!("no job {selector:?}")))
}

fn unsupported() -> ApiError {
    ApiError::refused("not supported by this daemon yet")
}

fn refusal(error: PlanError) -> ApiError {
    match error {
        PlanError::Spec(error) => ApiError::of_job_file(&error),
        other => ApiError::bad_request(other.to_string()),
    }
}
