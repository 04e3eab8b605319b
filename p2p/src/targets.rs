//! Addresses to dial when nobody is connected there: given by people, of earlier meetings, told by others.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use traind_protocol::ids::{Millis, NodeId};

use crate::back_off::BackOff;
use crate::jitter::Jitter;
use crate::limits::{
    BACK_OFF_MS_MIN, CONFIGURED_PAUSE_MS_MAX, LEARNED_MS_MAX, LEARNED_PAUSE_MS_MAX, NETWORK_CHANGED_MS_MAX,
    REMEMBERED_FAILURES_MAX, REMEMBERED_MAX, REMEMBERED_PAUSE_MS_MAX, TARGETS_MAX,
};

#[cfg(test)]
mod tests;

/// All such addresses.
#[derive(Debug)]
pub(crate) struct Targets {
    by_address: BTreeMap<Multiaddr, Target>,
    jitter: Jitter,
}

/// Where an address is from; that decides how long and how often it is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// People gave it: never forgotten.
    Configured,
    /// A peer was met there, in this run or an earlier one: forgotten after many failures.
    Remembered,
    /// Others told it: forgotten at this time.
    Learned { until: Millis },
}

#[derive(Debug)]
struct Target {
    /// Who answers there, as far as known.
    node: Option<NodeId>,
    /// Whether only `node` may answer: it was named with the address.
    pinned: bool,
    origin: Origin,
    back_off: BackOff,
    next: Millis,
    dialling: Option<ConnectionId>,
    /// Failures since it was last reached, while other peers were joined.
    failures_counted: u32,
    error: Option<String>,
}

/// One dial to begin now: the first of the addresses that answers is taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) addresses: Vec<Multiaddr>,
    /// The only node that may answer.
    pub(crate) pinned: Option<NodeId>,
}

/// An address that does not answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unanswered<'a> {
    pub(crate) address: &'a Multiaddr,
    pub(crate) node: Option<NodeId>,
    pub(crate) origin: Origin,
    pub(crate) failures: u32,
    pub(crate) next: Millis,
    pub(crate) error: Option<&'a str>,
}

impl Targets {
    pub(crate) fn new(jitter: Jitter) -> Self {
        Self { by_address: BTreeMap::new(), jitter }
    }

    /// An address given by people. Never forgotten, but for the bound of the table.
    pub(crate) fn keep(&mut self, address: Multiaddr, node: Option<NodeId>, now: Millis) -> bool {
        if let Some(target) = self.by_address.get_mut(&address) {
            (target.origin, target.next) = (Origin::Configured, now);
            (target.pinned, target.node) = (node.is_some(), node.or(target.node));
            return true;
        }
        self.insert(address, Target::new(node, Origin::Configured, now))
    }

    /// An address where a peer was met before.
    pub(crate) fn remember(&mut self, address: Multiaddr, node: Option<NodeId>, now: Millis) -> bool {
        let is_remembered = |target: &Target| target.origin == Origin::Remembered;
        let remembered = self.by_address.values().filter(|target| is_remembered(target)).count();
        match self.by_address.get_mut(&address) {
            Some(target) if target.origin == Origin::Configured || is_remembered(target) => true,
            _ if remembered >= REMEMBERED_MAX => false,
            Some(target) => {
                target.origin = Origin::Remembered;
                true
            }
            None => self.insert(address, Target::new(node, Origin::Remembered, now)),
        }
    }

    /// An address that somebody told. First dialled at `next`.
    pub(crate) fn learn(&mut self, address: Multiaddr, node: NodeId, now: Millis, next: Millis) -> bool {
        let until = now.plus(LEARNED_MS_MAX);
        if let Some(target) = self.by_address.get_mut(&address) {
            if let Origin::Learned { until: ends } = &mut target.origin {
                *ends = until;
                if target.node != Some(node) {
                    (target.node, target.next) = (Some(node), next);
                }
            }
            return true;
        }
        self.insert(address, Target::new(Some(node), Origin::Learned { until }, next))
    }

    /// The node was lost: its addresses are worth trying again soon, and for a while.
    pub(crate) fn lost(&mut self, node: NodeId, now: Millis) {
        for target in self.by_address.values_mut().filter(|target| target.node == Some(node)) {
            target.retry(now.plus(BACK_OFF_MS_MIN));
            if let Origin::Learned { until } = &mut target.origin {
                *until = now.plus(LEARNED_MS_MAX);
            }
        }
    }

    /// The node gave a sign of life: its addresses are dialled now if they had failed.
    pub(crate) fn seen(&mut self, node: NodeId, now: Millis) {
        for target in self.by_address.values_mut().filter(|target| target.node == Some(node)) {
            if target.back_off.failures() > 0 {
                target.retry(target.next.min(now.plus(BACK_OFF_MS_MIN)));
            }
        }
    }

    /// This host has other addresses than before: what failed then may succeed now. All at once would be a storm.
    pub(crate) fn network_changed(&mut self, now: Millis) {
        for target in self.by_address.values_mut().filter(|target| target.back_off.failures() > 0) {
            let next = now.plus(self.jitter.below(NETWORK_CHANGED_MS_MAX));
            target.retry(target.next.min(next));
        }
    }

