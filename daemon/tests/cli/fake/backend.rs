//! The daemon that the tests ask: known answers, and it remembers what it was asked.

use std::path::PathBuf;
use std::sync::Mutex;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use traind::control::api::{
    ApiError, CheckpointImported, DataVerified, Drain, FollowEvent, Request, Response, StreamItem, Upload,
};
use traind::control::{
    ControlBackend, Export, FOLLOW_EVENTS_MAX, STREAM_ITEMS_MAX, Submission, select_job, select_node,
};

use super::data::{self, FINISHED, JOBS, PAUSED, REFUSED, RUNNING, node};

/// Known answers, and what was asked.
pub(crate) struct FakeBackend {
    pub(crate) asked: Mutex<Vec<Request>>,
    /// The model that was sent last.
    pub(crate) uploaded: Mutex<Vec<u8>>,
    /// The drain of the first node. It is over when it was looked at a second time, unless its reason is `stuck`.
    pub(super) drain: Mutex<Option<Drain>>,
    pub(super) staging: PathBuf,
    pub(super) live: watch::Sender<u64>,
    /// Told when the daemon may stop.
    pub(super) stopped: std::sync::mpsc::SyncSender<()>,
}

type Answer = Result<Response, ApiError>;

impl ControlBackend for FakeBackend {
    fn handle(&self, request: Request) -> BoxFuture<'static, Answer> {
        self.asked.lock().unwrap().push(request.clone());
        let answer = self.answer(request);
        async move { answer }.boxed()
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'static, Answer> {
        let Submission { spec_toml, from, from_imported, dry_run } = submission;
        let answer = submitted(&spec_toml, dry_run);
        let from = from.map(|model| {
            *self.uploaded.lock().unwrap() = std::fs::read(model.file.path()).unwrap();
            Upload { bytes: model.bytes, blake3: model.blake3 }
        });
        self.asked.lock().unwrap().push(Request::JobSubmit { spec_toml, from, from_imported, dry_run });
        async move { answer }.boxed()
    }

    fn export(&self, job: String, step: Option<u64>) -> BoxFuture<'static, Result<Export, ApiError>> {
        self.asked.lock().unwrap().push(Request::CheckpointExport { job: job.clone(), step });
        let export = select_job(&job, JOBS).and_then(|job| match step {
            Some(step) if step != 5 => Err(data::no_checkpoint(job, step)),
            _ => Ok(data::export(job)),
        });
        async move { export }.boxed()
    }

    fn staging_directory(&self) -> PathBuf {
        self.staging.clone()
    }

    fn follow_job(&self, job: String) -> BoxFuture<'static, Result<mpsc::Receiver<FollowEvent>, ApiError>> {
        async move {
            let job = select_job(&job, JOBS)?;
            let (sender, receiver) = mpsc::channel(FOLLOW_EVENTS_MAX);
            for event in data::events(job) {
                sender.try_send(event).expect("fewer events than the channel has room for");
            }
            if job == RUNNING {
                // Keeps the channel open until the follower has gone.
                tokio::spawn(async move { sender.closed().await });
            }
            Ok(receiver)
        }
        .boxed()
    }

    fn stream(&self, request: Request) -> BoxFuture<'static, Result<mpsc::Receiver<StreamItem>, ApiError>> {
        self.asked.lock().unwrap().push(request.clone());
        async move {
            let (sender, receiver) = mpsc::channel(STREAM_ITEMS_MAX);
            let (items, goes_on) = match request {
                Request::JobLogs { job, follow, .. } => {
                    let job = select_job(&job, JOBS)?;
                    (data::logs(), follow && job == RUNNING)
                }
                Request::JobMetrics { job, follow, since_step } => {
                    let job = select_job(&job, JOBS)?;
                    (data::metrics(since_step.unwrap_or(0)), follow && job == RUNNING)
                }
                Request::Events { follow, tail: Some(0) } => (Vec::new(), follow),
                Request::Events { follow, .. } => (data::swarm_events(), follow),
                Request::StoreVerify => (data::store_lines(), false),
                Request::CheckpointVerify { job, .. } => {
                    let is_whole = select_job(&job, JOBS)? == FINISHED;
                    (vec![StreamItem::CheckpointVerified(data::verified(is_whole))], false)
                }
                other => return Err(ApiError::bad_request(format!("{other:?}"))),
            };
            for item in items {
                sender.try_send(item).expect("fewer lines than the channel has room for");
            }
            if goes_on {
                tokio::spawn(async move { sender.closed().await });
            } else {
                sender.try_send(StreamItem::StreamEnd).expect("fewer lines than the channel has room for");
            }
            Ok(receiver)
        }
        .boxed()
    }

    fn stop(&self) {
        // A second time is told by the first, which nobody may have heard yet.
        let _ = self.stopped.try_send(());
    }

    fn nodes_changed(&self) -> watch::Receiver<u64> {
        self.live.subscribe()
    }
}

