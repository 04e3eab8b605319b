//! Queues between nodes: lost, late, repeated, out of order.

use std::collections::VecDeque;

use traind_protocol::sync::SyncMessage;

use crate::random::Random;

/// Messages of broken connections that may still arrive, at most: beyond it they are lost.
const LIMBO_MESSAGES_MAX: usize = 60;

/// All connections.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    queues: Vec<VecDeque<SyncMessage>>,
    blocked: Vec<bool>,
    /// Ends that have not yet noticed that their connection was renewed.
    pub(crate) unnoticed: Vec<(usize, usize)>,
    /// Messages of broken connections: (from, to, what).
    pub(crate) limbo: Vec<(usize, usize, SyncMessage)>,
}

impl Network {
    /// All connected, nothing under way.
    #[must_use]
    pub(crate) fn new(nodes: usize) -> Self {
        let queues = vec![VecDeque::new(); nodes * nodes];
        let blocked = vec![false; nodes * nodes];
        Self { nodes, queues, blocked, unnoticed: Vec::new(), limbo: Vec::new() }
    }

    /// Sends, unless the sender has yet to notice that its connection is new: then half is lost.
    pub(crate) fn send(&mut self, from: usize, to: usize, message: SyncMessage, random: &mut Random) {
        if self.unnoticed.contains(&(from, to)) && random.chance(500) {
            return;
        }
        self.queues[from * self.nodes + to].push_back(message);
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
    pub(crate) fn take(&mut self, from: usize, to: usize, position: usize) -> Option<SyncMessage> {
        self.queues[from * self.nodes + to].remove(position)
    }

    /// Messages under way from one to another.
    #[must_use]
    pub(crate) fn under_way(&self, from: usize, to: usize) -> usize {
        self.queues[from * self.nodes + to].len()
    }

    /// Breaks a connection and makes a new one that both ends have yet to notice.
    pub(crate) fn break_path(&mut self, one: usize, other: usize, random: &mut Random) {
        for (from, to) in [(one, other), (other, one)] {
            for message in std::mem::take(&mut self.queues[from * self.nodes + to]) {
                if random.chance(300) && self.limbo.len() < LIMBO_MESSAGES_MAX {
                    self.limbo.push((from, to, message));
                }
            }
            self.unnoticed.push((from, to));
        }
    }

    /// A process dies: some of the last it sent is lost, what was sent to it is.
    pub(crate) fn crash(&mut self, node: usize, random: &mut Random) {
        for other in 0..self.nodes {
            let sent = &mut self.queues[node * self.nodes + other];
            sent.truncate(random.below(sent.len() + 1));
            self.queues[other * self.nodes + node].clear();
        }
        self.limbo.retain(|(_, to, _)| *to != node);
        self.unnoticed.retain(|(from, _)| *from != node);
    }

    /// A process starts: what was sent to its node before is lost, all others get a new connection to it.
    pub(crate) fn restart(&mut self, node: usize) {
        for other in (0..self.nodes).filter(|other| *other != node) {
            self.queues[other * self.nodes + node].clear();
            self.unnoticed.push((other, node));
        }
    }

    /// Blocks or unblocks a pair in both directions.
    pub(crate) fn block(&mut self, one: usize, other: usize, blocked: bool) {
        self.blocked[one * self.nodes + other] = blocked;
        self.blocked[other * self.nodes + one] = blocked;
    }

    /// Whether a pair is blocked.
    #[must_use]
    pub(crate) fn is_blocked(&self, one: usize, other: usize) -> bool {
        self.blocked[one * self.nodes + other]
    }

    /// Unblocks everything.
    pub(crate) fn unblock_all(&mut self) {
        self.blocked.fill(false);
    }
}
