//! A control server with known answers, and a way to run the programs.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use traind::control::api::{
    ApiError, CheckpointRow, Council, CouncilRole, Departure, FollowEvent, JobDetail, JobResult, JobRow,
    JobStatus, JobSummary, LossPoint, MemberRow, NodeRef, NodeRole, NodeRow, NumericClassRow, Request,
    Response, Status, StepRange, ViewRow, WorkRow,
};
use traind::control::{ControlBackend, ControlServer, FOLLOW_EVENTS_MAX, select_job};
use traind::stop_signal::{StopHandle, StopSignal};

pub(crate) const FINISHED: &str = "0a11223344556677";
pub(crate) const FAILED: &str = "0b11223344556677";
pub(crate) const RUNNING: &str = "0c11223344556677";
pub(crate) const QUEUED: &str = "0d11223344556677";

/// A job file.
pub(crate) const JOB: &str = "name = \"digits\"\nsteps = 9\nmodel = \"lenet\"\ndata = \"digits\"\n";

/// Jobs as (id, name). The running one never ends.
const JOBS: [(&str, &str); 4] =
    [(FINISHED, "digits"), (FAILED, "broken"), (RUNNING, "endless"), (QUEUED, "waiting")];

/// A served control socket; stops when dropped.
pub(crate) struct Fake {
    pub(crate) directory: TempDir,
    pub(crate) socket: PathBuf,
    pub(crate) backend: Arc<FakeBackend>,
    stop: StopHandle,
    server: Option<JoinHandle<()>>,
}

/// Known answers, and what was asked.
pub(crate) struct FakeBackend {
    pub(crate) asked: Mutex<Vec<Request>>,
    live: watch::Sender<u64>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let backend = Arc::new(FakeBackend { asked: Mutex::default(), live: watch::Sender::new(2) });
        let (stop, signal) = StopHandle::new();
        let (bound_sender, bound) = std::sync::mpsc::sync_channel(1);
        let served = (socket.clone(), Arc::clone(&backend));
        let server = std::thread::spawn(move || serve(served.0, served.1, signal, bound_sender));
        bound.recv().expect("the server binds");
        Self { directory, socket, backend, stop, server: Some(server) }
    }

    /// Makes that many nodes live.
    pub(crate) fn set_live(&self, live: u64) {
        self.backend.live.send_replace(live);
    }

    /// Runs `trainctl` against this server.
    pub(crate) fn trainctl(&self, arguments: &[&str]) -> Ran {
        let mut all = vec!["--socket", self.socket.to_str().unwrap()];
        all.extend(arguments);
        trainctl(&all)
    }

    /// Writes a file beside the socket.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.stop();
        self.server.take().map(JoinHandle::join);
    }
}

fn serve(
    socket: PathBuf,
    backend: Arc<FakeBackend>,
    stop: StopSignal,
    bound: std::sync::mpsc::SyncSender<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = ControlServer::bind(&socket).unwrap();
        bound.send(()).unwrap();
        server.serve(backend, stop).await;
    });
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command with nothing of this environment that would change what it does.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRAIND_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn trainctl(arguments: &[&str]) -> Ran {
    command(env!("CARGO_BIN_EXE_trainctl"), arguments).output().unwrap().into()
}

pub(crate) fn traind(arguments: &[&str]) -> Ran {
    command(env!("CARGO_BIN_EXE_traind"), arguments).output().unwrap().into()
}

impl ControlBackend for FakeBackend {
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Response, ApiError>> {
        self.asked.lock().unwrap().push(request.clone());
        let live = *self.live.borrow();
        async move { answer(request, live) }.boxed()
    }

