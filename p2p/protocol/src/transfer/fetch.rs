//! The receiving machine: which chunk is asked of whom.

use std::collections::{BTreeMap, BTreeSet};

use super::limits::{
    BUSY_MS, BUSY_MS_MAX, HEDGE_COPIES_MAX, HEDGE_FACTOR, HEDGE_MS_MIN, IN_FLIGHT_BYTES_MAX, LACKS_RETRY_MS,
    RATE_PERIOD_MS, SOURCES_MAX, STUCK_ALONE_MS, STUCK_MS,
};
use super::source::Source;
use super::{Chunk, FetchProgress, SourceProgress};
use crate::ids::{ChunkId, Millis, NodeId};
use crate::index_set::IndexSet;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchInput {
    /// This node may have everything, and there is a path to it.
    SourceJoined(NodeId),
    /// There is none any more. What was asked of it is lost.
    SourceLost(NodeId),
    /// This node is trusted again, whatever it sent: who says in another view that it has a state may be the only one.
    SourceForgiven(NodeId),
    /// Bytes of a chunk came that this source was asked for.
    Progressed {
        /// The source.
        from: NodeId,
        /// The chunk.
        chunk: ChunkId,
        /// How many.
        bytes: u32,
    },
    /// A chunk came whole and was checked.
    Checked {
        /// The source.
        from: NodeId,
        /// The chunk.
        chunk: ChunkId,
        /// What it is worth.
        outcome: ChunkOutcome,
    },
    /// A source does not have it.
    Lacks {
        /// The source.
        from: NodeId,
        /// The chunk.
        chunk: ChunkId,
    },
    /// A source has too much to do.
    Busy {
        /// The source.
        from: NodeId,
        /// The chunk.
        chunk: ChunkId,
        /// When to ask it again, milliseconds.
        retry_after_ms: u64,
        /// Connected nodes that may have it.
        ask: Vec<NodeId>,
    },
    /// A chunk is here that came by another way.
    Held(ChunkId),
    /// Time has passed: due at [`Fetch::deadline`].
    Tick,
}

/// What a chunk that came is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkOutcome {
    /// Its bytes have its name, and are kept.
    Good,
    /// They have another name.
    Differs,
    /// Its pieces did not fit together.
    Broken,
}

/// What a source did that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It sent bytes whose BLAKE3 is another.
    WrongBytes,
    /// It sent pieces that do not make the chunk.
    WrongPieces,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutput {
    /// Ask for a chunk.
    Ask {
        /// Whom.
        to: NodeId,
        /// For what.
        chunk: Chunk,
    },
    /// A chunk that was asked for is not needed from there any more; what comes of it is to be dropped.
    Cancel {
        /// Who was asked.
        to: NodeId,
        /// For what.
        chunk: ChunkId,
    },
    /// A source is not asked any more.
    Distrust {
        /// The source.
        node: NodeId,
        /// The chunk that shows it.
        chunk: ChunkId,
        /// What it did.
        verdict: Verdict,
    },
    /// All chunks are here.
    Complete,
}

/// Gets the chunks that are missing of one list.
#[derive(Clone, Debug)]
pub struct Fetch {
    chunks: Vec<Chunk>,
    by_id: BTreeMap<ChunkId, u32>,
    /// Asked of nobody: by rank, so that receivers of the same list begin with different ones.
    waiting: BTreeSet<u32>,
    ranks: Vec<u32>,
    by_rank: Vec<u32>,
    done: IndexSet,
    sources: BTreeMap<NodeId, Source>,
    requests: u64,
    bytes_wasted: u64,
    is_complete: bool,
    deadline: Option<Millis>,
}

