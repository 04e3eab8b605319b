//! Seeded random runs: nodes die, return, drain, fall silent and accuse each other, data is missing, jobs are paused and
//! resumed, coordinators change, proposals are late or lost, and after every command the ledger is checked. At the end faults
//! stop and every job must end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::cluster::{applied, failed, finished, fresh_coordinator, written};
use super::misbehaviour::any_accusation;
use crate::coordinator::{Coordinator, CoordinatorInput, CoordinatorOutput};
use crate::ids::{Boot, Epoch, Incarnation, JobId, Life, Millis};
use crate::ledger::testing::{DATA, chain, digest, job_id, node, plan, registration, submit};
use crate::ledger::{DrainUntil, JobPlan, JobRecord, JobStatus, Ledger, LedgerCommand};
use crate::replicated::Replicated;
use crate::view::{Member, Origin, View};
use crate::wire::control::{JobCheck, Report, ReportEvent};

const NODES: u8 = 6;
const SEEDS: u64 = 150;
const ACTIONS: u32 = 700;
const STEPS: u64 = 60;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[derive(Default)]
struct Seen {
    views: u64,
    joins: u64,
    lineages: u64,
    rejections: u64,
    done: u64,
    failed: u64,
    refused: u64,
    halts: u64,
    drained: u64,
    put_out: u64,
}

