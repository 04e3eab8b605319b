//! Which processes are connected, and what became of the others.

use std::collections::BTreeMap;

use super::limits::{LOSS_REASON_BYTES_MAX, PEERS_MAX};
use crate::ids::{Boot, Life, Millis, NodeId};
use crate::ledger::Ledger;
use crate::ledger::limits::cut;

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The process that was connected.
    pub(super) boot: Boot,
    /// When it was lost.
    pub(super) at: Millis,
    /// Whether the process is known to be dead.
    pub(super) is_certain: bool,
    /// What was seen.
    pub(super) reason: String,
}

/// What is known of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Connected, or this very process.
    Alive,
    /// Never connected since this process started, and its node is registered with no other process.
    Unseen,
    /// Not connected any more, perhaps alive.
    Silent { reason: String },
    /// Dead.
    Dead { reason: String },
}

/// Connections of this node.
#[derive(Debug)]
pub(super) struct Liveness {
    me: Life,
    live: BTreeMap<NodeId, (Boot, Millis)>,
    lost: BTreeMap<NodeId, Loss>,
}

impl Liveness {
    pub(super) fn new(me: Life) -> Self {
        Self { me, live: BTreeMap::from([(me.node, (me.boot, Millis(0)))]), lost: BTreeMap::new() }
    }

    pub(super) fn joined(&mut self, now: Millis, node: NodeId, boot: Boot) {
        if node == self.me.node || (!self.live.contains_key(&node) && self.live.len() >= PEERS_MAX) {
            return;
        }
        self.live.insert(node, (boot, now));
        if self.lost.get(&node).is_some_and(|loss| loss.boot == boot) {
            self.lost.remove(&node);
        }
    }

    pub(super) fn lost(&mut self, node: NodeId, mut loss: Loss) {
        cut(&mut loss.reason, LOSS_REASON_BYTES_MAX);
        if node == self.me.node {
            return;
        }
        match self.live.get(&node) {
            Some((boot, _)) if *boot == loss.boot => {
                self.live.remove(&node);
            }
            // Another process of the node is connected: this one's end says nothing about it.
            Some(_) => return,
            None => {}
        }
        if !self.lost.contains_key(&node) && self.lost.len() >= PEERS_MAX {
            let oldest = self.lost.iter().min_by_key(|(_, loss)| loss.at).map(|(node, _)| *node);
            oldest.map(|oldest| self.lost.remove(&oldest));
        }
        self.lost.insert(node, loss);
    }

    /// The connected process of `node`.
    pub(super) fn boot(&self, node: NodeId) -> Option<Boot> {
        self.live.get(&node).map(|(boot, _)| *boot)
    }

    /// Since when `node` is not connected; `None` if it is or never was.
    pub(super) fn lost_at(&self, node: NodeId) -> Option<Millis> {
        self.lost.get(&node).filter(|_| !self.live.contains_key(&node)).map(|loss| loss.at)
    }

    /// Whether any process of `node` is connected.
    pub(super) fn is_connected(&self, node: NodeId) -> bool {
        self.live.contains_key(&node)
    }

    /// Connected processes that are the registered ones, with the time since when.
    pub(super) fn usable(&self, ledger: &Ledger) -> BTreeMap<NodeId, (Boot, Millis)> {
        self.live
            .iter()
            .filter(|(node, (boot, _))| ledger.nodes.get(node).is_some_and(|record| record.boot == *boot))
            .map(|(node, seen)| (*node, *seen))
            .collect()
    }

    /// Those of them that may get work.
    pub(super) fn able(&self, ledger: &Ledger) -> BTreeMap<NodeId, (Boot, Millis)> {
        let mut able = self.usable(ledger);
        able.retain(|node, _| ledger.takes_work(*node));
        able
    }

    /// What is known of `life`.
    pub(super) fn fate(&self, ledger: &Ledger, life: Life) -> Fate {
        if self.boot(life.node).is_some_and(|boot| boot != life.boot)
            || ledger.nodes.get(&life.node).is_none_or(|record| record.boot != life.boot)
        {
            return Fate::Dead { reason: "its process was replaced by another".to_owned() };
        }
        if self.is_connected(life.node) {
            return Fate::Alive;
        }
        match self.lost.get(&life.node) {
            // The end of another process, registered before or not yet, tells nothing about this one.
            Some(loss) if loss.boot != life.boot => Fate::Unseen,
            Some(loss) if loss.is_certain => Fate::Dead { reason: loss.reason.clone() },
            Some(loss) => Fate::Silent { reason: loss.reason.clone() },
            None => Fate::Unseen,
        }
    }
}