impl FakeBackend {
    fn answer(&self, request: Request) -> Answer {
        let live = *self.live.borrow();
        Ok(match request {
            Request::Status => Response::Status(data::status()),
            Request::NodeList => self.list(live),
            Request::NodeShow { node } => self.show(node)?,
            Request::NodeDrain { node, reason, until_restart } => {
                let waits_for = vec!["its place in the view of job endless".to_owned()];
                let by = data::node(2);
                *self.drain.lock().unwrap() =
                    Some(Drain { by, reason, until_restart, drained: false, waits_for });
                Response::NodeDetail(Box::new(self.detail(node)?))
            }
            Request::NodeUndrain { node } => {
                *self.drain.lock().unwrap() = None;
                Response::NodeDetail(Box::new(self.detail(node)?))
            }
            Request::Leave if live == 1 => return Err(ApiError::refused("this node is the whole swarm")),
            Request::Leave => Response::Left { node: node(1) },
            Request::JobList => Response::JobList { jobs: data::jobs() },
            Request::JobShow { job } => Response::JobDetail(data::detail(select_job(&job, JOBS)?)),
            Request::JobWhy { job } => Response::JobWhy(data::why(select_job(&job, JOBS)?)),
            Request::JobSamples { job, step } => samples(select_job(&job, JOBS)?, step)?,
            Request::JobPause { job } => match select_job(&job, JOBS)? {
                RUNNING => Response::JobPausing { job: RUNNING.into() },
                _ => return Err(ApiError::refused("only a running job can pause")),
            },
            Request::JobResume { job } => match select_job(&job, JOBS)? {
                PAUSED => Response::JobResumed { job: PAUSED.into() },
                _ => return Err(ApiError::refused("only a paused job can be resumed")),
            },
            Request::JobCancel { job } => match select_job(&job, JOBS)? {
                FINISHED => {
                    return Err(
                        ApiError::refused("job digits has finished").because("nothing is left to cancel")
                    );
                }
                job => Response::JobCancelled { job: job.into() },
            },
            Request::CheckpointList { .. }
            | Request::CheckpointShow { .. }
            | Request::CheckpointPin { .. }
            | Request::CheckpointPrune { .. }
            | Request::CheckpointRollback { .. }
            | Request::CheckpointImport { .. } => of_checkpoints(request)?,
            Request::DataList
            | Request::DataAdd { .. }
            | Request::DataShow { .. }
            | Request::DataVerify { .. }
            | Request::DataRemove { .. } => of_data_sets(request)?,
            Request::StoreStatus | Request::StoreCollect { .. } | Request::StoreRebuildIndex => {
                of_store(&request)
            }
            Request::ConfigShow => Response::Config { entries: data::config() },
            Request::Version => Response::Version(data::version()),
            Request::JobSubmit { .. }
            | Request::JobFollow { .. }
            | Request::JobLogs { .. }
            | Request::JobMetrics { .. }
            | Request::CheckpointExport { .. }
            | Request::Events { .. }
            | Request::StoreVerify
            | Request::CheckpointVerify { .. }
            | Request::NodeDrainFollow { .. }
            | Request::NodeWait { .. } => unreachable!("the server answers these otherwise"),
        })
    }

    fn list(&self, live: u64) -> Response {
        let mut nodes = data::nodes(live);
        nodes[0].drain.clone_from(&self.drain.lock().unwrap());
        Response::NodeList { nodes }
    }

    fn detail(&self, node: Option<String>) -> Result<traind::control::api::NodeDetail, ApiError> {
        let nodes = data::nodes(*self.live.borrow());
        let ids: Vec<(&str, &str)> =
            nodes.iter().map(|node| (node.id.as_str(), node.name.as_str())).collect();
        let id = node.map_or(Ok(ids[0].0), |node| select_node(&node, ids.iter().copied()))?;
        let mut detail = data::node_detail(nodes.iter().find(|node| node.id == id).unwrap().clone());
        if id == ids[0].0 {
            detail.row.drain.clone_from(&self.drain.lock().unwrap());
        }
        Ok(detail)
    }

