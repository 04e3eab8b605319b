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

    async fn submit_job(self, spec_toml: String) -> Result<Response, ApiError> {
        let device = self.device.clone();
        let text = spec_toml.clone();
        let planned = tokio::task::spawn_blocking(move || plan_job(&text, &device)).await;
        let (spec, plan) =
            planned.map_err(|_panicked| ApiError::refused("the job cannot be planned"))?.map_err(refusal)?;
        if let Some(what) = plan.violation() {
            return Err(ApiError::bad_request(format!("the job is refused: {what}")));
        }
        let by = self.actors.node;
        let mut hasher = blake3::Hasher::new_derive_key("traind job id v1");
        hasher.update(&by.0);
        hasher.update(&self.facts.started.elapsed().as_nanos().to_le_bytes());
        hasher.update(&std::process::id().to_le_bytes());
        hasher.update(spec_toml.as_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        let (id, name) = (JobId(id), spec.name.clone());
        let command = LedgerCommand::SubmitJob { id, name: spec.name, spec_toml, plan, by };
        self.propose_until(command, move |published| published.ledger.jobs.contains_key(&id)).await?;
        Ok(Response::JobSubmitted { job: id.to_hex(), name })
    }

    async fn cancel(self, job: JobId) -> Result<Response, ApiError> {
        let status = self.published().ledger.jobs.get(&job).map(|record| record.status.clone());
        if !matches!(status, Some(JobStatus::Queued | JobStatus::Running)) {
            return Err(
                ApiError::refused("the job has ended already").next(format!("trainctl job show {job}"))
            );
        }
        let command = LedgerCommand::CancelJob { job, by: self.actors.node };
        let ended = move |published: &Published| {
            published.ledger.jobs.get(&job).is_none_or(|record| record.has_ended())
        };
        self.propose_until(command, ended).await?;
        Ok(Response::JobCancelled { job: job.to_hex() })
    }

    /// Proposes until the ledger shows it: a proposal can be lost, its command can be applied twice without harm.
    async fn propose_until(
        &self,
        command: LedgerCommand,
        shown: impl Fn(&Published) -> bool,
    ) -> Result<(), ApiError> {
        let mut published = self.actors.view.published.clone();
        let proposing = async {
            loop {
                self.actors.propose(command.clone()).await;
                let seen = published.wait_for(|published| shown(published));
                if tokio::time::timeout(Duration::from_millis(PROPOSE_AGAIN_MS), seen).await.is_ok() {
                    return;
                }
            }
        };
        tokio::time::timeout(PROPOSE_WAIT_MAX, proposing).await.map_err(|_elapsed| {
            let has_swarm = self.facts.swarm.is_some() || self.actors.reachability.borrow().adopted.is_some();
            let cause = match self.published().coordinator {
                Some(node) => format!("the coordinator {} does not commit it", node.friendly_name()),
                None if has_swarm => {
                    "no coordinator is elected: less than a majority of the council can be reached".to_owned()
                }
                None => "this node belongs to no swarm yet: none of its peers answers".to_owned(),
            };
            ApiError::unavailable("the ledger did not take the change in time")
                .because(cause)
                .next("trainctl status")
        })
    }

    fn status(&self, published: &Published) -> Status {
        let history = self.history.borrow().clone();
        let reachability = self.actors.reachability.borrow().clone();
        let counters = self.network.counters();
        let mut status = api_views::status(published, &history, self.actors.node);
        status.swarm = self.facts.swarm.or(reachability.adopted).map(|swarm| swarm.to_hex());
        status.device.clone_from(&self.device);
        status.threads = u32::try_from(self.facts.threads).unwrap_or(u32::MAX);
        status.numeric_class.clone_from(&self.facts.numeric_class);
        status.addresses = reachability.listening;
        // As it is reached from anywhere, not only from where the daemon was started.
        let data_dir = std::path::absolute(&self.data_dir).unwrap_or_else(|_| self.data_dir.clone());
        status.data_dir = data_dir.display().to_string();
        status.uptime_ms = u64::try_from(self.facts.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        status.counters = [
            ("data_payload_bytes_sent", counters.data_payload_bytes_sent),
            ("data_frames_sent", counters.data_frames_sent),
            ("data_resets_full", counters.data_resets_full),
            ("data_handshakes_refused", counters.data_handshakes_refused),
            ("data_violations", counters.data_violations),
            ("control_violations", counters.control_violations),
            ("connections_failed_inbound", counters.connections_failed_inbound),
            ("swarms_refused", counters.hellos_refused_swarm),
            ("peers_joined", counters.peers_joined),
            ("peers_lost", counters.peers_lost),
            ("ledger_commands_rejected", published.ledger.rejections_total),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
        status
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