struct World {
    seed: u64,
    random: Random,
    now: Millis,
    ledger: Ledger,
    log: Vec<Vec<u8>>,
    /// Proposals on their way into the log.
    council: VecDeque<LedgerCommand>,
    boots: BTreeMap<u8, u64>,
    up: BTreeSet<u8>,
    leader: u8,
    coordinator: Coordinator,
    connected: BTreeSet<u8>,
    /// Steps applied by each member that has the state.
    states: BTreeMap<(Life, Epoch, Incarnation), u64>,
    views: BTreeMap<(JobId, Incarnation, Epoch), View>,
    /// Words on data that this coordinator has heard.
    told: BTreeSet<(JobId, Life)>,
    /// A node that cannot use the data of a job.
    unusable: Option<(u8, JobId)>,
    seen: Seen,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            seed,
            random: Random(seed),
            now: Millis(10_000),
            ledger: Ledger::default(),
            log: Vec::new(),
            council: VecDeque::new(),
            boots: (1..=NODES).map(|number| (number, 1)).collect(),
            up: (1..=NODES).collect(),
            leader: 1,
            coordinator: fresh_coordinator(1, 1),
            connected: BTreeSet::new(),
            states: BTreeMap::new(),
            views: BTreeMap::new(),
            told: BTreeSet::new(),
            unusable: seed.is_multiple_of(4).then(|| (1 + (seed % 6) as u8, job_id(1 + (seed % 3) as u8))),
            seen: Seen::default(),
        };
        world.elect(1);
        // Some nodes are registered before the jobs come, others after.
        for _ in 0..world.random.below(12) {
            world.commit_one();
        }
        let plan = JobPlan { steps: STEPS, microbatches: 8, parts: 8, nodes_max: 5, ..plan() };
        for number in 1..=3 {
            world.council.push_back(submit(number, plan.clone()));
        }
        world
    }

    fn input(&mut self, input: CoordinatorInput) {
        let mut out = Vec::new();
        self.coordinator.step(self.now, &self.ledger, input, &mut out);
        let proposed = out.into_iter().filter_map(|output| match output {
            CoordinatorOutput::Propose(command) => Some(command),
            _ => None,
        });
        self.council.extend(proposed);
        assert!(self.council.len() < 500, "seed {}: a flood of proposals", self.seed);
    }

    /// One node, or every one, says what it has not yet told this coordinator about its data.
    fn tell_checks(&mut self, all: bool) {
        let nodes = self.coordinator.liveness.usable(&self.ledger);
        let jobs: Vec<JobId> =
            self.ledger.jobs.values().filter(|job| !job.has_ended()).map(|job| job.id).collect();
        for job in jobs {
            for (from, (boot, _)) in &nodes {
                if self.told.insert((job, Life { node: *from, boot: *boot })) {
                    let is_bad =
                        self.unusable.is_some_and(|(number, bad)| (node(number), bad) == (*from, job));
                    let outcome = if is_bad { Err("missing".to_owned()) } else { Ok(DATA) };
                    let check = JobCheck { job, boot: *boot, outcome };
                    self.input(CoordinatorInput::JobChecked { from: *from, check });
                    if !all {
                        return;
                    }
                }
            }
        }
    }

    /// A person, or a process that is told to end, asks for something.
    fn ask(&mut self, number: u8) {
        let by = node(number);
        let any = job_id(1 + self.random.below(3) as u8);
        let job = self.ledger.running_job().map_or(any, |job| job.id);
        let boot = Boot(self.boots[&number]);
        let reason = "asked".to_owned();
        let command = match self.random.below(10) {
            0..=1 => LedgerCommand::PauseJob { job, by },
            2..=4 => LedgerCommand::ResumeJob { job, by },
            5 => LedgerCommand::DrainNode { node: by, by, reason, until: DrainUntil::Restart { boot } },
            6 => LedgerCommand::DrainNode { node: by, by, reason, until: DrainUntil::Undrain },
            _ => LedgerCommand::UndrainNode { node: by, by },
        };
        self.council.push_back(command);
    }

    fn elect(&mut self, number: u8) {
        self.leader = number;
        self.coordinator = fresh_coordinator(number, self.boots[&number]);
        self.connected.clear();
        self.told.clear();
        let others: Vec<u8> = self.up.iter().copied().filter(|other| *other != number).collect();
        for other in others {
            if self.random.below(4) > 0 {
                self.connect(other);
            }
        }
        self.input(CoordinatorInput::Elected { term: self.now.0 });
    }

    fn connect(&mut self, number: u8) {
        if number == self.leader || !self.up.contains(&number) || !self.connected.insert(number) {
            return;
        }
        let boot = self.boots[&number];
        self.input(CoordinatorInput::PeerJoined { node: node(number), boot: Boot(boot) });
        self.input(CoordinatorInput::Register {
            from: node(number),
            registration: registration(boot),
            turn: 0,
        });
    }

    fn lose(&mut self, number: u8, death_is_certain: bool) {
        if self.connected.remove(&number) {
            let (node, boot) = (node(number), Boot(self.boots[&number]));
            let reason = "lost".to_owned();
            self.input(CoordinatorInput::PeerLost { node, boot, death_is_certain, reason });
        }
    }

    fn kill(&mut self, number: u8) {
        if self.up.len() == 1 || !self.up.remove(&number) {
            return;
        }
        self.states.retain(|(life, _, _), _| life.node != node(number));
        if number == self.leader {
            let heirs: Vec<u8> = self.up.iter().copied().collect();
            let position = self.random.below(heirs.len() as u64) as usize;
            self.elect(heirs[position]);
        } else {
            let is_certain = self.random.below(4) > 0;
            self.lose(number, is_certain);
        }
    }

    fn restart(&mut self, number: u8) {
        if self.up.insert(number) {
            *self.boots.entry(number).or_default() += 1;
        }
        self.connect(number);
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        if self.coordinator.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.input(CoordinatorInput::Tick);
        }
    }

    fn commit_one(&mut self) {
        let Some(command) = self.council.pop_front() else { return };
        let before = self.ledger.clone();
        let bytes = command.encode();
        self.ledger.apply(self.log.len() as u64, &bytes);
        self.log.push(bytes);
        if self.ledger.rejections_total > before.rejections_total {
            self.seen.rejections += 1;
        }
        for id in [1, 2, 3].map(job_id) {
            if let Some(job) = self.ledger.jobs.get(&id).cloned() {
                self.check(before.jobs.get(&id), &job);
            }
        }
        self.input(CoordinatorInput::LedgerChanged);
    }

    /// V1, continuity, total leases, no work for joiners, contiguous committed steps that only a new lineage undoes.
    fn check(&mut self, before: Option<&JobRecord>, job: &JobRecord) {
        let seed = self.seed;
        let halted = before.is_some_and(|before| before.view.as_ref().is_some_and(|view| view.halt));
        if job.view.is_none() && halted {
            self.seen.halts += 1;
            let (step, chain) = job.committed_to();
            let is_kept =
                job.checkpoints.last().is_some_and(|entry| (entry.step, entry.chain) == (step, chain));
            assert!(step == 0 || is_kept, "seed {seed}: halted without its state");
        }
        let Some(view) = &job.view else { return };
        let known = self.views.entry((job.id, view.incarnation, view.epoch)).or_insert_with(|| view.clone());
        assert_eq!(known, view, "seed {seed}: two views of one epoch");
        let previous = before.and_then(|before| before.view.as_ref());
        assert!(job.committed.first().is_none_or(|range| range.from_step == 0), "seed {seed}");
        assert!(job.committed.windows(2).all(|pair| pair[0].to_step == pair[1].from_step), "seed {seed}");
        assert!(job.committed.iter().all(|range| range.from_step < range.to_step), "seed {seed}");
        let committed_before = before.map_or(0, |before| before.committed_to().0);
        let same_lineage = previous.is_none_or(|previous| previous.incarnation == view.incarnation);
        assert!(!same_lineage || job.committed_to().0 >= committed_before, "seed {seed}: a step undone");
        if previous == Some(view) {
            return;
        }
        self.seen.views += 1;
        let reason = job.view_changes.last().map_or("", |change| change.reason.as_str());
        self.seen.put_out += u64::from(reason.contains("by the word of"));
        let epoch_before = before.map_or(0, |before| before.epochs);
        assert_eq!(view.epoch.0, epoch_before + 1, "seed {seed}: epochs only grow");
        let working = view.members.iter().filter(|member| self.ledger.takes_work(member.node)).count();
        assert!(view.is_well_formed() && working <= 5, "seed {seed}");
        self.count_drained(view, previous);
        assert_eq!((view.leases.len(), view.owners.len()), (8, 8), "seed {seed}: work without a member");
        let founding = view.founding_epoch == view.epoch;
        self.seen.lineages += u64::from(founding && view.incarnation.0 > 1);
        for (position, member) in (0u16..).zip(&view.members) {
            let registered = self.ledger.nodes[&member.node].boot;
            assert_eq!(registered, member.boot, "seed {seed}: a process that was replaced");
            let works = view.leases.contains(&position) || view.owners.contains(&position);
            if member.tenure == view.epoch && !founding {
                self.seen.joins += 1;
                assert!(!works, "seed {seed}: a joiner has work in its first view");
            }
        }
        if founding {
            let step = match view.origin {
                Origin::Seed => 0,
                Origin::Checkpoint { step, .. } => step,
            };
            for member in &view.members {
                self.states.insert((member.life(), member.tenure, view.incarnation), step);
            }
        } else {
            let (before, previous) =
                (before.expect("not the first view"), previous.expect("not the first view"));
            let carries = |member: &Member| previous.members.contains(member) && before.is_synced(member);
            assert!(view.members.iter().any(carries), "seed {seed}: no synced member of the view before");
        }
    }

    fn count_drained(&mut self, view: &View, previous: Option<&View>) {
        let gone = previous.iter().flat_map(|previous| &previous.members);
        let gone =
            gone.filter(|member| !view.members.contains(member) && !self.ledger.takes_work(member.node));
        let alive = gone.filter(|member| self.is_alive(member)).count();
        self.seen.drained += alive as u64;
    }

    fn key(&self, member: &Member, view: &View) -> (Life, Epoch, Incarnation) {
        (member.life(), member.tenure, view.incarnation)
    }

    fn number(member: &Member) -> u8 {
        member.node.0[0]
    }

    fn is_alive(&self, member: &Member) -> bool {
        let number = Self::number(member);
        self.up.contains(&number) && self.boots[&number] == member.boot.0
    }

    fn report(&mut self, member: &Member, view: &View, event: ReportEvent) {
        let number = Self::number(member);
        if self.connected.contains(&number) || number == self.leader {
            let (job, incarnation, epoch, boot) = (view.job, view.incarnation, view.epoch, member.boot);
            let report = Report { job, incarnation, epoch, boot, event };
            self.input(CoordinatorInput::Report { from: member.node, report });
        }
    }

    /// One member of the newest view does what the sync step lets it do, and reports.
    fn train(&mut self) {
        let Some(view) = self.ledger.running_job().and_then(|job| job.view.clone()) else { return };
        let position = self.random.below(view.members.len() as u64) as usize;
        let member = view.members[position];
        if !self.is_alive(&member) {
            return;
        }
        let key = self.key(&member, &view);
        let known: Vec<Option<u64>> =
            view.members.iter().map(|other| self.states.get(&self.key(other, &view)).copied()).collect();
        let Some(step) = self.states.get(&key).copied() else {
            if let Some(step) = known.iter().flatten().max().copied() {
                self.states.insert(key, step);
                self.report(&member, &view, ReportEvent::Synced { step, chain: chain(step) });
            }
            return;
        };
        let barrier = known.iter().all(|other| other.is_some_and(|other| other >= step));
        // A view that halts finishes what was begun: the step that the first is ahead of the others.
        let is_begun = !view.halt || known.iter().flatten().any(|other| *other > step);
        let step = if barrier && is_begun && step < STEPS { step + 1 } else { step };
        self.states.insert(key, step);
        if view.halt && known.iter().all(|other| *other == Some(step)) {
            let event = ReportEvent::Halted { step, chain: chain(step), digest: digest(step) };
            self.report(&member, &view, event);
            self.report(&member, &view, written(step));
        }
        if step == 0 {
            self.report(&member, &view, ReportEvent::Synced { step, chain: chain(step) });
            return;
        }
        self.report(&member, &view, applied(step));
        if step.is_multiple_of(5) {
            self.report(&member, &view, written(step));
        }
        if step == STEPS {
            self.report(&member, &view, finished(step));
        } else if self.random.below(400) == 0 {
            self.report(&member, &view, failed(step, (step % 8) as u32));
        } else if self.seed >= SEEDS && self.log.len().is_multiple_of(4) && self.up.len() < usize::from(NODES)
        {
            self.accuse(&member, &view);
        }
    }

    fn accuse(&mut self, member: &Member, view: &View) {
        let mut random = Random(self.now.0);
        let accusation = any_accusation(|bound| random.below(bound), view);
        self.report(member, view, ReportEvent::Misbehaved(accusation));
    }

    fn act(&mut self) {
        let number = 1 + self.random.below(u64::from(NODES)) as u8;
        match self.random.below(100) {
            0..=2 => self.kill(number),
            3..=7 => self.restart(number),
            8..=9 => self.lose(number, false),
            10..=13 => self.connect(number),
            14 => {
                let leader = self.up.iter().copied().find(|other| *other >= number).unwrap_or(self.leader);
                self.elect(leader);
            }
            15 if self.random.below(20) == 0 => self.kill_all(),
            16 if self.random.below(30) == 0 => {
                self.council.push_back(LedgerCommand::CancelJob { job: job_id(1), by: node(1) });
            }
            17..=18 => {
                self.council.pop_front();
            }
            41..=43 => self.ask(number),
            44..=47 => {
                let all = self.random.below(2) == 0;
                self.tell_checks(all);
            }
            19..=39 => {
                let ms = 1 + self.random.below(400);
                self.pass_ms(ms);
            }
            40 | 48..=65 => self.commit_one(),
            _ => self.train(),
        }
    }

    /// A power cut: every process is gone, then one node is back.
    fn kill_all(&mut self) {
        self.states.clear();
        self.council.clear();
        self.up = BTreeSet::from([self.leader]);
        *self.boots.entry(self.leader).or_default() += 1;
        self.elect(self.leader);
    }

    fn heal_and_finish(&mut self) {
        for _ in 0..20_000 {
            for number in 1..=NODES {
                self.restart(number);
                if self.ledger.nodes.get(&node(number)).is_some_and(|record| record.drain.is_some()) {
                    self.council.push_back(LedgerCommand::UndrainNode { node: node(number), by: node(1) });
                }
            }
            let is_held =
                |job: &&JobRecord| job.pausing.is_some() || matches!(job.status, JobStatus::Paused { .. });
            let held: Vec<JobId> = self.ledger.jobs.values().filter(is_held).map(|job| job.id).collect();
            self.council.extend(held.into_iter().map(|job| LedgerCommand::ResumeJob { job, by: node(1) }));
            self.tell_checks(true);
            while !self.council.is_empty() {
                self.commit_one();
            }
            for _ in 0..12 {
                self.train();
            }
            self.pass_ms(25);
            if self.ledger.jobs.len() == 3 && self.ledger.jobs.values().all(JobRecord::has_ended) {
                return;
            }
            if self.ledger.jobs.len() < 3 {
                let plan = JobPlan { steps: STEPS, microbatches: 8, parts: 8, nodes_max: 5, ..plan() };
                self.council.extend((1..=3).map(|number| submit(number, plan.clone())));
            }
        }
        let why: Vec<_> =
            [1, 2, 3].iter().flat_map(|n| self.coordinator.why(self.now, &self.ledger, job_id(*n))).collect();
        panic!("seed {}: jobs do not end: {why:#?}", self.seed);
    }
}

