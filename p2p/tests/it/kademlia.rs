//! Finding members that nobody told of.

use std::collections::BTreeSet;

use tempfile::{TempDir, tempdir};
use tokio::time::timeout;
use traind_p2p::{Event, Options};
use traind_protocol::ids::{NodeId, SwarmId};

use crate::kit::{DEADLINE, Node, SWARM, options};

/// A node that tells nobody of anybody: what others know they found themselves.
fn silent(folder: &TempDir, index: usize, swarm: Option<SwarmId>, peers: &[&str]) -> Options {
    let options = options(folder, &index.to_string(), index as u64 + 1, swarm, peers);
    Options { peer_exchange: false, ..options }
}

/// Waits until the node has joined all of `expected`.
async fn find_all(node: &mut Node, expected: &BTreeSet<NodeId>) {
    let mut missing = expected.clone();
    missing.remove(&node.id());
    for peer in node.handle.peers() {
        missing.remove(&peer.node);
    }
    while !missing.is_empty() {
        missing.remove(&node.joined().await.0);
    }
}

/// Waits until that many members are in the node's routing table: they come a moment after they joined.
async fn in_table(node: &Node, members: u64) {
    let waiting = async {
        while node.handle.counters().kademlia_peers != members {
            tokio::task::yield_now().await;
        }
    };
    let waited = timeout(DEADLINE, waiting).await;
    waited.unwrap_or_else(|_| panic!("not {members} members: {:?}", node.handle.counters()));
}

#[tokio::test]
async fn five_nodes_in_a_line_find_each_other() {
    let folder = tempdir().unwrap();
    let mut nodes = vec![Node::start(silent(&folder, 0, Some(SWARM), &[])).await];
    for index in 1..5 {
        let before = nodes[index - 1].address.clone();
        // The last one learns its swarm from the others.
        let swarm = (index < 4).then_some(SWARM);
        nodes.push(Node::start(silent(&folder, index, swarm, &[&before])).await);
    }
    let all: BTreeSet<NodeId> = nodes.iter().map(Node::id).collect();
    for node in &mut nodes {
        find_all(node, &all).await;
    }
    let found: u64 = nodes.iter().map(|node| node.handle.counters().peers_found_kademlia).sum();
    // Four links of ten were given; each of the others was found by one side at least.
    assert!(found >= 6, "{found}");
    for node in &nodes {
        in_table(node, 4).await;
        assert_eq!(node.handle.counters().peers_joined, 4, "{:?}", node.handle.counters());
    }
}

#[tokio::test]
async fn a_member_between_two_swarms_brings_nobody_of_the_one_to_the_other() {
    let folder = tempdir().unwrap();
    let other = SwarmId([8; 32]);
    let mut a = Node::start(silent(&folder, 0, Some(SWARM), &[])).await;
    let mut b = Node::start(silent(&folder, 1, Some(SWARM), &[&a.address])).await;
    b.joined().await;
    // Knows both swarms by address and belongs to one of them.
    let mut stranger = Node::start(silent(&folder, 2, Some(other), &[&a.address])).await;
    let mut friend = Node::start(silent(&folder, 3, Some(other), &[&stranger.address])).await;
    friend.joined().await;
    for node in [&mut a, &mut stranger] {
        node.wait(|event| matches!(event, Event::SwarmRefused { .. }).then_some(())).await;
    }
    // A third member comes and is found: searches went on in the first swarm meanwhile.
    let mut c = Node::start(silent(&folder, 4, Some(SWARM), &[&b.address])).await;
    find_all(&mut c, &[a.id(), b.id()].into()).await;
    find_all(&mut a, &[b.id(), c.id()].into()).await;
    for (node, joined) in [(&a, 2), (&b, 2), (&c, 2), (&stranger, 1), (&friend, 1)] {
        in_table(node, joined).await;
        assert_eq!(node.handle.counters().peers_joined, joined, "{:?}", node.handle.counters());
    }
    assert_eq!(friend.handle.counters().hellos_refused_swarm, 0, "nobody told it of the other swarm");
}

#[tokio::test]
async fn a_lost_member_is_not_in_the_table_any_more() {
    let folder = tempdir().unwrap();
    let mut a = Node::start(silent(&folder, 0, Some(SWARM), &[])).await;
    let b = Node::start(silent(&folder, 1, Some(SWARM), &[&a.address])).await;
    a.joined().await;
    in_table(&a, 1).await;
    tokio::task::spawn_blocking(move || b.handle.shutdown()).await.unwrap();
    a.lost().await;
    in_table(&a, 0).await;
}
