//! Nodes for tests, and waiting for events with deadlines.

use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use traind_p2p::{DataEvent, Event, Handle, Identity, LossEvidence, Options, start};
use traind_protocol::ids::{Boot, NodeId, SeatId, SwarmId};
use traind_protocol::wire::hello::Hello;

/// No event of these tests takes longer, unless the machine is overloaded.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// The swarm of most tests.
pub const SWARM: SwarmId = SwarmId([7; 32]);

/// A running node. Dropping it stops its network.
pub struct Node {
    pub handle: Handle,
    pub events: mpsc::Receiver<Event>,
    pub data: mpsc::Receiver<DataEvent>,
    /// Where it listens, with its id.
    pub address: String,
}

/// Options of a node whose key lies in `folder`.
pub fn options(folder: &TempDir, name: &str, boot: u64, swarm: Option<SwarmId>, peers: &[&str]) -> Options {
    let identity = Identity::load_or_create(&folder.path().join(name)).unwrap();
    Options {
        identity,
        boot: Boot(boot),
        seat: SeatId(boot),
        swarm,
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        peers: peers.iter().map(|&peer| peer.to_owned()).collect(),
        remembered: Vec::new(),
        mdns: false,
        numeric_class: "test".to_owned(),
        loopback_only: true,
    }
}

impl Node {
    /// Starts a node and waits until it listens.
    pub async fn start(options: Options) -> Self {
        let (handle, events, data) = start(options).unwrap();
        let mut node = Self { handle, events, data, address: String::new() };
        node.address = node.wait(|event| match event {
            Event::Listening { address } => Some(address),
            _ => None,
        })
        .await;
        node
    }

    pub fn id(&self) -> NodeId {
        self.handle.node()
    }

    /// The first event that `pick` takes; the others before it are dropped.
    pub async fn wait<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
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

    pub async fn joined(&mut self) -> (NodeId, Hello) {
        self.wait(|event| match event {
            Event::PeerJoined { node, hello, .. } => Some((node, hello)),
            _ => None,
        })
        .await
    }

    pub async fn lost(&mut self) -> (NodeId, Boot, LossEvidence) {
        self.wait(|event| match event {
            Event::PeerLost { node, boot, evidence } => Some((node, boot, evidence)),
            _ => None,
        })
        .await
    }

    /// Waits until the path to `to` is open; frames before that are dropped.
    pub async fn path_opened(&mut self, to: NodeId) {
        self.data(|event| matches!(event, DataEvent::PathOpened { to: opened } if opened == to).then_some(())).await;
    }

    /// The first data event that `pick` takes.
    pub async fn data<T>(&mut self, pick: impl Fn(DataEvent) -> Option<T>) -> T {
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
pub async fn pair(folder: &TempDir) -> (Node, Node) {
    let mut a = Node::start(options(folder, "a", 1, Some(SWARM), &[])).await;
    let mut b = Node::start(options(folder, "b", 2, Some(SWARM), &[&a.address])).await;
    assert_eq!(a.joined().await.0, b.id());
    assert_eq!(b.joined().await.0, a.id());
    (a, b)
}
