//! The chunks of states on their way to joiners: the driver of the machines that move them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use traind_protocol::ids::{ChunkId, Millis, NodeId};
use traind_protocol::sync::{SnapshotHead, StateOffer, SyncInput, SyncMessage};
use traind_protocol::transfer::{
    Assembly, Chunk, ChunkOutcome, Donor, DonorInput, DonorOutput, Fetch, FetchInput, FetchOutput, Taken,
    TransferMessage,
};

use crate::network::Packet;
use crate::node::{node_id, node_index};
use crate::service::JOB;
use crate::world::World;

/// Bytes of a chunk: a state of this model is one, the results of a step are a handful.
const CHUNK_BYTES: usize = 256;

/// What a node keeps of states, gives and gets.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// The state that is kept for joiners, with what goes with it.
    kept: Option<(SnapshotHead, Bytes)>,
    pub(crate) held: BTreeMap<ChunkId, Bytes>,
    donor: Donor,
    /// Chunks to be sent.
    pub(crate) serving: Vec<(NodeId, Chunk)>,
    fetch: Option<(StateOffer, Fetch)>,
    assembly: Assembly,
    sources: BTreeSet<NodeId>,
    /// All chunks have come, and the machine does not know it yet.
    is_complete: bool,
}

/// `content` in chunks, with their names.
pub(crate) fn cut(content: &Bytes) -> Vec<(Chunk, Bytes)> {
    let chunk = |piece: &[u8]| {
        let id = ChunkId(*blake3::hash(piece).as_bytes());
        (Chunk { id, bytes: piece.len() as u32 }, content.slice_ref(piece))
    };
    content.chunks(CHUNK_BYTES).map(chunk).collect()
}

/// What a member with this state offers, and the chunks.
pub(crate) fn offer_of(head: &SnapshotHead, state: &Bytes) -> (StateOffer, BTreeMap<ChunkId, Bytes>) {
    let (state, last) = (cut(state), cut(&head.last.concat().into()));
    let list = |pieces: &[(Chunk, Bytes)]| pieces.iter().map(|(chunk, _)| *chunk).collect();
    let offer = StateOffer::new(head, list(&state), list(&last));
    (offer, state.into_iter().chain(last).map(|(chunk, content)| (chunk.id, content)).collect())
}

impl World {
    /// A member keeps its state for joiners.
    pub(crate) fn keep_state(&mut self, index: usize, snapshot: SnapshotHead) {
        let node = &mut self.nodes[index];
        if (node.step, node.chain) != (snapshot.step, snapshot.chain) {
            return self.fail("S1", format!("node {index} keeps another state than it says"));
        }
        node.chunks.kept = Some((snapshot, node.model.to_bytes()));
        // What is still to come of a later state is nobody's any more.
        node.chunks.fetch = None;
        node.chunks.is_complete = false;
        node.chunks.held.clear();
        self.report.snapshots += 1;
    }

    /// A member offers the state that it keeps, or what it says is that state.
    pub(crate) fn offer(&mut self, index: usize, to: NodeId, snapshot: SnapshotHead) {
        let node = &self.nodes[index];
        let boot = node.life.boot;
        let kept = node.chunks.kept.as_ref();
        let Some((_, state)) = kept.filter(|(of, _)| (of.step, of.chain) == (snapshot.step, snapshot.chain))
        else {
            return self.fail("S1", format!("node {index} offers another state than it keeps"));
        };
        let state = state.clone();
        let of = (snapshot.incarnation, snapshot.epoch);
        let state = if self.makes_up_states(index, snapshot.epoch) { made_up(&state) } else { state };
        let (offer, held) = offer_of(&snapshot, &state);
        self.nodes[index].chunks.held.extend(held);
        self.send(index, node_index(to), SyncMessage::offer(JOB, boot, of, offer));
    }

    /// The state that was fetched is installed: it is kept for others.
    pub(crate) fn keep_fetched(&mut self, index: usize, state: &[u8]) {
        let node = &mut self.nodes[index];
        let Some((offer, _)) = &node.chunks.fetch else { return };
        let (incarnation, epoch) =
            node.machine.as_ref().and_then(|machine| machine.place().view).unwrap_or_default();
        let last =
            offer.assemble(|id| node.chunks.held.get(&id).cloned()).map(|whole| whole.1).unwrap_or_default();
        let StateOffer { step, chain, previous_chain, .. } = *offer;
        let head = SnapshotHead { incarnation, epoch, step, chain, previous_chain, last };
        node.chunks.kept = Some((head, Bytes::copy_from_slice(state)));
    }