impl Fetch {
    /// A fetch of `missing` for node `me`. A chunk that is named twice is got once.
    #[must_use]
    pub fn new(me: NodeId, missing: &[Chunk]) -> Self {
        let unique: BTreeMap<ChunkId, Chunk> = missing.iter().map(|chunk| (chunk.id, *chunk)).collect();
        let chunks: Vec<Chunk> = unique.into_values().collect();
        let index = |position: usize| u32::try_from(position).expect("a manifest has fewer than 2^32 chunks");
        let by_id = chunks.iter().enumerate().map(|(position, chunk)| (chunk.id, index(position))).collect();
        let mut shuffled: Vec<([u8; 32], u32)> = chunks
            .iter()
            .enumerate()
            .map(|(position, chunk)| (blake3::keyed_hash(&me.0, &chunk.id.0).into(), index(position)))
            .collect();
        shuffled.sort_unstable();
        let by_rank: Vec<u32> = shuffled.into_iter().map(|(_, position)| position).collect();
        let mut ranks = vec![0; chunks.len()];
        for (rank, position) in by_rank.iter().enumerate() {
            ranks[*position as usize] = index(rank);
        }
        Self {
            waiting: (0..index(chunks.len())).collect(),
            chunks,
            by_id,
            ranks,
            by_rank,
            done: IndexSet::new(),
            sources: BTreeMap::new(),
            requests: 0,
            bytes_wasted: 0,
            is_complete: false,
            deadline: None,
        }
    }

    /// Takes note of `input` and asks for what there is room for.
    pub fn step(&mut self, now: Millis, input: FetchInput, out: &mut Vec<FetchOutput>) {
        match input {
            FetchInput::SourceJoined(node) => self.joined(node),
            FetchInput::SourceLost(node) => self.lost(node),
            FetchInput::SourceForgiven(node) => {
                if let Some(source) = self.sources.get_mut(&node) {
                    source.is_distrusted = false;
                }
            }
            FetchInput::Progressed { from, chunk, bytes } => {
                if let (Some(&index), Some(source)) = (self.by_id.get(&chunk), self.sources.get_mut(&from)) {
                    source.progressed(now, index, bytes);
                }
            }
            FetchInput::Checked { from, chunk, outcome } => self.checked(from, chunk, outcome, out),
            FetchInput::Lacks { from, chunk } => {
                self.defer(from, chunk, now.plus(LACKS_RETRY_MS));
            }
            FetchInput::Busy { from, chunk, retry_after_ms, ask } => {
                self.busy(now, (from, chunk), retry_after_ms, &ask);
            }
            FetchInput::Held(chunk) => {
                if let Some(&index) = self.by_id.get(&chunk) {
                    self.keep(index, out);
                }
            }
            FetchInput::Tick => {}
        }
        self.release_stuck(now, out);
        self.ask(now, out);
        if self.done.len() as usize == self.chunks.len() && !self.is_complete {
            self.is_complete = true;
            out.push(FetchOutput::Complete);
        }
        self.deadline = self.next_deadline(now);
    }