    fn follow_job(&self, job: String) -> BoxFuture<'static, Result<mpsc::Receiver<FollowEvent>, ApiError>> {
        async move {
            let job = select_job(&job, JOBS)?;
            let (sender, receiver) = mpsc::channel(FOLLOW_EVENTS_MAX);
            for event in events(job) {
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

    fn nodes_changed(&self) -> watch::Receiver<u64> {
        self.live.subscribe()
    }
}

fn answer(request: Request, live: u64) -> Result<Response, ApiError> {
    Ok(match request {
        Request::Status => Response::Status(status()),
        Request::NodeList => Response::NodeList { nodes: nodes(live) },
        Request::JobSubmit { spec_toml } if spec_toml.contains("steps = 13") => {
            let error = ApiError::bad_request("cannot be 13; allowed: luckier ones").next("docs/jobs.md");
            return Err(error.at(Some(2), Some("steps".into())));
        }
        Request::JobSubmit { .. } => Response::JobSubmitted { job: FINISHED.into(), name: "digits".into() },
        Request::JobList => Response::JobList { jobs: jobs() },
        Request::JobShow { job } => Response::JobDetail(detail(select_job(&job, JOBS)?)),
        Request::JobCancel { job } => match select_job(&job, JOBS)? {
            FINISHED => {
                return Err(ApiError::refused("job digits has finished").because("nothing is left to cancel"));
            }
            job => Response::JobCancelled { job: job.into() },
        },
        Request::CheckpointList { job } => {
            if let Some(job) = job {
                select_job(&job, JOBS)?;
            }
            Response::CheckpointList { checkpoints: vec![checkpoint()] }
        }
        Request::JobFollow { .. } | Request::NodeWait { .. } => {
            unreachable!("the server answers these by itself")
        }
    })
}

pub(crate) fn node(number: u8) -> NodeRef {
    let name = ["calm-lark-01", "quiet-heron-02", "brave-otter-03"][usize::from(number) - 1];
    NodeRef { name: name.into(), id: format!("{number:02x}").repeat(32) }
}

fn status() -> Status {
    Status {
        node: node(1),
        version: "0.1.0".into(),
        swarm: Some("5f".repeat(32)),
        coordinator: Some(node(1)),
        term: 3,
        council: Council { voters: vec![node(1)], learners: vec![node(2)] },
        nodes_live: 2,
        nodes_known: 3,
        job: Some(JobSummary {
            id: RUNNING.into(),
            name: "endless".into(),
            status: JobStatus::Running,
            step: 7,
            steps: 400,
            loss: Some(1.25),
            epoch: 2,
            members: 2,
        }),
        jobs_queued: 1,
        device: "cpu".into(),
        threads: 1,
        numeric_class: "avx512/32k".into(),
        addresses: vec!["/ip4/127.0.0.1/tcp/7440".into()],
        data_dir: "/srv/traind".into(),
        uptime_ms: 65_000,
        counters: [("frames_oversize".to_owned(), 0), ("peers_refused".to_owned(), 1)].into(),
    }
}

fn nodes(live: u64) -> Vec<NodeRow> {
    let roles = [NodeRole::Coordinator, NodeRole::Member, NodeRole::Spare];
    let councils = [CouncilRole::Voter, CouncilRole::Learner, CouncilRole::None];
    (1u8..=3)
        .map(|number| {
            let index = usize::from(number) - 1;
            let is_live = u64::from(number) <= live;
            let NodeRef { name, id } = node(number);
            NodeRow {
                name,
                id,
                role: if is_live { roles[index] } else { NodeRole::Down },
                council: councils[index],
                in_view: number < 3,
                seat: u64::from(number),
                boot: 0xb0,
                address: (number > 1).then(|| format!("/ip4/192.0.2.{number}/tcp/7440")),
                numeric_class: "avx512/32k".into(),
                device: "cpu".into(),
                job_step: (number < 3).then_some(7),
                microbatches_computed: 42,
                exchange_bytes_sent: 1_500_000,
                last_heard_ms: (number > 1).then_some(90),
            }
        })
        .collect()
}

fn jobs() -> Vec<JobRow> {
    JOBS.iter()
        .map(|(id, name)| {
            let (status, reason) = state(id);
            let is_queued = status == JobStatus::Queued;
            JobRow {
                id: (*id).into(),
                name: (*name).into(),
                status,
                reason,
                step: if is_queued { 0 } else { 9 },
                steps: 9,
                loss: (!is_queued).then_some(0.5),
                nodes: if is_queued { 0 } else { 2 },
                submitted_by: node(1),
            }
        })
        .collect()
}

fn state(job: &str) -> (JobStatus, Option<String>) {
    match job {
        FINISHED => (JobStatus::Finished, None),
        FAILED => (JobStatus::Failed, Some("the loss of step 9, micro-batch 3 is not finite".into())),
        RUNNING => (JobStatus::Running, None),
        _ => (JobStatus::Queued, Some(format!("job {RUNNING} runs"))),
    }
}

fn result(job: &str) -> Option<JobResult> {
    (job == FINISHED).then(|| JobResult {
        digest: "d1".repeat(32),
        chain: "c1".repeat(32),
        test_correct: 349,
        test_total: 360,
    })
}

fn checkpoint() -> CheckpointRow {
    CheckpointRow {
        job: FINISHED.into(),
        job_name: "digits".into(),
        step: 5,
        digest: "d0".repeat(32),
        chain: "c0".repeat(32),
        bytes: 493_696,
        holders: vec![node(1), node(2)],
    }
}

fn detail(job: &str) -> JobDetail {
    let (status, reason) = state(job);
    let member = |number: u8, leased: u32| MemberRow {
        node: node(number),
        boot: 0xb0,
        tenure: 1,
        synced: true,
        microbatches_leased: leased,
        parts_owned: 4,
    };
    let work = |number: u8, live: bool, microbatches_computed: u64| WorkRow {
        node: node(number),
        boot: 0xb0,
        live,
        microbatches_computed,
        microbatches_taken_over: 1,
        exchange_bytes_sent: 2_000_000,
        steps_applied: 9,
    };
    let view = |epoch: u64, reason: &str| ViewRow {
        incarnation: 0,
        epoch,
        step: (epoch - 1) * 4,
        reason: reason.into(),
        members: vec![node(1), node(2)],
        joined: Vec::new(),
        left: Vec::new(),
        numeric_classes: vec!["avx512/32k".into()],
    };
    let mut views = vec![view(1, "the job started"), view(2, "brave-otter-03 died")];
    views[0].joined = vec![node(1), node(2), node(3)];
    views[1].left = vec![Departure {
        node: node(3),
        reason: "connection closed".into(),
        work: "2 of 6 micro-batches leased again".into(),
    }];
    JobDetail {
        id: job.into(),
        name: JOBS.iter().find(|(id, _)| *id == job).unwrap().1.into(),
        status,
        reason,
        step: 9,
        steps: 9,
        micro_batches: 6,
        loss: Some(0.5),
        losses: vec![LossPoint { step: 9, loss: 0.5 }],
        submitted_by: node(1),
        incarnation: 0,
        epoch: 2,
        members: vec![member(1, 3), member(2, 3)],
        spares: vec![],
        work: vec![work(1, true, 24), work(2, true, 23), work(3, false, 8)],
        views,
        checkpoints: vec![checkpoint()],
        committed: vec![
            StepRange { incarnation: 0, epoch: 1, first_step: 1, last_step: 4 },
            StepRange { incarnation: 0, epoch: 2, first_step: 5, last_step: 9 },
        ],
        numeric_classes: vec![NumericClassRow { class: "avx512/32k".into(), nodes: vec![node(1), node(2)] }],
        warnings: vec!["view 1 mixes 2 numeric classes".into()],
        result: result(job),
        spec_toml: "name = \"digits\"\n".into(),
    }
}

fn events(job: &str) -> Vec<FollowEvent> {
    let (status, reason) = state(job);
    let job = job.to_owned();
    let progress = |stable_step: u64| FollowEvent::Progress {
        job: job.clone(),
        status: if status == JobStatus::Queued { status } else { JobStatus::Running },
        reason: reason.clone().filter(|_| status == JobStatus::Queued),
        stable_step,
        steps: 9,
        loss: Some(0.5),
        losses: Vec::new(),
        epoch: 1,
        members: vec![node(1), node(2)],
    };
    let mut events = vec![progress(3)];
    if status.has_ended() {
        let view = "brave-otter-03 died".to_owned();
        events.push(FollowEvent::ViewChanged {
            job: job.clone(),
            epoch: 2,
            step: 4,
            reason: view,
            members: vec![node(1)],
        });
        events.push(FollowEvent::Checkpoint { job: job.clone(), step: 5, digest: "d0".repeat(32) });
        events.push(progress(9));
        events.push(FollowEvent::Ended { job: job.clone(), status, reason, result: result(&job) });
    }
    events
}
