//! Joined peers, as handles and the bulk listener see them. The driver alone writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use traind_protocol::ids::{Boot, NodeId};

use crate::bulk::{Caps, Path};
use crate::clock::Clock;
use crate::control::ControlSender;
use crate::counters::Meters;
use crate::peer_meters::{PeerMeters, PeerTable};
use crate::pulse::Pulse;
use crate::unreached::UnreachedPeer;

/// What the threads of the network share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) meters: Meters,
    /// The caps on what all bulk connections send.
    pub(crate) caps: Caps,
    peer_meters: Mutex<PeerTable>,
    /// As the driver saw it last.
    unreached: Mutex<Vec<UnreachedPeer>>,
    peers: RwLock<BTreeMap<NodeId, Entry>>,
}

/// One joined peer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) boot: Boot,
    pub(crate) address: String,
    /// Whether its listening port was reached from here.
    pub(crate) reachable: bool,
    /// The queue of its control stream; `None` while it is being redialled.
    pub(crate) control: Option<ControlSender>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) path: Arc<dyn Path>,
}

impl Shared {
    pub(crate) fn new(
        upload_bytes_per_second_max: Option<u64>,
        chunk_bytes_per_second_max: Option<u64>,
    ) -> Self {
        Self {
            clock: Clock::start(),
            meters: Meters::default(),
            caps: Caps::new(upload_bytes_per_second_max, chunk_bytes_per_second_max),
            peer_meters: Mutex::default(),
            unreached: Mutex::default(),
            peers: RwLock::default(),
        }
    }

    /// The meters of a peer that was joined once.
    pub(crate) fn peer_meters(&self, node: NodeId) -> Option<Arc<PeerMeters>> {
        self.peer_meters.lock().unwrap_or_else(PoisonError::into_inner).get(node)
    }

    /// The meters of all such peers.
    pub(crate) fn all_peer_meters(&self) -> Vec<(NodeId, Arc<PeerMeters>)> {
        let table = self.peer_meters.lock().unwrap_or_else(PoisonError::into_inner);
        table.all().map(|(node, meters)| (node, Arc::clone(meters))).collect()
    }

    /// The peer joins: its meters are kept from now on.
    pub(crate) fn keep_peer_meters(&self, node: NodeId, meters: &Arc<PeerMeters>) {
        let joined: BTreeSet<NodeId> = self.read(|peers| peers.keys().copied().collect());
        let mut table = self.peer_meters.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(node, Arc::clone(meters), &joined);
    }

    pub(crate) fn unreached(&self) -> Vec<UnreachedPeer> {
        self.unreached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_unreached(&self, unreached: Vec<UnreachedPeer>) {
        *self.unreached.lock().unwrap_or_else(PoisonError::into_inner) = unreached;
    }

    pub(crate) fn is_joined(&self, node: NodeId) -> bool {
        self.read(|peers| peers.contains_key(&node))
    }

    pub(crate) fn control(&self, node: NodeId) -> Option<ControlSender> {
        self.read(|peers| peers.get(&node)?.control.clone())
    }

    pub(crate) fn path(&self, node: NodeId) -> Option<Arc<dyn Path>> {
        self.read(|peers| peers.get(&node).map(|entry| Arc::clone(&entry.path)))
    }

    pub(crate) fn entries(&self) -> Vec<(NodeId, Entry)> {
        self.read(|peers| peers.iter().map(|(&node, entry)| (node, entry.clone())).collect())
    }

    pub(crate) fn insert(&self, node: NodeId, entry: Entry) {
        self.write(|peers| peers.insert(node, entry));
    }

    pub(crate) fn remove(&self, node: NodeId) {
        self.write(|peers| peers.remove(&node));
    }

    /// Changes where control messages to `node` go.
    pub(crate) fn set_control(&self, node: NodeId, link: Option<(ControlSender, Arc<Pulse>)>) {
        self.write(|peers| {
            let Some(entry) = peers.get_mut(&node) else { return };
            match link {
                Some((control, pulse)) => (entry.control, entry.pulse) = (Some(control), pulse),
                None => entry.control = None,
            }
        });
    }

    /// The peer's listening port was reached.
    pub(crate) fn set_reachable(&self, node: NodeId) {
        self.write(|peers| {
            if let Some(entry) = peers.get_mut(&node) {
                entry.reachable = true;
            }
        });
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<NodeId, Entry>) -> T) -> T {
        look(&self.peers.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut BTreeMap<NodeId, Entry>) -> T) -> T {
        change(&mut self.peers.write().unwrap_or_else(PoisonError::into_inner))
    }
}
