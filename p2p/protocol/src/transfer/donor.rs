//! The giving machine: who is served next, and who is sent to somebody else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::limits::{
    ASKED_CHUNKS_MAX, BUSY_MS, RECEIVERS_MAX, RECEIVERS_SERVED_MAX, REFERRALS_MAX, SERVED_CHUNKS_MAX,
};
use super::{Chunk, TransferMessage};
use crate::ids::{ChunkId, NodeId};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DonorInput {
    /// A node wants a chunk.
    Asked {
        /// The node.
        from: NodeId,
        /// The chunk, as long as it says.
        chunk: Chunk,
    },
    /// It does not want it any more.
    Cancelled {
        /// The node.
        from: NodeId,
        /// The chunk.
        chunk: ChunkId,
    },
    /// What [`DonorOutput::Serve`] asked for is done.
    Served {
        /// The receiver.
        to: NodeId,
        /// The chunk.
        chunk: ChunkId,
        /// Whether it was handed to the network whole.
        is_sent: bool,
    },
    /// The path to a receiver broke, or it is gone: it asks again when it can.
    ReceiverLost(NodeId),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DonorOutput {
    /// Send a chunk in pieces, or say that it is lacking; then tell with [`DonorInput::Served`].
    Serve {
        /// The receiver.
        to: NodeId,
        /// The chunk.
        chunk: Chunk,
    },
    /// Stop sending this chunk, if that is still possible. [`DonorInput::Served`] is told all the same.
    Stop {
        /// The receiver.
        to: NodeId,
        /// The chunk.
        chunk: ChunkId,
    },
    /// Say something.
    Say {
        /// To whom.
        to: NodeId,
        /// What.
        message: TransferMessage,
    },
}

/// Serves receivers in turns, one chunk at a time each.
#[derive(Clone, Debug, Default)]
pub struct Donor {
    receivers: BTreeMap<NodeId, Receiver>,
    /// Who got a chunk from here and is still connected, latest last.
    served: BTreeMap<ChunkId, Vec<NodeId>>,
    /// Who was served last.
    last: Option<NodeId>,
}

#[derive(Clone, Debug, Default)]
struct Receiver {
    queue: VecDeque<Chunk>,
    serving: Option<ChunkId>,
}

impl Donor {
    /// Takes note of `input` and serves whom there is room for.
    pub fn step(&mut self, input: DonorInput, out: &mut Vec<DonorOutput>) {
        match input {
            DonorInput::Asked { from, chunk } => self.asked(from, chunk, out),
            DonorInput::Cancelled { from, chunk } => {
                if let Some(receiver) = self.receivers.get_mut(&from) {
                    receiver.queue.retain(|queued| queued.id != chunk);
                    if receiver.serving == Some(chunk) {
                        out.push(DonorOutput::Stop { to: from, chunk });
                    }
                }
            }
            DonorInput::Served { to, chunk, is_sent } => {
                if let Some(receiver) = self.receivers.get_mut(&to)
                    && receiver.serving == Some(chunk)
                {
                    receiver.serving = None;
                }
                if is_sent {
                    self.remember(chunk, to);
                }
            }
            DonorInput::ReceiverLost(node) => {
                if let Some(receiver) = self.receivers.get_mut(&node) {
                    receiver.queue.clear();
                    if let Some(chunk) = receiver.serving {
                        out.push(DonorOutput::Stop { to: node, chunk });
                    }
                }
                self.served.retain(|_, nodes| {
                    nodes.retain(|other| *other != node);
                    !nodes.is_empty()
                });
            }
        }
        self.serve(out);
        self.receivers.retain(|_, receiver| receiver.serving.is_some() || !receiver.queue.is_empty());
    }

    /// Receivers that wait or are served.
    #[must_use]
    pub fn receivers(&self) -> usize {
        self.receivers.len()
    }

    fn asked(&mut self, from: NodeId, chunk: Chunk, out: &mut Vec<DonorOutput>) {
        let is_known = self.receivers.contains_key(&from);
        let others = self.receivers.len() - usize::from(is_known);
        let got = self.served.get(&chunk.id).map_or(&[][..], Vec::as_slice);
        let elsewhere: Vec<NodeId> =
            got.iter().rev().filter(|node| **node != from).take(REFERRALS_MAX).copied().collect();
        let is_crowded = others >= RECEIVERS_SERVED_MAX && !elsewhere.is_empty();
        let is_full = others >= RECEIVERS_MAX
            || self.receivers.get(&from).is_some_and(|receiver| receiver.queue.len() >= ASKED_CHUNKS_MAX);
        if is_crowded || is_full {
            // The more wait, the later it pays to ask again.
            let retry_after_ms = BUSY_MS * (1 + others as u64);
            let message = TransferMessage::Busy { chunk: chunk.id, retry_after_ms, ask: elsewhere };
            out.push(DonorOutput::Say { to: from, message });
            return;
        }
        let receiver = self.receivers.entry(from).or_default();
        if receiver.queue.iter().any(|queued| queued.id == chunk.id) {
            return;
        }
        if receiver.serving == Some(chunk.id) {
            // It has lost what came so far: it gets it from the start.
            out.push(DonorOutput::Stop { to: from, chunk: chunk.id });
            receiver.queue.push_front(chunk);
        } else {
            receiver.queue.push_back(chunk);
        }
    }

    fn remember(&mut self, chunk: ChunkId, to: NodeId) {
        let nodes = self.served.entry(chunk).or_default();
        nodes.retain(|node| *node != to);
        nodes.push(to);
        if nodes.len() > REFERRALS_MAX {
            nodes.remove(0);
        }
        if self.served.len() > SERVED_CHUNKS_MAX {
            self.served.pop_first();
        }
    }

    fn serve(&mut self, out: &mut Vec<DonorOutput>) {
        let mut served = self.receivers.values().filter(|receiver| receiver.serving.is_some()).count();
        while served < RECEIVERS_SERVED_MAX {
            let idle: BTreeSet<NodeId> = self
                .receivers
                .iter()
                .filter(|(_, receiver)| receiver.serving.is_none() && !receiver.queue.is_empty())
                .map(|(node, _)| *node)
                .collect();
            let after_last = idle.iter().find(|node| self.last.is_none_or(|last| **node > last));
            let Some(to) = after_last.or_else(|| idle.first()).copied() else { return };
            let Some(receiver) = self.receivers.get_mut(&to) else { return };
            let Some(chunk) = receiver.queue.pop_front() else { return };
            receiver.serving = Some(chunk.id);
            self.last = Some(to);
            served += 1;
            out.push(DonorOutput::Serve { to, chunk });
        }
    }
}
