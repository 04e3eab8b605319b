//! Addresses to dial when nobody is connected there: given by people forever, told by others for a while.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use traind_protocol::ids::{Millis, NodeId};

use crate::back_off::BackOff;
use crate::limits::{BACK_OFF_MS_MIN, LEARNED_MS_MAX, TARGETS_MAX};

/// All such addresses.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    by_address: BTreeMap<Multiaddr, Target>,
}

#[derive(Debug)]
struct Target {
    /// Who answers there, as far as known.
    node: Option<NodeId>,
    /// Whether only `node` may answer: it was named with the address.
    pinned: bool,
    /// When to forget it; `None`: never.
    until: Option<Millis>,
    back_off: BackOff,
    next: Millis,
    dialling: Option<ConnectionId>,
}

/// One dial to begin now: the first of the addresses that answers is taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) addresses: Vec<Multiaddr>,
    /// The only node that may answer.
    pub(crate) pinned: Option<NodeId>,
}

impl Targets {
    /// An address given by people. Never forgotten, but for the bound of the table.
    pub(crate) fn keep(&mut self, address: Multiaddr, node: Option<NodeId>, now: Millis) -> bool {
        if let Some(target) = self.by_address.get_mut(&address) {
            (target.until, target.next) = (None, now);
            (target.pinned, target.node) = (node.is_some(), node.or(target.node));
            return true;
        }
        self.insert(address, Target::new(node, node.is_some(), None, now))
    }

    /// An address that somebody told. First dialled at `next`.
    pub(crate) fn learn(&mut self, address: Multiaddr, node: NodeId, now: Millis, next: Millis) -> bool {
        let until = now.plus(LEARNED_MS_MAX);
        if let Some(target) = self.by_address.get_mut(&address) {
            target.until = target.until.map(|_| until);
            if target.node != Some(node) && target.until.is_some() {
                (target.node, target.next) = (Some(node), next);
            }
            return true;
        }
        self.insert(address, Target::new(Some(node), true, Some(until), next))
    }

    /// The node was lost: its addresses are worth trying again soon, and for a while.
    pub(crate) fn lost(&mut self, node: NodeId, now: Millis) {
        for target in self.by_address.values_mut().filter(|target| target.node == Some(node)) {
            target.back_off = BackOff::default();
            target.next = now.plus(BACK_OFF_MS_MIN);
            target.until = target.until.map(|_| now.plus(LEARNED_MS_MAX));
        }
    }

    /// What to dial now. `unwanted` says of a node that it is connected or refused.
    pub(crate) fn due(&mut self, now: Millis, unwanted: impl Fn(NodeId) -> bool) -> Vec<Due> {
        let wanted = |target: &Target| target.node.is_none_or(|node| !unwanted(node));
        self.by_address.retain(|_, target| target.until.is_none_or(|until| now < until || !wanted(target)));
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
        for target in self.dialled(connection) {
            (target.dialling, target.node) = (None, Some(node));
            // A connection that ends before it was accepted must not be dialled again at once.
            target.next = now.plus(target.back_off.failed());
        }
    }

    /// A dial failed.
    pub(crate) fn failed(&mut self, connection: ConnectionId, now: Millis) {
        for target in self.dialled(connection) {
            target.dialling = None;
            target.next = now.plus(target.back_off.failed());
            if !target.pinned {
                target.node = None;
            }
        }
    }

    /// A dial reached this node itself: never again.
    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        self.by_address.retain(|_, target| target.dialling != Some(connection));
    }

    /// The addresses of a dial that ended.
    fn dialled(&mut self, connection: ConnectionId) -> impl Iterator<Item = &mut Target> {
        self.by_address.values_mut().filter(move |target| target.dialling == Some(connection))
    }

    fn insert(&mut self, address: Multiaddr, target: Target) -> bool {
        if self.by_address.len() >= TARGETS_MAX {
            return false;
        }
        self.by_address.insert(address, target);
        true
    }
}

impl Target {
    fn new(node: Option<NodeId>, pinned: bool, until: Option<Millis>, next: Millis) -> Self {
        Self { node, pinned, until, back_off: BackOff::default(), next, dialling: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn due(targets: &mut Targets, now: u64, connected: bool) -> usize {
        targets.due(Millis(now), |_| connected).len()
    }

    #[test]
    fn failures_make_the_pause_grow_and_never_end_a_kept_address() {
        let mut targets = Targets::default();
        assert!(targets.keep(address(1), None, Millis(0)));
        let mut now = 0;
        for pause in [200, 400, 800] {
            assert_eq!(due(&mut targets, now, false), 1);
            let connection = ConnectionId::new_unchecked(now as usize);
            targets.dialling(&[address(1)], connection);
            assert_eq!(due(&mut targets, now, false), 0, "one dial at a time");
            targets.failed(connection, Millis(now));
            assert_eq!(due(&mut targets, now + pause - 1, false), 0);
            now += pause;
        }
        assert_eq!(due(&mut targets, now + 100 * LEARNED_MS_MAX, false), 1);
    }

    #[test]
    fn learned_addresses_end_unless_their_node_is_connected() {
        let mut targets = Targets::default();
        assert!(targets.learn(address(1), NODE, Millis(0), Millis(300)));
        assert_eq!(due(&mut targets, 299, false), 0);
        assert_eq!(due(&mut targets, 300, true), 0);
        assert_eq!(targets.due(Millis(300), |_| false)[0].pinned, Some(NODE));
        assert_eq!(due(&mut targets, LEARNED_MS_MAX, true), 0);
        targets.lost(NODE, Millis(LEARNED_MS_MAX));
        assert_eq!(due(&mut targets, LEARNED_MS_MAX + BACK_OFF_MS_MIN, false), 1);
        assert_eq!(due(&mut targets, 2 * LEARNED_MS_MAX, false), 0);
        assert!(targets.by_address.is_empty());
    }

    #[test]
    fn all_addresses_of_a_node_are_one_dial() {
        let mut targets = Targets::default();
        for port in [1, 2] {
            targets.learn(address(port), NODE, Millis(0), Millis(0));
        }
        let dials = targets.due(Millis(0), |_| false);
        assert_eq!(dials, [Due { addresses: vec![address(1), address(2)], pinned: Some(NODE) }]);
        targets.dialling(&dials[0].addresses[..1], ConnectionId::new_unchecked(1));
        assert_eq!(due(&mut targets, 0, false), 0, "the node is being dialled");
        targets.remove(ConnectionId::new_unchecked(1));
        assert_eq!(due(&mut targets, 0, false), 1);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut targets = Targets::default();
        for port in 1..=TARGETS_MAX as u16 {
            assert!(targets.learn(address(port), NODE, Millis(0), Millis(0)));
        }
        assert!(!targets.learn(address(60_000), NODE, Millis(0), Millis(0)));
        assert!(targets.learn(address(1), NODE, Millis(0), Millis(0)));
        assert_eq!(targets.by_address.len(), TARGETS_MAX);
    }
}