    /// Tells of a drain as it is; then, unless it is stuck, ends it and says that something has changed.
    fn show(&self, node: Option<String>) -> Answer {
        let detail = self.detail(node)?;
        if let Some(drain) = self.drain.lock().unwrap().as_mut().filter(|drain| drain.reason != "stuck") {
            (drain.drained, drain.waits_for) = (true, Vec::new());
            self.live.send_modify(|_live| {});
        }
        Ok(Response::NodeDetail(Box::new(detail)))
    }
}

fn of_checkpoints(request: Request) -> Answer {
    Ok(match request {
        Request::CheckpointList { job } => {
            if let Some(job) = job {
                select_job(&job, JOBS)?;
            }
            Response::CheckpointList { checkpoints: vec![data::checkpoint()] }
        }
        Request::CheckpointShow { job, step } => match (select_job(&job, JOBS)?, step) {
            (_, None | Some(5)) => Response::CheckpointDetail(data::checkpoint_detail()),
            (job, Some(step)) => return Err(data::no_checkpoint(job, step)),
        },
        Request::CheckpointPin { job, step, pinned } => match (select_job(&job, JOBS)?, step) {
            (_, None | Some(5)) => Response::CheckpointPinned(data::pinned(pinned)),
            (job, Some(step)) => return Err(data::no_checkpoint(job, step)),
        },
        Request::CheckpointPrune { job, dry_run, .. } => {
            select_job(&job, JOBS)?;
            Response::CheckpointsPruned(data::pruned(dry_run))
        }
        Request::CheckpointRollback { job, step } => match select_job(&job, JOBS)? {
            RUNNING => return Err(ApiError::refused("the job is not paused and has not ended")),
            job => Response::JobRolledBack { job: job.into(), from_step: 9, step },
        },
        Request::CheckpointImport { name: None, .. } => {
            Response::CheckpointImported(CheckpointImported::Checkpoint(data::pinned(true)))
        }
        Request::CheckpointImport { name: Some(name), .. } => {
            let files = vec!["model.safetensors".to_owned()];
            Response::CheckpointImported(CheckpointImported::Model { name, bytes: 5 << 20, files })
        }
        other => unreachable!("{other:?} is not about checkpoints"),
    })
}

fn of_store(request: &Request) -> Response {
    match request {
        Request::StoreStatus => Response::StoreStatus(data::store_report()),
        Request::StoreCollect { dry_run } => Response::StoreCollected(data::collected(*dry_run)),
        Request::StoreRebuildIndex => Response::StoreIndexRebuilt { manifests: 4 },
        other => unreachable!("{other:?} is not about the store"),
    }
}

fn of_data_sets(request: Request) -> Answer {
    Ok(match request {
        Request::DataList => Response::DataList { data: vec![data::data_set()] },
        Request::DataAdd { .. } => Response::DataAdded(data::data_set()),
        Request::DataShow { name } if name == "rows" => Response::DataDetail(data::data_detail()),
        Request::DataShow { name } => {
            return Err(ApiError::no_such_object(format!("no data set {name:?}")).next("trainctl data ls"));
        }
        Request::DataVerify { name } => {
            let damaged = if name == "rows" { Vec::new() } else { vec!["c4".repeat(32)] };
            Response::DataVerified(DataVerified { name, chunks: 2, damaged })
        }
        Request::DataRemove { name } => Response::DataRemoved { name },
        other => unreachable!("{other:?} is not about data sets"),
    })
}

fn samples(job: &str, step: u64) -> Answer {
    if step > 9 {
        let error = ApiError::no_such_object(format!("step {step} is not stable"));
        return Err(error.because("the job has 9 stable steps of 9"));
    }
    Ok(Response::JobSamples(data::samples(job, step)))
}

fn submitted(spec_toml: &str, dry_run: bool) -> Answer {
    if spec_toml.contains("steps = 13") {
        let error = ApiError::bad_request("cannot be 13; allowed: luckier ones").next("docs/jobs.md");
        return Err(error.at(Some(2), Some("steps".into())));
    }
    Ok(match (dry_run, spec_toml.contains("steps = 14")) {
        (true, _) => Response::JobPlanned(data::planned()),
        (false, true) => Response::JobSubmitted { job: REFUSED.into(), name: "unreadable".into() },
        (false, false) => Response::JobSubmitted { job: FINISHED.into(), name: "digits".into() },
    })
}
