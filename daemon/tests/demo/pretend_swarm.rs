//! What the founder pretends: a swarm that trains. It moves on by events alone: at 40 % it waits until a member has
//! died, at 70 % until a new one has come, unless it was alone from the start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use traind::control::api::{
    ApiError, Council, CouncilRole, Departure, FollowEvent, JobDetail, JobResult, JobStatus, LossPoint,
    NodeRef, NodeRole, NodeRow, Request, Response, Status, StreamItem, ViewRow, WorkRow,
};
use traind::control::{ControlBackend, Export, FOLLOW_EVENTS_MAX, Submission};

const JOB: &str = "ab00000000000000";

/// A swarm as its founder sees it.
pub(crate) struct Swarm {
    me: String,
    mood: String,
    /// Live nodes, the founder first.
    live: watch::Sender<Vec<String>>,
    changes: watch::Sender<u64>,
    job: Mutex<Job>,
}

#[derive(Clone, Default)]
struct Job {
    steps: u64,
    views: Vec<ViewRow>,
    started_with: usize,
}

impl Swarm {
    pub(crate) fn new(me: String, mood: &str) -> Self {
        let live = watch::Sender::new(vec![me.clone()]);
        Self { me, mood: mood.into(), live, changes: watch::Sender::new(0), job: Mutex::default() }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        self.live.send_modify(change);
        self.changes.send_modify(|count| *count += 1);
    }

    fn nodes(&self) -> Vec<NodeRow> {
        let row = |node: &String| NodeRow {
            name: name(node).name,
            id: node.clone(),
            role: if *node == self.me { NodeRole::Coordinator } else { NodeRole::Member },
            council: CouncilRole::None,
            in_view: true,
            seat: 0,
            boot: 1,
            address: None,
            numeric_class: "pretended".into(),
            device: "cpu".into(),
            job_step: None,
            microbatches_computed: 0,
            exchange_bytes_sent: 0,
            last_heard_ms: None,
            version: None,
            drain: None,
            kept_out: None,
        };
        self.live.borrow().iter().map(row).collect()
    }

    fn result(&self) -> JobResult {
        let is_alone = self.job.lock().unwrap().started_with == 1;
        let digit = match (self.mood.as_str(), is_alone) {
            ("different", true) => "1",
            ("different", false) => "3",
            _ => "d",
        };
        JobResult { digest: digit.repeat(64), chain: "c".repeat(64), test_correct: 97, test_total: 100 }
    }

    fn status(&self) -> Status {
        Status {
            node: name(&self.me),
            version: "0".into(),
            swarm: None,
            coordinator: Some(name(&self.me)),
            term: 1,
            council: Council::default(),
            nodes_live: 0,
            nodes_known: 0,
            job: None,
            jobs_queued: 0,
            device: "cpu".into(),
            threads: 1,
            numeric_class: "pretended".into(),
            addresses: Vec::new(),
            data_dir: String::new(),
            uptime_ms: 0,
            counters: Default::default(),
        }
    }

    fn detail(&self) -> JobDetail {
        let job = self.job.lock().unwrap().clone();
        let process = |node: NodeRef, microbatches_computed: u64| WorkRow {
            node,
            boot: 1,
            live: true,
            microbatches_computed,
            microbatches_taken_over: 0,
            exchange_bytes_sent: 10,
            steps_applied: job.steps,
        };
        JobDetail {
            id: JOB.into(),
            name: "lenet-digits".into(),
            status: JobStatus::Finished,
            reason: None,
            step: job.steps,
            steps: job.steps,
            micro_batches: 12,
            loss: None,
            losses: Vec::new(),
            submitted_by: name(&self.me),
            incarnation: 0,
            epoch: 3,
            members: Vec::new(),
            spares: Vec::new(),
            work: vec![process(name(&self.me), job.steps * 12)],
            views: job.views,
            checkpoints: Vec::new(),
            committed: Vec::new(),
            numeric_classes: Vec::new(),
            warnings: Vec::new(),
            result: Some(self.result()),
            spec_toml: String::new(),
            checking: false,
            evaluations: Vec::new(),
            learning_rate: None,
            gradient_norm: None,
            pause: None,
            refusal: None,
            data: None,
            from: None,
            kept_out: Vec::new(),
        }
    }
}

/// The swarm as the control server sees it.
pub(crate) struct Pretended(pub(crate) Arc<Swarm>);

impl ControlBackend for Pretended {
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Response, ApiError>> {
        let answer = match request {
            Request::Status => Response::Status(self.0.status()),
            Request::NodeList => Response::NodeList { nodes: self.0.nodes() },
            Request::JobShow { .. } => Response::JobDetail(self.0.detail()),
            other => return async move { Err(ApiError::bad_request(format!("{other:?}"))) }.boxed(),
        };
        async move { Ok(answer) }.boxed()
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'static, Result<Response, ApiError>> {
        let steps = submission
            .spec_toml
            .lines()
            .find_map(|line| line.strip_prefix("steps = "))
            .unwrap()
            .parse()
            .unwrap();
        *self.0.job.lock().unwrap() = Job { steps, ..Job::default() };
        async move { Ok(Response::JobSubmitted { job: JOB.into(), name: "lenet-digits".into() }) }.boxed()
    }

