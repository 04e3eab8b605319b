//! What the fake daemon knows: one of everything.

use traind::control::Export;
use traind::control::api::{
    ApiError, CheckpointDetail, CheckpointRow, ConfigEntry, Council, CouncilRole, CouncilStandstill,
    Departure, EvaluationPoint, EventKind, EventLine, FollowEvent, JobData, JobDetail, JobPlanned, JobResult,
    JobRow, JobSamples, JobStatus, JobSummary, JobWhy, KeptOut, KeptReason, LogLevel, LogLine, LossPoint,
    MemberRow, MetricPoint, MicroBatchSamples, MissingNode, NodeDetail, NodeRef, NodeRole, NodeRow,
    NodeVersion, NumericClassRow, Pause, Refusal, Status, StepRange, StepView, StreamItem, VersionInfo,
    ViewRow, WaitRow, WorkRow,
};

pub(crate) use super::sets::{
    collected, data_detail, data_set, pinned, pruned, store_lines, store_report, verified,
};

pub(crate) const FINISHED: &str = "0a11223344556677";
pub(crate) const FAILED: &str = "0b11223344556677";
pub(crate) const RUNNING: &str = "0c11223344556677";
pub(crate) const QUEUED: &str = "0d11223344556677";
pub(crate) const PAUSED: &str = "0e11223344556677";
pub(crate) const REFUSED: &str = "0f11223344556677";

/// Jobs as (id, name). The running one never ends.
pub(crate) const JOBS: [(&str, &str); 6] = [
    (FINISHED, "digits"),
    (FAILED, "broken"),
    (RUNNING, "endless"),
    (QUEUED, "waiting"),
    (PAUSED, "resting"),
    (REFUSED, "unreadable"),
];

/// A process's nonce that no double holds.
const BOOT: u64 = 0x8000_0000_0000_00b0;

/// When everything happened.
const AT: &str = "2026-11-23T10:00:00.123Z";

pub(crate) fn node(number: u8) -> NodeRef {
    let name = ["calm-lark-01", "quiet-heron-02", "brave-otter-03"][usize::from(number) - 1];
    NodeRef { name: name.into(), id: format!("{number:02x}").repeat(32) }
}

pub(crate) fn status() -> Status {
    Status {
        node: node(1),
        version: env!("CARGO_PKG_VERSION").into(),
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

pub(crate) fn nodes(live: u64) -> Vec<NodeRow> {
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
                boot: BOOT,
                address: (number > 1).then(|| format!("/ip4/192.0.2.{number}/tcp/7440")),
                numeric_class: "avx512/32k".into(),
                device: "cpu".into(),
                job_step: (number < 3).then_some(7),
                microbatches_computed: 42,
                exchange_bytes_sent: 1_500_000,
                last_heard_ms: (number > 1).then_some(90),
                version: (number < 3).then(|| env!("CARGO_PKG_VERSION").into()),
                drain: None,
                kept_out: (number == 3).then(|| "its /srv/data is another".into()),
            }
        })
        .collect()
}

pub(crate) fn jobs() -> Vec<JobRow> {
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
                checking: false,
            }
        })
        .collect()
}

pub(crate) fn state(job: &str) -> (JobStatus, Option<String>) {
    match job {
        FINISHED => (JobStatus::Finished, None),
        FAILED => (JobStatus::Failed, Some("the loss of step 9, micro-batch 3 is not finite".into())),
        RUNNING => (JobStatus::Running, None),
        PAUSED => (JobStatus::Paused, None),
        REFUSED => (JobStatus::Refused, Some("calm-lark-01: /srv/data is not there".into())),
        _ => (JobStatus::Queued, Some(format!("job {RUNNING} runs"))),
    }
}

pub(crate) fn result(job: &str) -> Option<JobResult> {
    (job == FINISHED).then(|| JobResult {
        digest: "d1".repeat(32),
        chain: "c1".repeat(32),
        test_correct: 349,
        test_total: 360,
    })
}

pub(crate) fn checkpoint() -> CheckpointRow {
    CheckpointRow {
        job: FINISHED.into(),
        job_name: "digits".into(),
        step: 5,
        digest: "d0".repeat(32),
        chain: "c0".repeat(32),
        manifest: "a0".repeat(32),
        bytes: 493_696,
        holders: vec![node(1), node(2)],
        fetching: vec![node(3)],
        replicas: 3,
        kept: vec![KeptReason::Newest],
    }
}

fn views() -> Vec<ViewRow> {
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
    views
}

