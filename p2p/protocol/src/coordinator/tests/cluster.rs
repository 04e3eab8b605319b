//! A coordinator on node 1 with its ledger; every proposal is applied at once unless told otherwise.

use std::collections::BTreeSet;

use crate::coordinator::{Coordinator, CoordinatorInput, CoordinatorOptions, CoordinatorOutput};
use crate::ids::{Boot, Epoch, JobId, Life, Millis, NodeId};
use crate::ledger::testing::{DATA, chain, digest, job_id, manifest, node, registration, submit};
use crate::ledger::{DrainUntil, JobPlan, JobRecord, JobStatus, Ledger, LedgerCommand};
use crate::replicated::Replicated;
use crate::view::View;
use crate::wire::control::{
    ControlMessage, JobCheck, Progress, Report, ReportEvent, StepPoint, WorkCounters,
};

pub(super) struct Cluster {
    pub(super) coordinator: Coordinator,
    pub(super) ledger: Ledger,
    pub(super) now: Millis,
    /// Proposals are kept here instead of being applied.
    pub(super) is_council_stuck: bool,
    pub(super) proposals: Vec<LedgerCommand>,
    /// Every command applied since the last look.
    pub(super) applied: Vec<LedgerCommand>,
    /// Everything but proposals.
    pub(super) out: Vec<CoordinatorOutput>,
    /// Every node says at once that it has the data of every job.
    pub(super) data_is_there: bool,
    told: BTreeSet<(JobId, Life)>,
    index: u64,
}

pub(super) fn fresh_coordinator(number: u8, boot: u64) -> Coordinator {
    Coordinator::new(node(number), CoordinatorOptions { registration: registration(boot) })
}

impl Cluster {
    /// Nodes 1 to `nodes`, all with boot 1, node 1 elected.
    pub(super) fn new(nodes: u8) -> Self {
        let mut cluster = Self {
            coordinator: fresh_coordinator(1, 1),
            ledger: Ledger::default(),
            now: Millis(1_000),
            is_council_stuck: false,
            proposals: Vec::new(),
            applied: Vec::new(),
            out: Vec::new(),
            data_is_there: true,
            told: BTreeSet::new(),
            index: 0,
        };
        cluster.input(CoordinatorInput::Elected { term: 1 });
        for number in 2..=nodes {
            cluster.join(number, 1);
        }
        cluster
    }

    /// The same with job 1 running on all of them.
    pub(super) fn running(nodes: u8, plan: JobPlan) -> Self {
        let mut cluster = Self::new(nodes);
        cluster.apply(submit(1, plan));
        assert_eq!(cluster.view().members.len(), usize::from(nodes));
        cluster
    }

    pub(super) fn input(&mut self, input: CoordinatorInput) {
        if matches!(input, CoordinatorInput::Elected { .. }) {
            self.told.clear();
        }
        self.take(input);
        while let Some(check) = self.next_check().filter(|_| self.data_is_there) {
            self.take(check);
        }
    }

    /// What a node has not yet told this coordinator about its data.
    fn next_check(&mut self) -> Option<CoordinatorInput> {
        let nodes = self.coordinator.liveness.usable(&self.ledger);
        for job in self.ledger.jobs.values().filter(|job| !job.has_ended()) {
            for (node, (boot, _)) in &nodes {
                if self.told.insert((job.id, Life { node: *node, boot: *boot })) {
                    let check = JobCheck { job: job.id, boot: *boot, outcome: Ok(DATA) };
                    return Some(CoordinatorInput::JobChecked { from: *node, check });
                }
            }
        }
        None
    }

    /// The registered process of node `number` says this about the data of `job`.
    pub(super) fn check(&mut self, number: u8, job: u8, outcome: Result<[u8; 32], &str>) {
        let boot = self.ledger.nodes[&node(number)].boot;
        let check = JobCheck { job: job_id(job), boot, outcome: outcome.map_err(str::to_owned) };
        self.input(CoordinatorInput::JobChecked { from: node(number), check });
    }