    fn export(&self, _: String, _: Option<u64>) -> BoxFuture<'static, Result<Export, ApiError>> {
        async move { Err(ApiError::refused("nothing is kept")) }.boxed()
    }

    fn staging_directory(&self) -> PathBuf {
        std::env::temp_dir()
    }

    fn stop(&self) {}

    fn stream(&self, _: Request) -> BoxFuture<'static, Result<mpsc::Receiver<StreamItem>, ApiError>> {
        async move { Err(ApiError::refused("nothing is told")) }.boxed()
    }

    fn follow_job(&self, _: String) -> BoxFuture<'static, Result<mpsc::Receiver<FollowEvent>, ApiError>> {
        let (sender, receiver) = mpsc::channel(FOLLOW_EVENTS_MAX);
        tokio::spawn(pretend_to_train(Arc::clone(&self.0), sender));
        async move { Ok(receiver) }.boxed()
    }

    fn nodes_changed(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}

/// Takes in nodes that connect; a closed connection is a dead node.
pub(crate) fn listen(address: &Path, swarm: Arc<Swarm>) -> impl Future<Output = ()> + use<> {
    let listener = UnixListener::bind(address).unwrap();
    async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let swarm = Arc::clone(&swarm);
            tokio::spawn(async move {
                let mut id = [0u8; 8];
                stream.read_exact(&mut id).await.unwrap();
                let node = String::from_utf8(id.to_vec()).unwrap();
                swarm.change(|live| live.push(node.clone()));
                let _ = stream.read(&mut [0u8]).await;
                swarm.change(|live| live.retain(|other| *other != node));
            });
        }
    }
}

async fn pretend_to_train(swarm: Arc<Swarm>, events: mpsc::Sender<FollowEvent>) {
    let mut live = swarm.live.subscribe();
    let mut members: Vec<String> = live.borrow_and_update().clone();
    let (steps, count) = (swarm.job.lock().unwrap().steps, members.len());
    swarm.job.lock().unwrap().started_with = count;
    let mut event = view(&swarm, &members, &[], 0);
    for tenth in 0..=10u64 {
        let step = tenth * steps / 10;
        let waits_for = match tenth {
            5 if count > 1 => Some(count - 1),
            8 if count > 1 => Some(count),
            2 if swarm.mood == "endless" => Some(usize::MAX),
            _ => None,
        };
        if let Some(wanted) = waits_for {
            let now = live.wait_for(|live| live.len() == wanted).await.unwrap().clone();
            event = view(&swarm, &now, &members, step - steps / 10);
            events.send(event.clone()).await.unwrap();
            members = now;
        }
        if swarm.mood == "dies" && tenth == 3 {
            eprintln!("the founder gives up");
            std::process::exit(9);
        }
        let FollowEvent::ViewChanged { epoch, members: names, .. } = &event else { unreachable!() };
        let loss = 2.0 / (1.0 + tenth as f64);
        let progress = FollowEvent::Progress {
            job: JOB.into(),
            status: JobStatus::Running,
            reason: None,
            stable_step: step,
            steps,
            loss: Some(loss),
            losses: vec![LossPoint { step, loss }],
            epoch: *epoch,
            members: names.clone(),
            checking: false,
            learning_rate: None,
            gradient_norm: None,
            evaluation: None,
            pause: None,
        };
        if events.send(progress).await.is_err() {
            return;
        }
    }
    let result = Some(swarm.result());
    let ended = FollowEvent::Ended { job: JOB.into(), status: JobStatus::Finished, reason: None, result };
    let _ = events.send(ended).await;
}

/// Records a view and tells of it.
fn view(swarm: &Swarm, now: &[String], before: &[String], step: u64) -> FollowEvent {
    let refs = |nodes: &[String]| nodes.iter().map(|node| name(node)).collect::<Vec<NodeRef>>();
    let not_in = |nodes: &[String], others: &[String]| -> Vec<String> {
        nodes.iter().filter(|node| !others.contains(node)).cloned().collect()
    };
    let departure = |node: NodeRef| Departure {
        node,
        reason: "connection closed".into(),
        work: "its micro-batches were leased again".into(),
    };
    let mut job = swarm.job.lock().unwrap();
    let epoch = job.views.len() as u64 + 1;
    job.views.push(ViewRow {
        incarnation: 0,
        epoch,
        step,
        reason: "the members changed".into(),
        members: refs(now),
        joined: refs(&not_in(now, before)),
        left: refs(&not_in(before, now)).into_iter().map(departure).collect(),
        numeric_classes: Vec::new(),
    });
    FollowEvent::ViewChanged {
        job: JOB.into(),
        epoch,
        step,
        reason: "the members changed".into(),
        members: refs(now),
    }
}

fn name(node: &str) -> NodeRef {
    NodeRef { name: format!("node-{node}"), id: node.into() }
}