    /// A joiner is to get a state from these.
    pub(crate) fn fetch(&mut self, index: usize, offer: StateOffer, from: &[NodeId], is_anew: bool) {
        let me = node_id(index);
        let chunks = &mut self.nodes[index].chunks;
        // One that is complete is said again.
        let goes_on = |(of, fetch): &(StateOffer, Fetch)| *of == offer && !fetch.is_complete();
        if !chunks.fetch.as_ref().is_some_and(goes_on) {
            chunks.held.retain(|id, _| offer.chunks().any(|chunk| chunk.id == *id));
            let is_missing = |chunk: &&Chunk| !chunks.held.contains_key(&chunk.id);
            let missing: Vec<Chunk> = offer.chunks().filter(is_missing).copied().collect();
            self.report.chunks_resumed += (offer.chunks().count() - missing.len()) as u64;
            chunks.fetch = Some((offer, Fetch::new(me, &missing)));
            chunks.is_complete = false;
            chunks.sources.clear();
        }
        let sources = &mut self.nodes[index].chunks.sources;
        let gone: Vec<NodeId> =
            sources.iter().filter(|node| is_anew && !from.contains(node)).copied().collect();
        sources.retain(|node| !gone.contains(node));
        sources.extend(from);
        for node in gone {
            self.nodes[index].chunks.assembly.forget_sender(node);
            self.feed_fetch(index, FetchInput::SourceLost(node));
        }
        for node in from {
            self.nodes[index].chunks.assembly.forget_sender(*node);
            self.feed_fetch(index, FetchInput::SourceLost(*node));
            self.feed_fetch(index, FetchInput::SourceForgiven(*node));
            // There is no connection to a process that is gone.
            if self.nodes[node_index(*node)].is_up() {
                self.feed_fetch(index, FetchInput::SourceJoined(*node));
            }
        }
    }

    /// Nothing of states is needed any more.
    pub(crate) fn release(&mut self, index: usize) {
        let chunks = &mut self.nodes[index].chunks;
        chunks.held.clear();
        chunks.kept = None;
        chunks.fetch = None;
    }

    /// A connection is new: what was under way on it may be lost.
    pub(crate) fn path_renewed(&mut self, index: usize, of: usize) {
        let node = node_id(of);
        self.feed_donor(index, DonorInput::ReceiverLost(node));
        self.nodes[index].chunks.assembly.forget_sender(node);
        self.feed_fetch(index, FetchInput::SourceLost(node));
        if self.nodes[index].chunks.sources.contains(&node) && self.nodes[of].is_up() {
            self.feed_fetch(index, FetchInput::SourceJoined(node));
        }
        self.feed(index, SyncInput::PathOpened(node));
    }

    /// The process of `of` is gone: its connections close.
    pub(crate) fn paths_lost(&mut self, of: usize) {
        for index in 0..self.nodes.len() {
            self.feed_donor(index, DonorInput::ReceiverLost(node_id(of)));
            self.nodes[index].chunks.assembly.forget_sender(node_id(of));
            self.feed_fetch(index, FetchInput::SourceLost(node_id(of)));
        }
    }

    /// Time has passed: for waits, and to put together what is complete.
    pub(crate) fn tick_fetches(&mut self) {
        let now = Millis(self.clock);
        for index in 0..self.nodes.len() {
            if self.nodes[index].chunks.is_complete && !self.nodes[index].paused {
                self.complete(index);
            }
            let deadline = self.nodes[index].chunks.fetch.as_ref().and_then(|(_, fetch)| fetch.deadline());
            if deadline.is_some_and(|at| at <= now) && !self.nodes[index].paused {
                self.feed_fetch(index, FetchInput::Tick);
            }
        }
    }

    fn feed_fetch(&mut self, index: usize, input: FetchInput) {
        let now = Millis(self.clock);
        let Some((_, fetch)) = &mut self.nodes[index].chunks.fetch else { return };
        let mut out = Vec::new();
        fetch.step(now, input, &mut out);
        for output in out {
            match output {
                FetchOutput::Ask { to, chunk } => {
                    let message = TransferMessage::Ask { chunk: chunk.id, bytes: chunk.bytes };
                    self.say_chunk(index, node_index(to), message);
                }
                FetchOutput::Cancel { to, chunk } => {
                    self.nodes[index].chunks.assembly.forget(to, chunk);
                    self.say_chunk(index, node_index(to), TransferMessage::Cancel { chunk });
                }
                FetchOutput::Distrust { node, verdict, .. } => {
                    let of = node_index(node);
                    self.report.liars_found += 1;
                    if !self.lies.told_bytes.contains(&of) {
                        self.fail("V2", format!("node {index} finds {verdict:?} of the honest node {of}"));
                    }
                }
                FetchOutput::Complete => self.nodes[index].chunks.is_complete = true,
            }
        }
    }

    fn complete(&mut self, index: usize) {
        let chunks = &mut self.nodes[index].chunks;
        chunks.is_complete = false;
        let Some((offer, _)) = &chunks.fetch else { return };
        let Some((state, last)) = offer.assemble(|id| chunks.held.get(&id).cloned()) else {
            return self.fail("S1", format!("node {index} lacks a chunk of what is complete"));
        };
        let id = offer.id();
        self.feed(index, SyncInput::StateFetched { id, state, last });
    }