    /// What to dial now. `unwanted` says of a node that it is connected or refused.
    pub(crate) fn due(&mut self, now: Millis, unwanted: impl Fn(NodeId) -> bool) -> Vec<Due> {
        let wanted = |target: &Target| target.node.is_none_or(|node| !unwanted(node));
        self.by_address.retain(|_, target| !target.is_over(now) || !wanted(target));
        let busy: BTreeSet<NodeId> = self
            .by_address
            .values()
            .filter(|target| target.dialling.is_some())
            .filter_map(|t| t.node)
            .collect();
        let due = self.by_address.iter().filter(|(_, target)| {
            let is_busy = target.node.is_some_and(|node| busy.contains(&node));
            target.dialling.is_none() && !is_busy && target.next <= now && wanted(target)
        });
        let mut dials = Vec::new();
        let mut by_node: BTreeMap<NodeId, Vec<Multiaddr>> = BTreeMap::new();
        for (address, target) in due {
            match target.node.filter(|_| target.pinned) {
                Some(node) => by_node.entry(node).or_default().push(address.clone()),
                None => dials.push(Due { addresses: vec![address.clone()], pinned: None }),
            }
        }
        let pinned = by_node.into_iter().map(|(node, addresses)| Due { addresses, pinned: Some(node) });
        dials.extend(pinned);
        dials
    }

    /// Dialling began.
    pub(crate) fn dialling(&mut self, addresses: &[Multiaddr], connection: ConnectionId) {
        for address in addresses {
            if let Some(target) = self.by_address.get_mut(address) {
                target.dialling = Some(connection);
            }
        }
    }

    /// A dial reached `node`.
    pub(crate) fn reached(&mut self, connection: ConnectionId, node: NodeId, now: Millis) {
        let dialled = self.by_address.values_mut().filter(|target| target.dialling == Some(connection));
        for target in dialled {
            (target.dialling, target.node, target.error) = (None, Some(node), None);
            target.failures_counted = 0;
            // A connection that ends before it was accepted must not be dialled again at once.
            target.next = now.plus(target.back_off.failed(target.origin.pause_ms_max(), &mut self.jitter));
        }
    }

    /// A dial failed; `error` tells of each address why. `is_alone`: no peer is joined, so that it may well be this
    /// node that is cut off. Returns the addresses that are forgotten now, and who was met there.
    pub(crate) fn failed(
        &mut self,
        connection: ConnectionId,
        now: Millis,
        is_alone: bool,
        error: impl Fn(&Multiaddr) -> String,
    ) -> Vec<(Multiaddr, Option<NodeId>)> {
        let mut forgotten = Vec::new();
        for (address, target) in &mut self.by_address {
            if target.dialling != Some(connection) {
                continue;
            }
            target.dialling = None;
            target.error = Some(error(address));
            target.next = now.plus(target.back_off.failed(target.origin.pause_ms_max(), &mut self.jitter));
            target.failures_counted += u32::from(!is_alone);
            if target.origin == Origin::Remembered && target.failures_counted >= REMEMBERED_FAILURES_MAX {
                forgotten.push((address.clone(), target.node));
            }
            if !target.pinned {
                target.node = None;
            }
        }
        for (address, _) in &forgotten {
            self.by_address.remove(address);
        }
        forgotten
    }

    /// Whether there is an address of this node.
    pub(crate) fn is_known(&self, node: NodeId) -> bool {
        self.by_address.values().any(|target| target.node == Some(node))
    }

    /// A dial reached this node itself: never again.
    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        self.by_address.retain(|_, target| target.dialling != Some(connection));
    }

    /// Who is dialled with this connection, if that is known.
    pub(crate) fn dialled_node(&self, connection: ConnectionId) -> Option<NodeId> {
        self.by_address.values().find(|target| target.dialling == Some(connection))?.node
    }

    /// What failed and was not reached since. `is_joined` says of a node that it is connected all the same.
    pub(crate) fn unanswered(
        &self,
        is_joined: impl Fn(NodeId) -> bool,
    ) -> impl Iterator<Item = Unanswered<'_>> {
        let failed = self.by_address.iter().filter(|(_, target)| target.error.is_some());
        let failed = failed.filter(move |(_, target)| !target.node.is_some_and(&is_joined));
        failed.map(|(address, target)| Unanswered {
            address,
            node: target.node,
            origin: target.origin,
            failures: target.back_off.failures(),
            next: target.next,
            error: target.error.as_deref(),
        })
    }

    fn insert(&mut self, address: Multiaddr, target: Target) -> bool {
        if self.by_address.len() >= TARGETS_MAX {
            return false;
        }
        self.by_address.insert(address, target);
        true
    }
}

impl Origin {
    fn pause_ms_max(self) -> u64 {
        match self {
            Self::Configured => CONFIGURED_PAUSE_MS_MAX,
            Self::Remembered => REMEMBERED_PAUSE_MS_MAX,
            Self::Learned { .. } => LEARNED_PAUSE_MS_MAX,
        }
    }
}

impl Target {
    fn new(node: Option<NodeId>, origin: Origin, next: Millis) -> Self {
        Self {
            node,
            pinned: node.is_some(),
            origin,
            back_off: BackOff::default(),
            next,
            dialling: None,
            failures_counted: 0,
            error: None,
        }
    }

    fn is_over(&self, now: Millis) -> bool {
        matches!(self.origin, Origin::Learned { until } if until <= now)
    }

    /// The failures before mean nothing any more.
    fn retry(&mut self, next: Millis) {
        (self.back_off, self.next) = (BackOff::default(), next);
    }
}
