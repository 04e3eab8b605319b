//! Answers the control socket from the ledger, the progress and the session.

mod checkpoints;
mod data;
mod export;
mod import;
mod initial_state;
mod lifecycle;
mod propose;
mod samples;
mod status;
mod store;
mod streams;
mod submit;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use traind_actors::NodeActors;
use traind_actors::council::Published;
use traind_actors::data_sets::SetForm;
use traind_protocol::ids::{JobId, SwarmId};
use traind_store::Store;

use super::follow::follow;
use super::history::History;
use super::{api_views, drains};
use crate::control::api::{
    ApiError, ConfigEntry, FollowEvent, NodeRef, NodeVersion, Request, Response, Status, StreamItem,
    VersionInfo,
};
use crate::control::{ControlBackend, Export, FOLLOW_EVENTS_MAX, Submission, select_job};
use crate::observe::{EventRing, LogRing, RecorderCounts, RecorderHandle};
use crate::settings::{SettingOrigin, Settings};
use crate::stop_signal::StopHandle;

/// What does not change while the daemon runs.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) swarm: Option<SwarmId>,
    pub(super) threads: usize,
    pub(super) numeric_class: String,
    pub(super) origins: Vec<SettingOrigin>,
    pub(super) store: Arc<Store>,
    pub(super) logs: LogRing,
    pub(super) events: EventRing,
    pub(super) recorder: RecorderHandle,
    pub(super) started: Instant,
}

/// The daemon behind its control socket.
#[derive(Clone)]
pub(super) struct Backend {
    actors: NodeActors,
    network: traind_p2p::Handle,
    device: String,
    data_dir: PathBuf,
    memory_bytes_max: Option<u64>,
    facts: Arc<Facts>,
    history: watch::Receiver<History>,
    nodes: watch::Receiver<u64>,
    leaves: StopHandle,
}

impl Backend {
    /// A backend that watches what `actors` publish; `leaves` stops the daemon when its node has left the swarm. Must be
    /// called on the actix system.
    pub(super) fn new(
        actors: NodeActors,
        network: traind_p2p::Handle,
        settings: &Settings,
        facts: Facts,
        leaves: StopHandle,
    ) -> Self {
        let (history_told, history) = watch::channel(History::default());
        actix::spawn(keep_history(actors.clone(), history_told));
        let (nodes_told, nodes) = watch::channel(0);
        actix::spawn(count_changes(actors.view.published.clone(), nodes_told));
        Self {
            actors,
            network,
            device: settings.device.clone(),
            data_dir: settings.data_dir.clone(),
            memory_bytes_max: settings.limits.memory_bytes_max,
            facts: Arc::new(facts),
            history,
            nodes,
            leaves,
        }
    }

    /// Ledger and council as this node knows them.
    pub(super) fn published(&self) -> Arc<Published> {
        self.actors.view.published.borrow().clone()
    }

    /// What was heard of jobs beside the ledger.
    pub(super) fn history(&self) -> History {
        self.history.borrow().clone()
    }

    /// The actors of this node.
    pub(super) fn actors(&self) -> &NodeActors {
        &self.actors
    }

    /// What the recorder of curves could not do.
    pub(super) fn recorder_counts(&self) -> RecorderCounts {
        self.facts.recorder.counts()
    }

    /// How the daemon is now.
    pub(super) fn present_status(&self) -> Status {
        self.status(&self.published())
    }