    fn feed_donor(&mut self, index: usize, input: DonorInput) {
        let mut out = Vec::new();
        self.nodes[index].chunks.donor.step(input, &mut out);
        for output in out {
            match output {
                DonorOutput::Serve { to, chunk } => self.nodes[index].chunks.serving.push((to, chunk)),
                DonorOutput::Stop { to, chunk } => {
                    self.nodes[index].chunks.serving.retain(|(of, due)| (*of, due.id) != (to, chunk));
                    self.feed_donor(index, DonorInput::Served { to, chunk, is_sent: false });
                }
                DonorOutput::Say { to, message } => self.say_chunk(index, node_index(to), message),
            }
        }
    }

    /// Sends the chunk whose turn it is, or says that it is lacking.
    pub(crate) fn serve(&mut self, index: usize, position: usize) {
        let (to, chunk) = self.nodes[index].chunks.serving.remove(position);
        let content = self.nodes[index].chunks.held.get(&chunk.id).cloned();
        // There is no connection to a process that is gone.
        let is_sent = content.is_some() && self.nodes[node_index(to)].is_up();
        let message = match content {
            Some(bytes) => {
                self.report.chunks_sent += 1;
                let mut bytes = self.falsified(index, bytes);
                // In two pieces, where they arrive in order.
                let cut = if self.plan.reorder { 0 } else { bytes.len() / 2 };
                let first = bytes.split_to(cut);
                if cut > 0 {
                    let first = TransferMessage::Piece { chunk: chunk.id, offset: 0, bytes: first };
                    self.say_chunk(index, node_index(to), first);
                }
                TransferMessage::Piece { chunk: chunk.id, offset: cut as u32, bytes }
            }
            None => TransferMessage::Lacks { chunk: chunk.id },
        };
        self.say_chunk(index, node_index(to), message);
        self.feed_donor(index, DonorInput::Served { to, chunk: chunk.id, is_sent });
    }

    fn say_chunk(&mut self, index: usize, to: usize, message: TransferMessage) {
        self.report.messages += 1;
        self.tell(|| format!("    {index} -> {to}: {message:?}"));
        let (incarnation, epoch) = self.nodes[index].view_heard();
        self.put(index, to, Packet::Chunk { incarnation, epoch, message });
    }

    /// A message about a chunk arrives.
    pub(crate) fn heard_of_chunk(&mut self, index: usize, from: usize, message: TransferMessage) {
        if !self.nodes[index].is_up() || self.violation.is_some() {
            return;
        }
        self.tell(|| format!("{index} <- {from}: {message:?}"));
        let from = node_id(from);
        match message {
            TransferMessage::Ask { chunk: id, bytes } => {
                self.feed_donor(index, DonorInput::Asked { from, chunk: Chunk { id, bytes } });
            }
            TransferMessage::Cancel { chunk } => {
                self.feed_donor(index, DonorInput::Cancelled { from, chunk })
            }
            TransferMessage::Lacks { chunk } => self.feed_fetch(index, FetchInput::Lacks { from, chunk }),
            TransferMessage::Busy { chunk, retry_after_ms, mut ask } => {
                ask.retain(|node| *node != node_id(index));
                self.feed_fetch(index, FetchInput::Busy { from, chunk, retry_after_ms, ask });
            }
            TransferMessage::Piece { chunk, offset, bytes } => {
                self.take_piece(index, from, chunk, offset, bytes)
            }
            TransferMessage::AskManifest { .. }
            | TransferMessage::Manifest { .. }
            | TransferMessage::LacksManifest { .. } => {}
        }
    }

    fn take_piece(&mut self, index: usize, from: NodeId, chunk: ChunkId, offset: u32, piece: Bytes) {
        let chunks = &mut self.nodes[index].chunks;
        let expected = chunks.fetch.as_ref().and_then(|(_, fetch)| fetch.expects(from, chunk));
        let Some(length) = expected else { return };
        let bytes = piece.len() as u32;
        let taken = chunks.assembly.take(from, chunk, length, offset, piece);
        let outcome = match taken {
            Taken::Stray => return,
            Taken::Partly => None,
            Taken::Whole(content) if *blake3::hash(&content).as_bytes() == chunk.0 => {
                chunks.held.insert(chunk, content);
                Some(ChunkOutcome::Good)
            }
            Taken::Whole(_) => Some(ChunkOutcome::Differs),
            Taken::Broken => Some(ChunkOutcome::Broken),
        };
        self.feed_fetch(index, FetchInput::Progressed { from, chunk, bytes });
        if let Some(outcome) = outcome {
            self.feed_fetch(index, FetchInput::Checked { from, chunk, outcome });
        }
    }
}

/// A state like this one that nobody has.
fn made_up(state: &Bytes) -> Bytes {
    let mut bytes = state.to_vec();
    // The last parameter differs in its last digit.
    if let Some(position) = bytes.len().checked_sub(4) {
        bytes[position] ^= 1;
    }
    bytes.into()
}