    fn take(&mut self, input: CoordinatorInput) {
        let mut next = Some(input);
        let mut rounds = 0;
        while let Some(input) = next.take() {
            rounds += 1;
            assert!(rounds < 50, "the coordinator never comes to rest: {:?}", self.applied);
            let mut out = Vec::new();
            self.coordinator.step(self.now, &self.ledger, input, &mut out);
            for output in out {
                match output {
                    CoordinatorOutput::Propose(command) if self.is_council_stuck => {
                        self.proposals.push(command)
                    }
                    CoordinatorOutput::Propose(command) => {
                        self.commit(command);
                        next = Some(CoordinatorInput::LedgerChanged);
                    }
                    other => self.out.push(other),
                }
            }
        }
    }

    fn commit(&mut self, command: LedgerCommand) {
        self.index += 1;
        let rejected_before = self.ledger.rejections_total;
        self.ledger.apply(self.index, &command.encode());
        assert_eq!(
            self.ledger.rejections_total,
            rejected_before,
            "{:?} {command:?}",
            self.ledger.rejections.back()
        );
        self.applied.push(command);
    }

    /// Someone else's command.
    pub(super) fn apply(&mut self, command: LedgerCommand) {
        self.commit(command);
        self.input(CoordinatorInput::LedgerChanged);
    }

    /// What was proposed while the council was stuck is committed now.
    pub(super) fn unstick(&mut self) {
        self.is_council_stuck = false;
        for command in std::mem::take(&mut self.proposals) {
            self.commit(command);
        }
        self.input(CoordinatorInput::LedgerChanged);
    }

    pub(super) fn connect(&mut self, number: u8, boot: u64) {
        self.input(CoordinatorInput::PeerJoined { node: node(number), boot: Boot(boot) });
    }

    pub(super) fn join(&mut self, number: u8, boot: u64) {
        self.connect(number, boot);
        self.input(CoordinatorInput::Register {
            from: node(number),
            registration: registration(boot),
            turn: 0,
        });
    }

    pub(super) fn lose(&mut self, number: u8, boot: u64, death_is_certain: bool) {
        let reason = "connection refused".to_owned();
        let (node, boot) = (node(number), Boot(boot));
        self.input(CoordinatorInput::PeerLost { node, boot, death_is_certain, reason });
    }