pub(crate) fn detail(job: &str) -> JobDetail {
    let (status, reason) = state(job);
    let member = |number: u8, leased: u32| MemberRow {
        node: node(number),
        boot: BOOT,
        tenure: 1,
        synced: true,
        microbatches_leased: leased,
        parts_owned: 4,
    };
    let work = |number: u8, live: bool, microbatches_computed: u64| WorkRow {
        node: node(number),
        boot: BOOT,
        live,
        microbatches_computed,
        microbatches_taken_over: 1,
        exchange_bytes_sent: 2_000_000,
        steps_applied: 9,
    };
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
        views: views(),
        checkpoints: vec![checkpoint()],
        committed: vec![
            StepRange { incarnation: 0, epoch: 1, first_step: 1, last_step: 4 },
            StepRange { incarnation: 0, epoch: 2, first_step: 5, last_step: 9 },
        ],
        numeric_classes: vec![NumericClassRow { class: "avx512/32k".into(), nodes: vec![node(1), node(2)] }],
        warnings: vec!["view 1 mixes 2 numeric classes".into()],
        result: result(job),
        spec_toml: "name = \"digits\"\n".into(),
        checking: false,
        evaluations: vec![evaluation()],
        learning_rate: Some(0.05),
        gradient_norm: Some(1.25),
        pause: (status == JobStatus::Paused).then(|| Pause { by: node(2) }),
        refusal: (status == JobStatus::Refused)
            .then(|| Refusal { node: node(1), reason: "/srv/data is not there".into() }),
        data: Some(JobData {
            kind: "idx".into(),
            path: Some("/srv/data".into()),
            digest: Some("da".repeat(32)),
        }),
        from: Some("model.safetensors f0f0".into()),
        kept_out: vec![KeptOut { node: node(3), reason: "its /srv/data is another".into() }],
    }
}

pub(crate) fn events(job: &str) -> Vec<FollowEvent> {
    let (status, reason) = state(job);
    let job = job.to_owned();
    let progress = |stable_step: u64| FollowEvent::Progress {
        job: job.clone(),
        status: if status.has_ended() { JobStatus::Running } else { status },
        reason: reason.clone().filter(|_| status == JobStatus::Queued),
        stable_step,
        steps: 9,
        loss: Some(0.5),
        losses: Vec::new(),
        epoch: 1,
        members: vec![node(1), node(2)],
        checking: false,
        learning_rate: Some(0.05),
        gradient_norm: Some(1.25),
        evaluation: (stable_step == 9).then(evaluation),
        pause: (status == JobStatus::Paused).then(|| Pause { by: node(2) }),
    };
    let mut events = vec![progress(3)];
    if let (FollowEvent::Progress { status: told, checking, .. }, JobStatus::Refused) =
        (&mut events[0], status)
    {
        (*told, *checking) = (JobStatus::Queued, true);
        events.push(FollowEvent::Ended { job, status, reason, result: None });
        return events;
    }
    if status == JobStatus::Paused {
        // Somebody resumes it, and it finishes.
        let mut resumed = progress(4);
        if let FollowEvent::Progress { status, pause, .. } = &mut resumed {
            (*status, *pause) = (JobStatus::Running, None);
        }
        events.push(resumed);
        let result = result(FINISHED);
        events.push(FollowEvent::Ended { job, status: JobStatus::Finished, reason, result });
        return events;
    }
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

fn evaluation() -> EvaluationPoint {
    EvaluationPoint { step: 5, correct: 270, total: 360, accuracy: Some(0.75), loss: Some(0.8) }
}

pub(crate) fn node_detail(row: NodeRow) -> NodeDetail {
    let this_node = row.name == node(1).name;
    NodeDetail {
        this_node,
        threads: this_node.then_some(1),
        rtt_ms: (!this_node).then_some(3),
        bytes_received: (!this_node).then_some(1_200_000),
        bytes_sent: (!this_node).then_some(900),
        addresses: row.address.iter().cloned().collect(),
        last_error: (row.name == node(3).name).then(|| "connection closed".into()),
        row,
    }
}

pub(crate) fn checkpoint_detail() -> CheckpointDetail {
    CheckpointDetail { row: checkpoint(), local: true, newest: true }
}

pub(crate) fn no_checkpoint(job: &str, step: u64) -> ApiError {
    ApiError::no_such_object(format!("job {job} has no checkpoint at step {step}"))
        .next(format!("trainctl checkpoint ls {job}"))
}

pub(crate) fn export(job: &str) -> Export {
    Export {
        job: job.into(),
        job_name: "digits".into(),
        step: 5,
        digest: "d0".repeat(32),
        // Longer than what is sent at a time.
        files: vec![
            ("model.safetensors".into(), (0..700_000u32).map(|index| index.to_le_bytes()[1]).collect()),
            ("config.json".into(), b"{}\n".to_vec()),
        ],
    }
}

pub(crate) fn planned() -> JobPlanned {
    JobPlanned {
        name: "digits".into(),
        steps: 9,
        micro_batches: 6,
        micro_batch_size: 24,
        nodes_min: 1,
        state_bytes: 493_696,
        data: Some(JobData { kind: "digits".into(), path: None, digest: None }),
        warnings: vec!["the last epoch is cut short".into()],
    }
}

pub(crate) fn config() -> Vec<ConfigEntry> {
    let entry = |key: &str, value: &str, origin: &str| ConfigEntry {
        key: key.into(),
        value: value.into(),
        origin: origin.into(),
    };
    vec![
        entry("data_dir", "\"/srv/traind\"", "file /etc/traind/traind.toml:3"),
        entry("threads", "0", "default"),
    ]
}

pub(crate) fn version() -> VersionInfo {
    let told = |number: u8, version: Option<&str>| NodeVersion {
        node: node(number),
        version: version.map(Into::into),
        live: number < 3,
    };
    VersionInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: "2".into(),
        features: vec!["cuda".into()],
        node: node(1),
        nodes: vec![told(1, Some(env!("CARGO_PKG_VERSION"))), told(2, Some("0.0.9")), told(3, None)],
    }
}

