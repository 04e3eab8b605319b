//! Virtual time, what is under way, and who is up.

use std::collections::BTreeMap;

use bytes::Bytes;
use traind_protocol::council::Council;
use traind_protocol::ids::{Boot, Chain, CouncilId, Epoch, Incarnation, JobId, Life, Millis, NodeId, SeatId};
use traind_protocol::invariants::ALL;
use traind_protocol::ledger::{JobStatus, Ledger};
use traind_protocol::succession::{QuorumLossPolicy, Succession, SuccessionOptions};
use traind_protocol::sync::{StateOffer, SyncMessage};
use traind_protocol::view::View;
use traind_protocol::wire::control::ControlMessage;

use super::disk::Disk;
use super::process::{Process, council_options};
use crate::node::{node_id, node_index};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::world::Violation;

/// A rule of the drivers broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JointFault {
    /// A vote is sent before it is on disk.
    VoteNotPersisted,
    /// Entries are acknowledged before they are on disk.
    EntriesNotPersisted,
    /// A process that starts again says that it is the one before.
    BootReused,
    /// Messages of the consensus group are taken whatever council they are of.
    CouncilIdIgnored,
    /// A leader does not give way to a council that is further.
    YieldIgnored,
    /// Members do not say what they lack.
    WaitsUntold,
    /// A node that goes over to another council leaves the log of its old one on disk.
    OldLogKept,
}

/// What happened in joint runs, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JointReport {
    /// Runs.
    pub runs: u64,
    /// Counts by name.
    pub counts: BTreeMap<&'static str, u64>,
    /// How often a fault met a kind of control message.
    pub met: BTreeMap<(&'static str, &'static str), u64>,
}

impl JointReport {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (cell, count) in &other.met {
            *self.met.entry(*cell).or_default() += count;
        }
    }

    /// A count by its name.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

/// Something that happens at its time.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Control { from: Life, to: NodeId, message: ControlMessage },
    Data { from: Life, to: Life, message: SyncMessage },
    Connected { at: Life, node: NodeId, boot: Boot },
    Lost { at: Life, node: NodeId, boot: Boot, is_certain: bool },
    Computed { at: Life, round: u64, step: u64, base: Chain, microbatch: u32, took_ms: u64 },
    Fetching { at: Life, offer: StateOffer, from: Vec<NodeId> },
    OriginLoaded { at: Life, request: u64, step: u64, chain: Chain, state: Bytes },
    CheckpointSynced { at: Life, step: u64, chain: Chain, state: Bytes, then: Option<Epoch> },
    DiskSynced { at: Life },
    Fault,
}

/// How a node computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Device {
    #[default]
    Sound,
    /// Many times slower than the others.
    Slow,
    /// It finishes nothing. All else of its process goes on.
    Hangs,
}

/// One node.
#[derive(Default)]
pub(super) struct JointNode {
    pub(super) boot: u64,
    pub(super) disk: Disk,
    pub(super) process: Option<Process>,
    pub(super) paused: bool,
    /// What comes meanwhile.
    pub(super) held: Vec<Event>,
    pub(super) cut: bool,
    /// How fast its device is.
    pub(super) device: Device,
    /// What a device that hangs has not finished.
    pub(super) unfinished: Vec<Event>,
}

/// One joint run.
pub struct JointWorld {
    pub(super) random: Random,
    pub(super) now: Millis,
    pub(super) nodes: Vec<JointNode>,
    pub(super) queue: BTreeMap<(Millis, u64), Event>,
    pub(super) queued: u64,
    pub(super) fault: Option<JointFault>,
    pub(super) calm: bool,
    /// Devices become slow and hang.
    pub(super) has_bad_devices: bool,
    pub(super) microbatches: u32,
    pub(super) parts: u32,
    pub(super) steps: u64,
    pub(super) genesis: Chain,
    pub(super) oracle: Oracle,
    /// The one command of each index that anybody applied; the one leader of each term; the one view of each epoch.
    pub(super) agreed: BTreeMap<(CouncilId, u64), Vec<u8>>,
    pub(super) leaders: BTreeMap<(CouncilId, u64), SeatId>,
    pub(super) views: BTreeMap<(Incarnation, Epoch), View>,
    /// What operators want where a majority is lost.
    pub(super) policy: QuorumLossPolicy,
    /// Which council gave way to which.
    pub(super) yields: BTreeMap<CouncilId, CouncilId>,
    /// Samples that it had committed then.
    pub(super) yielded_at: BTreeMap<CouncilId, u64>,
    pub(super) is_submitted: bool,
    pub(super) violation: Option<Violation>,
    pub(super) report: JointReport,
    pub(super) trace: Option<Vec<String>>,
}

/// The one job.
pub(super) const JOB: JobId = crate::service::JOB;

/// Events under way at most, L1: far above what a sound run has.
const EVENTS_MAX: usize = 50_000;