    /// What still needs this node, in words.
    pub(super) fn waits_for(&self) -> Vec<String> {
        drains::waits_for(&self.published(), self.actors.node)
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
            Request::NodeShow { node } => self.node_detail(self.find_node(node.as_deref())?),
            Request::NodeDrain { node, reason, until_restart } => {
                self.drain(node, reason, until_restart).await
            }
            Request::NodeUndrain { node } => self.undrain(node).await,
            Request::Leave => self.leave().await,
            Request::JobList => {
                let history = self.history.borrow().clone();
                Ok(Response::JobList { jobs: api_views::jobs(&published, &history) })
            }
            Request::JobShow { job } => self.job_detail(find(&published, &job)?).await,
            Request::JobWhy { job } => self.job_why(find(&published, &job)?).await,
            Request::JobSamples { job, step } => {
                let job = find(&published, &job)?;
                self.job_samples(job, step).await
            }
            Request::JobCancel { job } => self.cancel(find(&published, &job)?).await,
            Request::JobPause { job } => self.pause(find(&published, &job)?).await,
            Request::JobResume { job } => self.resume(find(&published, &job)?).await,
            Request::CheckpointList { job } => {
                let job = job.map(|job| find(&published, &job)).transpose()?;
                Ok(Response::CheckpointList { checkpoints: api_views::checkpoints(&published, job) })
            }
            Request::CheckpointShow { job, step } => {
                let job = find(&published, &job)?;
                let detail = api_views::checkpoint(&published, job, step, self.actors.node);
                detail.map(Response::CheckpointDetail).ok_or_else(|| {
                    ApiError::no_such_object("the job has no such checkpoint")
                        .next(format!("trainctl checkpoint ls {job}"))
                })
            }
            Request::CheckpointPin { job, step, pinned } => {
                self.checkpoint_pin(find(&published, &job)?, step, pinned).await
            }
            Request::CheckpointPrune { job, keep, dry_run } => {
                self.checkpoint_prune(find(&published, &job)?, keep, dry_run).await
            }
            Request::CheckpointRollback { job, step } => self.roll_back(find(&published, &job)?, step).await,
            Request::CheckpointImport { path, chunks, name } => {
                self.checkpoint_import(path, chunks, name).await
            }
            Request::DataList => Ok(self.data_list()),
            Request::DataAdd { name, path, set_kind, label, header, field } => {
                self.data_add(name, path, SetForm { kind: set_kind, label, header, field }).await
            }
            Request::DataShow { name } => self.data_show(name).await,
            Request::DataVerify { name } => self.data_verify(name).await,
            Request::DataRemove { name } => self.data_remove(name).await,
            Request::StoreStatus => self.store_status().await,
            Request::StoreCollect { dry_run } => self.store_collect(dry_run).await,
            Request::StoreRebuildIndex => self.store_rebuild_index().await,
            Request::ConfigShow => Ok(Response::Config { entries: self.settings() }),
            Request::Version => Ok(Response::Version(self.versions(&published))),
            _ => Err(ApiError::bad_request("this request is answered by a stream")),
        }
    }

    async fn job_detail(&self, job: JobId) -> Result<Response, ApiError> {
        let past = self.history.borrow().job(job);
        let session = self.actors.describe_session().await.filter(|session| session.job == job);
        let detail = api_views::job_detail(&self.published(), job, &past, session.as_ref());
        detail.map(Response::JobDetail).ok_or_else(|| ApiError::no_such_object("the job is gone"))
    }

    async fn job_why(&self, job: JobId) -> Result<Response, ApiError> {
        let past = self.history.borrow().job(job);
        let session = self.actors.describe_session().await.filter(|session| session.job == job);
        let (me, now) = (self.actors.node, self.actors.clock.now());
        let why = api_views::job_why(&self.published(), job, &past, session.as_ref(), me, now);
        why.map(Response::JobWhy).ok_or_else(|| ApiError::no_such_object("the job is gone"))
    }

    fn settings(&self) -> Vec<ConfigEntry> {
        let entry = |setting: &SettingOrigin| ConfigEntry {
            key: setting.key.to_owned(),
            value: setting.value.clone(),
            origin: setting.origin.to_string(),
        };
        self.facts.origins.iter().map(entry).collect()
    }

    fn versions(&self, published: &Published) -> VersionInfo {
        let mut nodes: Vec<NodeVersion> = published
            .ledger
            .nodes
            .values()
            .map(|record| NodeVersion {
                node: NodeRef::from(record.node),
                version: Some(record.version.clone()),
                live: published.live.contains(&record.node),
            })
            .collect();
        nodes.sort_by(|one, two| one.node.cmp(&two.node));
        VersionInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: traind_protocol::wire::hello::PROTOCOL_VERSION.to_string(),
            features: cfg!(feature = "cuda").then(|| "cuda".to_owned()).into_iter().collect(),
            node: self.actors.node.into(),
            nodes,
        }
    }
}

impl ControlBackend for Backend {
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Response, ApiError>> {
        Box::pin(self.clone().answer(request))
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'static, Result<Response, ApiError>> {
        Box::pin(self.clone().submit_job(submission))
    }

    fn export(&self, job: String, step: Option<u64>) -> BoxFuture<'static, Result<Export, ApiError>> {
        let backend = self.clone();
        Box::pin(async move {
            let job = find(&backend.published(), &job)?;
            backend.export_checkpoint(job, step).await
        })
    }

    fn staging_directory(&self) -> PathBuf {
        self.data_dir.clone()
    }

    fn stream(&self, request: Request) -> BoxFuture<'static, Result<mpsc::Receiver<StreamItem>, ApiError>> {
        let backend = self.clone();
        Box::pin(async move { backend.open_stream(request) })
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

    fn stop(&self) {
        self.leaves.stop();
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
