//! A few machines on a network without faults.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ids::{Boot, Chain, ChunkId, Epoch, Incarnation, JobId, Life, Millis, NodeId, StateId};
use crate::misdeed::Accusation;
use crate::numbers::Numbers;
use crate::sync::{SnapshotHead, StateOffer, SyncInput, SyncMachine, SyncMessage, SyncOptions, SyncOutput};
use crate::transfer::Chunk;
use crate::view::{Member, Origin, View};

pub(super) const JOB: JobId = JobId([3; 8]);
pub(super) const PARTS: u32 = 4;
pub(super) const MICROBATCHES: u32 = 6;

/// Contributions are bit sets of micro-batches, so that a wrong sum is seen at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bits {
    pub(super) applied: u64,
    /// The job ends once so many were applied.
    pub(super) ends_at: Option<u64>,
}

fn bits(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

impl Numbers for Bits {
    fn is_contribution(&self, _: u32, bytes: &[u8]) -> bool {
        bits(bytes).is_some_and(|bits| bits != 0 && bits < 1 << MICROBATCHES)
    }

    /// The bit beyond all micro-batches makes another result that is as well formed.
    fn is_result(&self, _: u32, bytes: &[u8]) -> bool {
        bits(bytes).is_some_and(|bits| bits & !(1 << 40) == (1 << MICROBATCHES) - 1)
    }

    fn sum(&self, _: u32, contributions: &[Bytes]) -> Bytes {
        let sum: u64 = contributions.iter().filter_map(|one| bits(one)).sum();
        Bytes::copy_from_slice(&sum.to_le_bytes())
    }

    fn fold(&self, part: u32, contributions: &[Bytes]) -> Bytes {
        self.sum(part, contributions)
    }

    fn advance(&mut self, _: &[Bytes]) {
        self.applied += 1;
    }

    fn has_ended(&self) -> bool {
        self.ends_at.is_some_and(|end| self.applied >= end)
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        bits(state).map(|applied| self.applied = applied).is_some()
    }
}

pub(super) fn life(index: u8) -> Life {
    Life { node: NodeId([index; 32]), boot: Boot(u64::from(index) + 100) }
}

pub(super) fn machine(index: u8, steps: u64) -> SyncMachine<Bits> {
    let options = SyncOptions {
        job: JOB,
        me: life(index),
        microbatches: MICROBATCHES,
        parts: PARTS,
        steps,
        genesis: Chain([9; 32]),
        kept_bytes_max: 1 << 20,
        sends_early: true,
    };
    SyncMachine::new(options, Bits::default())
}

/// A view of these members with their tenures; micro-batches and parts go round.
pub(super) fn view(epoch: u64, members: &[(u8, u64)]) -> View {
    let count = members.len();
    let member = |&(index, tenure): &(u8, u64)| Member {
        node: life(index).node,
        boot: life(index).boot,
        tenure: Epoch(tenure),
    };
    let round = |index: u32| u16::try_from(index as usize % count).unwrap();
    View {
        job: JOB,
        incarnation: Incarnation(1),
        epoch: Epoch(epoch),
        founding_epoch: Epoch(1),
        origin: Origin::Seed,
        members: members.iter().map(member).collect(),
        leases: (0..MICROBATCHES).map(round).collect(),
        owners: (0..PARTS).map(round).collect(),
        halt: false,
    }
}

/// What a member with this state offers: state and results are a chunk each.
pub(super) fn offer_of(head: &SnapshotHead, state: &Bytes) -> StateOffer {
    let chunk = |content: &[u8]| Chunk {
        id: ChunkId(*blake3::hash(content).as_bytes()),
        bytes: u32::try_from(content.len()).unwrap(),
    };
    let last = head.last.concat();
    StateOffer::new(head, vec![chunk(state)], if last.is_empty() { Vec::new() } else { vec![chunk(&last)] })
}

/// Machines whose messages arrive in order, one pair after another.
pub(super) struct Cluster {
    pub(super) machines: BTreeMap<u8, SyncMachine<Bits>>,
    queue: VecDeque<(u8, u8, SyncMessage)>,
    pub(super) sent: Vec<SyncMessage>,
    pub(super) computed: u64,
    /// The clock of all.
    pub(super) now: Millis,
    /// Nodes whose messages and computations stand still.
    pub(super) frozen: Vec<u8>,
    /// Nodes that cannot compute.
    pub(super) broken: Vec<u8>,
    /// Nodes whose computations end when [`Cluster::finish`] says so, and those computations.
    pub(super) slow: Vec<u8>,
    pub(super) under_way: Vec<(u8, SyncInput)>,
    /// Which states were kept: by whom, at which step.
    pub(super) kept: Vec<(u8, u64)>,
    /// What was offered: by whom, at which step.
    pub(super) offered: Vec<(u8, u64)>,
    /// Every state that was offered, with its results.
    pub(super) states: BTreeMap<StateId, (Bytes, Vec<Bytes>)>,
    /// What was fetched: by whom, at which step, from whom.
    pub(super) fetched: Vec<(u8, u64, Vec<u8>)>,
    /// Chunks take so long that a fetch does not end.
    pub(super) starved: bool,
    /// Who was told to keep chunks no longer.
    pub(super) released: Vec<u8>,
    /// Who has stopped: node, epoch, step.
    pub(super) halted: Vec<(u8, u64, u64)>,
    /// Who accused whom. Never anybody, where nobody lies.
    pub(super) accused: Vec<(u8, Accusation)>,
}

impl Cluster {
    pub(super) fn new(indices: &[u8], steps: u64) -> Self {
        let machines = indices.iter().map(|&index| (index, machine(index, steps))).collect();
        Self {
            machines,
            queue: VecDeque::new(),
            sent: Vec::new(),
            computed: 0,
            now: Millis(1),
            frozen: Vec::new(),
            broken: Vec::new(),
            slow: Vec::new(),
            under_way: Vec::new(),
            kept: Vec::new(),
            offered: Vec::new(),
            states: BTreeMap::new(),
            fetched: Vec::new(),
            starved: false,
            released: Vec::new(),
            halted: Vec::new(),
            accused: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, view: &View) {
        let indices: Vec<u8> = self.machines.keys().copied().collect();
        for index in indices {
            self.feed(index, SyncInput::EnterView(view.clone()));
        }
    }

    pub(super) fn feed(&mut self, index: u8, input: SyncInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            let Some(machine) = self.machines.get_mut(&index) else { return };
            machine.step(self.now, input, &mut out);
            for output in out {
                match output {
                    SyncOutput::Send { to, message } => {
                        self.sent.push(message.clone());
                        self.queue.push_back((index, to.0[0], message));
                    }
                    SyncOutput::KeepState { snapshot } => self.kept.push((index, snapshot.step)),
                    SyncOutput::OfferState { to, snapshot } => {
                        let state = Bytes::copy_from_slice(&snapshot.step.to_le_bytes());
                        let offer = offer_of(&snapshot, &state);
                        self.offered.push((index, offer.step));
                        let of = (snapshot.incarnation, snapshot.epoch);
                        self.states.insert(offer.id(), (state, snapshot.last));
                        let message = SyncMessage::offer(JOB, life(index).boot, of, offer);
                        self.queue.push_back((index, to.0[0], message));
                    }
                    SyncOutput::FetchState { offer, from, .. } => {
                        let from = from.iter().map(|node| node.0[0]).collect();
                        self.fetched.push((index, offer.step, from));
                        if !self.starved {
                            let id = offer.id();
                            let (state, last) = self.states[&id].clone();
                            inputs.push_back(SyncInput::StateFetched { id, state, last });
                        }
                    }
                    SyncOutput::ReleaseState => self.released.push(index),
                    SyncOutput::Compute { step, base, microbatches } if !self.frozen.contains(&index) => {
                        for microbatch in microbatches.iter() {
                            if self.broken.contains(&index) {
                                inputs.push_back(SyncInput::ComputeFailed { step, base, microbatch });
                                continue;
                            }
                            self.computed += 1;
                            let bytes = Bytes::copy_from_slice(&(1u64 << microbatch).to_le_bytes());
                            let contributions = vec![bytes; PARTS as usize];
                            let done = SyncInput::Computed { step, base, microbatch, contributions };
                            if self.slow.contains(&index) {
                                self.under_way.push((index, done));
                            } else {
                                inputs.push_back(done);
                            }
                        }
                    }
                    SyncOutput::Halted { epoch, step, .. } => self.halted.push((index, epoch.0, step)),
                    SyncOutput::Accuse(accusation) => self.accused.push((index, accusation)),
                    SyncOutput::Alarm { .. } | SyncOutput::Refused { .. } => panic!("{output:?}"),
                    _ => {}
                }
            }
        }
    }

    /// What `from` has sent to `to` and has not arrived is lost.
    pub(super) fn lose(&mut self, from: u8, to: u8) {
        self.queue.retain(|(sender, receiver, _)| (*sender, *receiver) != (from, to));
    }

    /// Delivers the oldest message that is not to or from a frozen node. `false` if there is none.
    pub(super) fn deliver(&mut self) -> bool {
        let moves =
            |(from, to, _): &(u8, u8, SyncMessage)| !self.frozen.contains(from) && !self.frozen.contains(to);
        let Some(position) = self.queue.iter().position(moves) else { return false };
        if let Some((from, to, message)) = self.queue.remove(position) {
            self.feed(to, SyncInput::Message { from: life(from).node, message });
        }
        true
    }

    /// Who has said that it stopped in that epoch, and at which step.
    pub(super) fn halted_in(&self, epoch: u64) -> Vec<(u8, u64)> {
        let said = self.halted.iter().filter(|(_, of, _)| *of == epoch);
        let mut said: Vec<(u8, u64)> = said.map(|(index, _, step)| (*index, *step)).collect();
        said.sort_unstable();
        said
    }

    /// Ends what is under way, and what is begun then, until nothing is.
    pub(super) fn finish(&mut self) {
        while !self.under_way.is_empty() {
            for (index, done) in std::mem::take(&mut self.under_way) {
                self.feed(index, done);
            }
        }
    }

    pub(super) fn settle(&mut self) {
        while self.deliver() {}
        assert_eq!(self.accused, [], "nobody lies");
    }

    pub(super) fn step_of(&self, index: u8) -> u64 {
        self.machines[&index].place().step
    }
}