impl JointWorld {
    /// A run before its first event.
    #[must_use]
    pub fn new(seed: u64, fault: Option<JointFault>, traced: bool) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x0010_1147);
        let count = 3 + random.below(3);
        let (microbatches, parts) = (count as u32 + random.below(5) as u32, 1 + random.below(3) as u32);
        let genesis = Chain(*blake3::hash(&seed.to_le_bytes()).as_bytes());
        let mut world = Self {
            now: Millis(1_000),
            nodes: (0..count).map(|_| JointNode::default()).collect(),
            queue: BTreeMap::new(),
            queued: 0,
            fault,
            calm: false,
            has_bad_devices: seed.is_multiple_of(3),
            microbatches,
            parts,
            steps: 40 + random.below(40) as u64,
            genesis,
            oracle: Oracle::new(parts, microbatches, genesis),
            agreed: BTreeMap::new(),
            leaders: BTreeMap::new(),
            views: BTreeMap::new(),
            policy: if seed % 3 == 2 { QuorumLossPolicy::Halt } else { QuorumLossPolicy::Continue },
            yields: BTreeMap::new(),
            yielded_at: BTreeMap::new(),
            is_submitted: false,
            violation: None,
            report: JointReport { runs: 1, ..JointReport::default() },
            trace: traced.then(Vec::new),
            random,
        };
        (0..count).for_each(|index| world.start(index));
        world.after(300, Event::Fault);
        world
    }

    /// What went wrong, if anything.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What happened.
    #[must_use]
    pub fn report(&self) -> &JointReport {
        &self.report
    }

    /// The story of the run, if it was asked for.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {}", self.now.0, line()));
        }
    }

    pub(super) fn fail(&mut self, id: &'static str, what: String) {
        self.tell(|| format!("VIOLATION of {id}: {what}"));
        let sentence =
            ALL.iter().find(|invariant| invariant.id == id).map_or("", |invariant| invariant.sentence);
        self.violation.get_or_insert(Violation { id, sentence, what });
    }

    pub(super) fn note(&mut self, name: &'static str) {
        *self.report.counts.entry(name).or_default() += 1;
    }

    /// `event` happens in `ms`.
    pub(super) fn after(&mut self, ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now.plus(ms), self.queued), event);
        if self.queue.len() > EVENTS_MAX {
            self.fail("L1", format!("{} events under way", self.queue.len()));
        }
    }

    /// Runs for `ms` of virtual time from the beginning, or until the job has ended if `until_done`.
    pub(super) fn run_until(&mut self, ms: u64, until_done: bool) {
        let end = Millis(1_000).plus(ms);
        while self.violation.is_none() && !(until_done && self.is_done()) {
            let up = (0..self.nodes.len()).filter(|index| !self.nodes[*index].paused);
            let due =
                up.filter_map(|index| Some((self.nodes[index].process.as_ref()?.deadline(), index))).min();
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next = due.map(|(at, _)| at).into_iter().chain(event).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if event == Some(next)
                && let Some((_, event)) = self.queue.pop_first()
            {
                self.happen(event);
            } else if let Some((_, index)) = due {
                self.tick(index);
            }
        }
    }

    pub(super) fn process(&mut self, life: Life) -> Option<&mut Process> {
        let node = &mut self.nodes[node_index(life.node)];
        node.process.as_mut().filter(|process| process.life == life)
    }

    /// A process starts, with what its disk holds.
    pub(super) fn start(&mut self, index: usize) {
        let fault = self.fault;
        let node = &mut self.nodes[index];
        if !(fault == Some(JointFault::BootReused) && node.boot > 0) {
            node.boot += 1;
        }
        let life = Life { node: node_id(index), boot: Boot(node.boot) };
        node.paused = false;
        node.device = Device::Sound;
        node.unfinished.clear();
        let seat = node.disk.seat;
        let mut out = Vec::new();
        let recover =
            |seat, recovered| Council::recover(seat, council_options(), Ledger::default(), recovered);
        let council = match seat {
            Some(seat) => {
                let recovered = node.disk.council.clone();
                let council = recover(seat, recovered.clone()).and_then(|council| {
                    // A crash may lie between the ledger of another council and the seat in it.
                    match council.replicated().seat_of(life.node) {
                        Some(other) if other != seat => recover(other, recovered),
                        _ => Ok(council),
                    }
                });
                match council {
                    Ok(council) => Some(council),
                    Err(error) => {
                        return self.fail("S2", format!("node {index} cannot read its disk: {error}"));
                    }
                }
            }
            None if index == 0 && node.boot == 1 => {
                node.disk.seat = Some(SeatId(1));
                Some(Council::found(SeatId(1), council_options(), Ledger::default(), &mut out))
            }
            None => None,
        };
        let seat = council.as_ref().map(Council::seat);
        let succession = SuccessionOptions {
            me: life.node,
            policy: self.policy,
            council: council_options(),
            generation: node.disk.generation,
            legacy: node.disk.legacy.clone(),
        };
        let succession = Succession::new(succession, self.now);
        self.nodes[index].process = Some(Process::new(life, seat, council, succession, self.now));
        self.tell(|| format!("START {index} boot {}", life.boot.0));
        self.run_council_outputs(index, out);
        self.connect_all(index);
        self.settle(index);
    }

    /// Both ends of every connection that `index` can have learn of it.
    pub(super) fn connect_all(&mut self, index: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != index) {
            if self.nodes[index].cut || self.nodes[other].cut {
                continue;
            }
            let lives =
                [index, other].map(|index| self.nodes[index].process.as_ref().map(|process| process.life));
            if let [Some(one), Some(two)] = lives {
                for (at, of) in [(one, two), (two, one)] {
                    let delay_ms = 1 + self.random.below(20) as u64;
                    self.after(delay_ms, Event::Connected { at, node: of.node, boot: of.boot });
                }
            }
        }
    }

    /// The ledger that is furthest.
    pub(super) fn furthest(&self) -> Option<&Ledger> {
        let councils = self.nodes.iter().filter_map(|node| node.process.as_ref()?.council.as_ref());
        let order = |council: &&Council<Ledger>| {
            let lineage = &council.replicated().lineage;
            (lineage.yielded.is_none(), lineage.weight(), council.applied_index())
        };
        councils.max_by_key(order).map(Council::replicated)
    }

    /// Whether the ledger says that the job is done, and all nodes are in one council.
    pub(super) fn is_done(&self) -> bool {
        let job = self.furthest().and_then(|ledger| ledger.jobs.get(&JOB));
        self.councils().len() == 1 && job.is_some_and(|job| job.status == JobStatus::Done)
    }
}