    /// When to step with [`FetchInput::Tick`] if nothing else happens before; `None` for never.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        self.deadline
    }

    /// The length of `chunk` if `from` was asked for it and has not answered; nothing else may be taken from there.
    #[must_use]
    pub fn expects(&self, from: NodeId, chunk: ChunkId) -> Option<u32> {
        let index = self.by_id.get(&chunk)?;
        Some(self.sources.get(&from)?.in_flight.get(index)?.bytes)
    }

    /// Whether everything is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> FetchProgress {
        let bytes = |chunk: &Chunk| u64::from(chunk.bytes);
        let count = |chunks: usize| u32::try_from(chunks).unwrap_or(u32::MAX);
        let sources = self.sources.iter().map(|(node, source)| SourceProgress {
            node: *node,
            is_usable: source.is_usable(),
            chunks: source.chunks,
            bytes_per_second: source.rate,
            in_flight: count(source.in_flight.len()),
        });
        let has_source = |index: u32| self.sources.values().any(|source| source.may_have(index));
        let without = self.waiting.iter().filter(|rank| !has_source(self.by_rank[**rank as usize]));
        FetchProgress {
            chunks: count(self.chunks.len()),
            chunks_done: self.done.len(),
            bytes: self.chunks.iter().map(bytes).sum(),
            bytes_done: self.done.iter().map(|index| bytes(&self.chunks[index as usize])).sum(),
            bytes_wasted: self.bytes_wasted,
            sources: sources.collect(),
            chunks_without_source: count(without.count()),
        }
    }

    fn joined(&mut self, node: NodeId) {
        if self.sources.len() < SOURCES_MAX || self.sources.contains_key(&node) {
            let source = self.sources.entry(node).or_default();
            source.is_connected = true;
            source.holds = None;
        }
    }

    fn lost(&mut self, node: NodeId) {
        let Some(source) = self.sources.get_mut(&node) else { return };
        source.is_connected = false;
        source.deferred.clear();
        let asked = std::mem::take(&mut source.in_flight);
        self.bytes_wasted += asked.values().map(|asked| u64::from(asked.received)).sum::<u64>();
        self.put_back(asked.into_keys());
    }

    /// Chunks that nobody is asked for any more wait again.
    fn put_back(&mut self, chunks: impl IntoIterator<Item = u32>) {
        for index in chunks {
            let is_asked = self.sources.values().any(|source| source.in_flight.contains_key(&index));
            if !is_asked && !self.done.contains(index) {
                self.waiting.insert(self.ranks[index as usize]);
            }
        }
    }

    fn defer(&mut self, from: NodeId, chunk: ChunkId, until: Millis) {
        let (Some(&index), Some(source)) = (self.by_id.get(&chunk), self.sources.get_mut(&from)) else {
            return;
        };
        if source.in_flight.remove(&index).is_some() {
            source.deferred.insert(index, until);
            self.put_back([index]);
        }
    }

    fn busy(&mut self, now: Millis, (from, chunk): (NodeId, ChunkId), retry_after_ms: u64, ask: &[NodeId]) {
        if self.expects(from, chunk).is_none() {
            return;
        }
        let pause_ms = retry_after_ms.clamp(BUSY_MS / 3, BUSY_MS_MAX);
        self.defer(from, chunk, now.plus(pause_ms));
        if ask.is_empty()
            && let Some(source) = self.sources.get_mut(&from)
        {
            source.busy_until = now.plus(pause_ms);
        }
        let Some(&index) = self.by_id.get(&chunk) else { return };
        for node in ask {
            if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(node) {
                continue;
            }
            let source = self.sources.entry(*node).or_insert_with(Source::named);
            if let Some(holds) = &mut source.holds {
                source.is_connected = true;
                holds.insert(index);
            }
        }
    }

    fn checked(&mut self, from: NodeId, chunk: ChunkId, outcome: ChunkOutcome, out: &mut Vec<FetchOutput>) {
        let (Some(&index), Some(source)) = (self.by_id.get(&chunk), self.sources.get_mut(&from)) else {
            return;
        };
        let Some(asked) = source.in_flight.remove(&index) else { return };
        let verdict = match outcome {
            ChunkOutcome::Good => {
                source.chunks += 1;
                self.keep(index, out);
                return;
            }
            ChunkOutcome::Differs => Verdict::WrongBytes,
            ChunkOutcome::Broken => Verdict::WrongPieces,
        };
        source.is_distrusted = true;
        self.bytes_wasted += u64::from(asked.received);
        out.push(FetchOutput::Distrust { node: from, chunk, verdict });
        let others = std::mem::take(&mut source.in_flight);
        for other in others.keys() {
            out.push(FetchOutput::Cancel { to: from, chunk: self.chunks[*other as usize].id });
        }
        self.put_back(others.into_keys().chain([index]));
    }

    /// A chunk is here: nobody else needs to send it.
    fn keep(&mut self, index: u32, out: &mut Vec<FetchOutput>) {
        if self.done.contains(index) {
            return;
        }
        self.done.insert(index);
        self.waiting.remove(&self.ranks[index as usize]);
        let chunk = self.chunks[index as usize].id;
        for (node, source) in &mut self.sources {
            if let Some(asked) = source.in_flight.remove(&index) {
                self.bytes_wasted += u64::from(asked.received);
                out.push(FetchOutput::Cancel { to: *node, chunk });
            }
        }
    }

    /// Takes back what was asked of sources that are stuck: soon where somebody else can be asked, else after a while, in
    /// case the question or the answer was lost.
    fn release_stuck(&mut self, now: Millis, out: &mut Vec<FetchOutput>) {
        let stuck_for = |after_ms: u64| -> Vec<NodeId> {
            let stuck = self.sources.iter().filter(|(_, source)| source.is_stuck(now, after_ms));
            stuck.map(|(node, _)| *node).collect()
        };
        let usable = self.sources.values().filter(|source| source.is_usable()).count();
        let mut stuck = stuck_for(STUCK_MS);
        if stuck.len() == usable {
            stuck = stuck_for(STUCK_ALONE_MS);
        }
        for node in stuck {
            let Some(source) = self.sources.get_mut(&node) else { continue };
            let asked = source.give_up(now);
            for index in &asked {
                out.push(FetchOutput::Cancel { to: node, chunk: self.chunks[*index as usize].id });
            }
            self.put_back(asked);
        }
    }

    /// Asks for as much as there is room for. Those that have single chunks come first: the others have all.
    fn ask(&mut self, now: Millis, out: &mut Vec<FetchOutput>) {
        let mut nodes: Vec<(bool, NodeId)> =
            self.sources.iter().map(|(node, source)| (source.holds.is_none(), *node)).collect();
        nodes.sort_unstable();
        let mut asked_one = true;
        while asked_one {
            asked_one = false;
            for (_, node) in &nodes {
                let in_flight: u64 = self.sources.values().map(Source::bytes_to_come).sum();
                if in_flight >= IN_FLIGHT_BYTES_MAX {
                    return;
                }
                let Some(source) = self.sources.get(node).filter(|source| source.has_room(now)) else {
                    continue;
                };
                let Some(index) = self.next_for(now, source).or_else(|| self.hedge_for(now, *node, source))
                else {
                    continue;
                };
                asked_one = true;
                self.requests += 1;
                let chunk = self.chunks[index as usize];
                self.waiting.remove(&self.ranks[index as usize]);
                if let Some(source) = self.sources.get_mut(node) {
                    source.ask(now, index, self.requests, chunk.bytes);
                }
                out.push(FetchOutput::Ask { to: *node, chunk });
            }
        }
    }

    fn next_for(&self, now: Millis, source: &Source) -> Option<u32> {
        match &source.holds {
            Some(holds) => {
                let is_waiting = |index: &u32| self.waiting.contains(&self.ranks[*index as usize]);
                holds.iter().find(|index| is_waiting(index) && source.may_give(now, *index))
            }
            None => {
                let waiting = self.waiting.iter().map(|rank| self.by_rank[*rank as usize]);
                waiting.into_iter().find(|index| source.may_give(now, *index))
            }
        }
    }

    /// A chunk that others were asked for and will be long about. Nothing waits for this source.
    fn hedge_for(&self, now: Millis, node: NodeId, source: &Source) -> Option<u32> {
        if source.rate == 0 || source.in_flight.len() > 1 {
            return None;
        }
        let mut slowest: Option<(u64, u32)> = None;
        let others = self.sources.iter().filter(|(other, _)| **other != node);
        for (index, asked) in others.flat_map(|(_, other)| &other.in_flight) {
            if !source.may_give(now, *index) {
                continue;
            }
            let asked_of = || self.sources.values().filter(|other| other.in_flight.contains_key(index));
            let wait_ms = asked_of().map(|other| other.wait_ms(now, *index)).min().unwrap_or(0);
            let here_ms = source.wait_ms_if_asked(asked.bytes);
            let is_worth_it = wait_ms >= HEDGE_MS_MIN.max(here_ms.saturating_mul(HEDGE_FACTOR));
            if is_worth_it
                && asked_of().count() < HEDGE_COPIES_MAX
                && slowest.is_none_or(|(longest, _)| wait_ms > longest)
            {
                slowest = Some((wait_ms, *index));
            }
        }
        slowest.map(|(_, index)| index)
    }

    fn next_deadline(&self, now: Millis) -> Option<Millis> {
        if self.is_complete {
            return None;
        }
        let usable = || self.sources.values().filter(|source| source.is_usable());
        let ticks = usable().any(|source| !source.in_flight.is_empty()).then(|| now.plus(RATE_PERIOD_MS));
        let pauses = usable().flat_map(|source| source.deferred.values().chain([&source.busy_until]));
        let pause = pauses.filter(|until| **until > now).min().copied();
        ticks.into_iter().chain(pause).min()
    }
}
