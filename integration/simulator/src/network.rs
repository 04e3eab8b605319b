//! Queues between nodes: lost, late, repeated, out of order.

use std::collections::VecDeque;

use traind_protocol::ids::{Epoch, Incarnation};
use traind_protocol::sync::SyncMessage;
use traind_protocol::transfer::TransferMessage;

use crate::random::Random;

/// Messages of broken connections that may still arrive, at most: beyond it they are lost.
const LIMBO_MESSAGES_MAX: usize = 60;

/// What travels between nodes.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// A message of the sync step.
    Sync(SyncMessage),
    /// A message about a chunk, and the view that its sender was in, of which it does not speak.
    Chunk {
        /// Lineage of that view.
        incarnation: Incarnation,
        /// Epoch of that view.
        epoch: Epoch,
        /// The message.
        message: TransferMessage,
    },
}

impl Packet {
    /// The view that its sender was in.
    #[must_use]
    pub(crate) fn view(&self) -> (Incarnation, Epoch) {
        match self {
            Self::Sync(message) => (message.incarnation, message.epoch),
            Self::Chunk { incarnation, epoch, .. } => (*incarnation, *epoch),
        }
    }
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    queues: Vec<VecDeque<Packet>>,
    blocked: Vec<bool>,
    /// Ends that have not yet noticed that their connection was renewed.
    pub(crate) unnoticed: Vec<(usize, usize)>,
    /// Messages of broken connections: (from, to, what).
    pub(crate) limbo: Vec<(usize, usize, Packet)>,
}

impl Network {
    /// All connected, nothing under way.
    #[must_use]
    pub(crate) fn new(nodes: usize) -> Self {
        let queues = vec![VecDeque::new(); nodes * nodes];
        let blocked = vec![false; nodes * nodes];
        Self { nodes, queues, blocked, unnoticed: Vec::new(), limbo: Vec::new() }
    }

    /// Sends, unless the sender has yet to notice that its connection is new: then half is lost. Whether it was sent.
    pub(crate) fn send(&mut self, from: usize, to: usize, message: Packet, random: &mut Random) -> bool {
        if self.unnoticed.contains(&(from, to)) && random.chance(500) {
            return false;
        }
        self.queues[from * self.nodes + to].push_back(message);
        true
    }

    /// The pairs with messages that can be delivered.
    #[must_use]
    pub(crate) fn deliverable(&self) -> Vec<(usize, usize)> {
        (0..self.queues.len())
            .filter(|&pair| !self.queues[pair].is_empty() && !self.blocked[pair])
            .map(|pair| (pair / self.nodes, pair % self.nodes))
            .collect()
    }

    /// Takes the first message, or another one where messages overtake.
    pub(crate) fn take(&mut self, from: usize, to: usize, position: usize) -> Option<Packet> {
        self.queues[from * self.nodes + to].remove(position)
    }

    /// Messages under way from one to another, the oldest first.
    #[must_use]
    pub(crate) fn queue(&self, from: usize, to: usize) -> &VecDeque<Packet> {
        &self.queues[from * self.nodes + to]
    }

    /// Messages under way from and to `node`.
    pub(crate) fn touching(&self, node: usize) -> impl Iterator<Item = &Packet> {
        let others = 0..self.nodes;
        let queues =
            others.flat_map(move |other| self.queue(node, other).iter().chain(self.queue(other, node)));
        let late = self.limbo.iter().filter(move |(from, to, _)| *from == node || *to == node);
        queues.chain(late.map(|(.., message)| message))
    }

    /// Messages under way to `node`.
    pub(crate) fn towards(&self, node: usize) -> impl Iterator<Item = &Packet> {
        let late = self.limbo.iter().filter(move |(_, to, _)| *to == node);
        (0..self.nodes)
            .flat_map(move |other| self.queue(other, node))
            .chain(late.map(|(.., message)| message))
    }

    /// Breaks a connection and makes a new one that both ends have yet to notice. Returns what is lost.
    pub(crate) fn break_path(&mut self, one: usize, other: usize, random: &mut Random) -> Vec<Packet> {
        let mut lost = Vec::new();
        for (from, to) in [(one, other), (other, one)] {
            for message in std::mem::take(&mut self.queues[from * self.nodes + to]) {
                if random.chance(300) && self.limbo.len() < LIMBO_MESSAGES_MAX {
                    self.limbo.push((from, to, message));
                } else {
                    lost.push(message);
                }
            }
            self.unnoticed.push((from, to));
        }
        lost
    }

    /// A process dies: some of the last it sent is lost, what was sent to it is once its node starts again.
    pub(crate) fn crash(&mut self, node: usize, random: &mut Random) {
        for other in 0..self.nodes {
            let sent = &mut self.queues[node * self.nodes + other];
            sent.truncate(random.below(sent.len() + 1));
            let sent_to = &mut self.queues[other * self.nodes + node];
            sent_to.truncate(random.below(sent_to.len() + 1));
        }
        self.limbo.retain(|(_, to, _)| *to != node);
        self.unnoticed.retain(|(from, _)| *from != node);
    }

    /// A process starts: most of what was sent to its node before is lost, all others get a new connection to it.
    pub(crate) fn restart(&mut self, node: usize, random: &mut Random) {
        for other in (0..self.nodes).filter(|other| *other != node) {
            self.queues[other * self.nodes + node].retain(|_| random.chance(300));
            self.unnoticed.push((other, node));
        }
    }

    /// Blocks or unblocks one direction of a pair.
    pub(crate) fn block(&mut self, from: usize, to: usize, blocked: bool) {
        self.blocked[from * self.nodes + to] = blocked;
    }

    /// Whether this direction is blocked.
    #[must_use]
    pub(crate) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked[from * self.nodes + to]
    }

    /// Unblocks everything.
    pub(crate) fn unblock_all(&mut self) {
        self.blocked.fill(false);
    }
}