#[test]
fn no_fault_breaks_a_rule_of_views_and_every_job_ends() {
    let mut total = Seen::default();
    // The last of them with words of members on each other.
    for seed in 0..SEEDS + SEEDS / 2 {
        let mut world = World::new(seed);
        for _ in 0..ACTIONS {
            world.act();
        }
        world.heal_and_finish();
        let mut replayed = Ledger::default();
        for (index, bytes) in world.log.iter().enumerate() {
            replayed.apply(index as u64, bytes);
        }
        assert_eq!(replayed.snapshot(), world.ledger.snapshot(), "seed {seed}: not deterministic");
        for job in world.ledger.jobs.values() {
            match &job.status {
                JobStatus::Done => {
                    total.done += 1;
                    assert_eq!(job.committed_to(), (STEPS, chain(STEPS)), "seed {seed}");
                }
                JobStatus::Failed { reason } => {
                    total.failed += 1;
                    assert!(reason.contains("failed twice"), "seed {seed}: {reason}");
                }
                JobStatus::Refused { by, reason } => {
                    total.refused += 1;
                    let refused = world.unusable.map(|(number, job)| (node(number), job));
                    assert_eq!((refused, reason.as_str()), (Some((*by, job.id)), "missing"), "seed {seed}");
                }
                _ => {}
            }
        }
        total.views += world.seen.views;
        total.joins += world.seen.joins;
        total.lineages += world.seen.lineages;
        total.rejections += world.seen.rejections;
        total.halts += world.seen.halts;
        total.drained += world.seen.drained;
        total.put_out += world.seen.put_out;
    }
    let Seen { views, joins, lineages, rejections, done, failed, refused, halts, drained, put_out } = total;
    println!(
        "{views} views, {joins} joins, {lineages} lineages, {rejections} rejections, {done} done, {failed} failed, {refused} refused, {halts} halts, {drained} drained, {put_out} put out"
    );
    assert!(views > 10 * SEEDS && joins > 3 * SEEDS && done > SEEDS, "{views} {joins} {done}");
    assert!(halts > SEEDS / 5 && drained > SEEDS / 5 && refused > 5, "{halts} {drained} {refused}");
    assert!(put_out > SEEDS / 10, "{put_out}");
    assert!(lineages > SEEDS / 5 && rejections > SEEDS / 5, "{lineages} {rejections}");
}
