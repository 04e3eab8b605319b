//! Nodes for tests, and waiting for events with deadlines.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use traind_p2p::{DataEvent, Event, Handle, Identity, LossEvidence, Options, start};
use traind_protocol::ids::{Boot, NodeId, SeatId, SwarmId};
use traind_protocol::wire::hello::Hello;

/// No event of these tests takes longer, unless the machine is overloaded.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// The swarm of most tests.
pub(crate) const SWARM: SwarmId = SwarmId([7; 32]);

/// A running node. Dropping it stops its network.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) data: mpsc::Receiver<DataEvent>,
    /// Where it listens, with its id.
    pub(crate) address: String,
}

/// Options of a node whose key lies in `folder`.
pub(crate) fn options(
    folder: &TempDir,
    name: &str,
    boot: u64,
    swarm: Option<SwarmId>,
    peers: &[&str],
) -> Options {
    options_at(folder.path(), name, boot, swarm, peers)
}

/// The same, for a folder that somebody else made.
pub(crate) fn options_at(
    folder: &Path,
    name: &str,
    boot: u64,
    swarm: Option<SwarmId>,
    peers: &[&str],
) -> Options {
    let identity = Identity::load_or_create(&folder.join(name)).unwrap();
    Options {
        seat: SeatId(boot),
        swarm,
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        peers: peers.iter().map(|&peer| peer.to_owned()).collect(),
        mdns: false,
        numeric_class: "test".to_owned(),
        loopback_only: true,
        ..Options::new(identity, Boot(boot))
    }
}

impl Node {
    /// Starts a node and waits until it listens.
    pub(crate) async fn start(options: Options) -> Self {
        let (handle, events, data) = start(options).unwrap();
        let mut node = Self { handle, events, data, address: String::new() };
        node.address = node
            .wait(|event| match event {
                Event::Listening { address } => Some(address),
                _ => None,
            })
            .await;
        node
    }

    pub(crate) fn id(&self) -> NodeId {
        self.handle.node()
    }

    /// The first event that `pick` takes; the others before it are dropped.
    pub(crate) async fn wait<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let picking = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                seen.push(format!("{event:?}"));
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        };
        let picked = timeout(DEADLINE, picking).await;
        picked.unwrap_or_else(|_| panic!("event did not come; seen: {seen:#?}"))
    }

    pub(crate) async fn joined(&mut self) -> (NodeId, Hello) {
        self.wait(|event| match event {
            Event::PeerJoined { node, hello, .. } => Some((node, hello)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn lost(&mut self) -> (NodeId, Boot, LossEvidence) {
        self.wait(|event| match event {
            Event::PeerLost { node, boot, evidence } => Some((node, boot, evidence)),
            _ => None,
        })
        .await
    }

    /// Waits until the listening port of `node` was reached: before, its refusal says nothing.
    pub(crate) async fn reachable(&self, node: NodeId) {
        let waiting = async {
            while !self.handle.peers().iter().any(|peer| peer.node == node && peer.reachable) {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, waiting).await.expect("the peer's port was not reached");
    }

    /// Waits until the path to `to` is open; frames before that are dropped.
    pub(crate) async fn path_opened(&mut self, to: NodeId) {
        self.data(|event| {
            matches!(event, DataEvent::PathOpened { to: opened } if opened == to).then_some(())
        })
        .await;
    }

    /// The first data event that `pick` takes.
    pub(crate) async fn data<T>(&mut self, pick: impl Fn(DataEvent) -> Option<T>) -> T {
        let picking = async {
            loop {
                let event = self.data.recv().await.expect("the network runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        };
        timeout(DEADLINE, picking).await.expect("data event did not come")
    }
}

/// Two joined nodes.
pub(crate) async fn pair(folder: &TempDir) -> (Node, Node) {
    let mut a = Node::start(options(folder, "a", 1, Some(SWARM), &[])).await;
    let mut b = Node::start(options(folder, "b", 2, Some(SWARM), &[&a.address])).await;
    assert_eq!(a.joined().await.0, b.id());
    assert_eq!(b.joined().await.0, a.id());
    (a, b)
}