pub(crate) fn logs() -> Vec<StreamItem> {
    let line = |level: LogLevel, message: &str, fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (at, target) = (AT.into(), "traind_actors::session".into());
        StreamItem::LogLine(LogLine { at, node: node(1), level, target, message: message.into(), fields })
    };
    vec![
        line(LogLevel::Info, "the job starts", &[("job", FINISHED), ("step", "0")]),
        line(LogLevel::Warn, "slow\u{1b}[31m peer", &[]),
    ]
}

pub(crate) fn metrics(since_step: u64) -> Vec<StreamItem> {
    let point = |step: u64, is_evaluated: bool| MetricPoint {
        step,
        loss: 1.0 / step as f64,
        learning_rate: Some(0.05),
        gradient_norm: (step > 1).then_some(1.25),
        evaluation: is_evaluated.then(evaluation),
        at: Some(AT.into()),
    };
    [point(1, false), point(3, false), point(5, true)]
        .into_iter()
        .filter(|point| point.step > since_step)
        .map(StreamItem::MetricPoint)
        .collect()
}

pub(crate) fn swarm_events() -> Vec<StreamItem> {
    let line = |event: EventKind, message: &str, node: Option<NodeRef>, job: Option<&str>| {
        let step = job.map(|_| 5);
        StreamItem::EventLine(EventLine {
            at: AT.into(),
            event,
            message: message.into(),
            node,
            job: job.map(Into::into),
            step,
        })
    };
    vec![
        line(EventKind::NodeJoined, "brave-otter-03 joined", Some(node(3)), None),
        line(EventKind::Checkpoint, "checkpoint of digits", None, Some(FINISHED)),
        StreamItem::Skipped { lines: 2 },
    ]
}

/// Of a job that runs: with a council that has lost its majority. Of others: nothing to wait for.
pub(crate) fn why(job: &str) -> JobWhy {
    let detail = detail(job);
    let is_running = job == RUNNING;
    let row = |what: &str, ends_in_ms: Option<u64>, then: &str| WaitRow {
        what: what.into(),
        since_ms: Some(12_300),
        ends_in_ms,
        then: Some(then.into()),
    };
    let nothing =
        WaitRow { what: "nothing: it is done".into(), since_ms: None, ends_in_ms: None, then: None };
    let missing = |number: u8, since_ms: Option<u64>| MissingNode {
        node: node(number),
        votes: true,
        since_ms,
        reason: since_ms.map(|_| "silent: no heartbeat".into()),
    };
    let council = CouncilStandstill {
        voters: 3,
        needed: 2,
        present: vec![node(1)],
        ends: format!("nothing can be decided until 1 more of these come back: {}", node(2).name),
    };
    JobWhy {
        id: detail.id,
        name: detail.name,
        status: detail.status,
        step: 9,
        steps: 9,
        coordinator: (!is_running).then(|| node(1)),
        waits: if is_running {
            vec![row("brave-otter-02 fetches the state", Some(17_700), "a view without it is committed")]
        } else {
            vec![nothing]
        },
        told_ms: is_running.then_some(800),
        here: if is_running {
            vec![row("the results of parts 0-3, 7, from brave-otter-02", None, "it arrives")]
        } else {
            vec![]
        },
        missing: if is_running { vec![missing(2, Some(12_400)), missing(3, None)] } else { vec![] },
        council: is_running.then_some(council),
    }
}

pub(crate) fn samples(job: &str, step: u64) -> JobSamples {
    let detail = detail(job);
    let micro_batch = |micro_batch: u32| MicroBatchSamples {
        micro_batch,
        node: Some(node(1 + u8::try_from(micro_batch / 3).unwrap())),
        samples: (0..12).map(|index| 12 * micro_batch + index).collect(),
    };
    JobSamples {
        id: detail.id,
        name: detail.name,
        step,
        epoch_samples: 1438,
        view: Some(StepView { incarnation: 0, epoch: 2, members: vec![node(1), node(2)], since_step: 4 }),
        micro_batches: (0..6).map(micro_batch).collect(),
    }
}