    /// Lets `ms` pass, with ticks where the coordinator asked for them.
    pub(super) fn pass_ms(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        for _ in 0..10_000 {
            match self.coordinator.deadline().filter(|deadline| *deadline <= end) {
                Some(deadline) => {
                    assert!(deadline > self.now, "a deadline that has passed is no deadline");
                    self.now = deadline;
                    self.input(CoordinatorInput::Tick);
                }
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("10,000 ticks in {ms} ms");
    }

    pub(super) fn job(&self) -> &JobRecord {
        &self.ledger.jobs[&job_id(1)]
    }

    pub(super) fn status(&self) -> &JobStatus {
        &self.job().status
    }

    pub(super) fn view(&self) -> &View {
        self.job().view.as_ref().expect("job 1 has no view")
    }

    pub(super) fn reason(&self) -> &str {
        &self.job().view_changes.last().expect("job 1 has no view").reason
    }

    /// (node number, boot, tenure) of the newest view.
    pub(super) fn members(&self) -> Vec<(u8, u64, u64)> {
        self.view().members.iter().map(|m| (m.node.0[0], m.boot.0, m.tenure.0)).collect()
    }

    pub(super) fn lease(&self, number: u8) -> Vec<u32> {
        self.view().lease(node(number)).iter().collect()
    }

    /// A report of the registered process of node `number` in view `epoch`.
    pub(super) fn report_in(&mut self, epoch: Epoch, number: u8, event: ReportEvent) {
        let view = self.view();
        let (job, incarnation) = (view.job, view.incarnation);
        let boot = self.ledger.nodes[&node(number)].boot;
        let report = Report { job, incarnation, epoch, boot, event };
        self.input(CoordinatorInput::Report { from: node(number), report });
    }

    pub(super) fn report(&mut self, number: u8, event: ReportEvent) {
        self.report_in(self.view().epoch, number, event);
    }

    pub(super) fn sync(&mut self, number: u8, step: u64) {
        self.report(number, ReportEvent::Synced { step, chain: chain(step) });
    }

    pub(super) fn apply_step(&mut self, number: u8, step: u64) {
        self.report(number, applied(step));
    }

    /// Every member of the newest view applies `step`.
    pub(super) fn all_apply(&mut self, step: u64) {
        for (number, _, _) in self.members() {
            self.apply_step(number, step);
        }
    }

    pub(super) fn all_write(&mut self, step: u64) {
        for (number, _, _) in self.members() {
            self.report(number, written(step));
        }
    }

    /// Every member of the newest view stops after `step` and writes its state down.
    pub(super) fn all_halt(&mut self, step: u64) {
        for (number, _, _) in self.members() {
            self.report(number, halted(step));
        }
        if self.job().view.is_some() {
            self.all_write(step);
        }
    }

    pub(super) fn pause(&mut self) {
        self.apply(LedgerCommand::PauseJob { job: job_id(1), by: node(2) });
    }

    pub(super) fn resume(&mut self) {
        self.apply(LedgerCommand::ResumeJob { job: job_id(1), by: node(2) });
    }

    /// A person drains node `number`.
    pub(super) fn drain(&mut self, number: u8) {
        self.drain_until(number, DrainUntil::Undrain);
    }

    /// The process of node `number` is told to end.
    pub(super) fn terminate(&mut self, number: u8) {
        let boot = self.ledger.nodes[&node(number)].boot;
        self.drain_until(number, DrainUntil::Restart { boot });
    }

    fn drain_until(&mut self, number: u8, until: DrainUntil) {
        let (node, by, reason) = (node(number), node(number), "maintenance".to_owned());
        self.apply(LedgerCommand::DrainNode { node, by, reason, until });
    }

    pub(super) fn undrain(&mut self, number: u8) {
        self.apply(LedgerCommand::UndrainNode { node: node(number), by: node(1) });
    }

    pub(super) fn progress(&self) -> Vec<&Progress> {
        let messages = self.out.iter().filter_map(|output| match output {
            CoordinatorOutput::Broadcast(ControlMessage::Progress(progress)) => Some(progress),
            _ => None,
        });
        messages.collect()
    }

    pub(super) fn why(&self) -> String {
        self.coordinator
            .why(self.now, &self.ledger, job_id(1))
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(super) fn synced(&self) -> BTreeSet<(Life, Epoch)> {
        self.job().synced.clone()
    }
}

pub(super) fn applied(step: u64) -> ReportEvent {
    let work = WorkCounters { steps_applied: step, ..WorkCounters::default() };
    ReportEvent::Applied { step, chain: chain(step), point: Some(point(step)), sample: None, work }
}

pub(super) fn point(step: u64) -> StepPoint {
    StepPoint { step, loss: 1.0 / step as f64, learning_rate: 0.1, gradient_norm: 2.0 }
}

pub(super) fn halted(step: u64) -> ReportEvent {
    ReportEvent::Halted { step, chain: chain(step), digest: digest(step) }
}

pub(super) fn written(step: u64) -> ReportEvent {
    ReportEvent::CheckpointWritten {
        step,
        chain: chain(step),
        digest: digest(step),
        manifest: manifest(step),
        bytes: 1000,
    }
}

pub(super) fn finished(step: u64) -> ReportEvent {
    ReportEvent::Finished {
        step,
        chain: chain(step),
        digest: digest(step),
        test_correct: 290,
        test_total: 297,
    }
}

pub(super) fn failed(step: u64, microbatch: u32) -> ReportEvent {
    ReportEvent::MicrobatchFailed {
        step,
        microbatch,
        samples: vec![4, 5, 6],
        reason: "loss is NaN".to_owned(),
    }
}

pub(super) fn name(number: u8) -> String {
    NodeId::friendly_name(&node(number))
}
