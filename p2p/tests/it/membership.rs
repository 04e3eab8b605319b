//! Joining, the full mesh, swarms.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tempfile::tempdir;
use traind_p2p::{Event, SendError};
use traind_protocol::ids::{Boot, CouncilId, NodeId, SeatId, SwarmId};
use traind_protocol::wire::control::{CONTROL_BYTES_MAX, ControlMessage};

use crate::kit::{Node, SWARM, options, pair};

fn raft(number: u64, length: usize) -> ControlMessage {
    ControlMessage::Raft {
        council: CouncilId::default(),
        from: SeatId(number),
        to: SeatId(0),
        bytes: vec![3; length],
    }
}

#[tokio::test]
async fn two_nodes_join_and_control_messages_arrive_in_order() {
    let folder = tempdir().unwrap();
    let mut a = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    let mut b = Node::start(options(&folder, "b", 2, Some(SWARM), &[&a.address])).await;
    let (node, hello) = a.joined().await;
    assert_eq!((node, hello.boot, hello.seat, hello.node), (b.id(), Boot(2), SeatId(2), b.id()));
    assert_eq!(b.joined().await.0, a.id());
    for number in 0..1000 {
        // The queue takes a thousand frames; the odd ones are long.
        b.handle.try_send_control(a.id(), raft(number, if number % 2 == 0 { 1 } else { 20_000 })).unwrap();
    }
    for expected in 0..1000 {
        let seat = a.wait(|event| match event {
            Event::Control { from, message: ControlMessage::Raft { from: seat, .. } } => Some((from, seat)),
            _ => None,
        });
        assert_eq!(seat.await, (b.id(), SeatId(expected)));
    }
    let too_long = b.handle.try_send_control(a.id(), raft(0, CONTROL_BYTES_MAX + 1));
    assert!(matches!(too_long, Err(SendError::TooLong { .. })), "{too_long:?}");
    let nobody = b.handle.try_send_control(NodeId([9; 32]), raft(0, 1));
    assert_eq!(nobody, Err(SendError::NotConnected));
}

#[tokio::test]
async fn heartbeats_measure_the_round_trip() {
    let folder = tempdir().unwrap();
    let (a, b) = pair(&folder).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let peer = loop {
        let peers = a.handle.peers();
        assert!(Instant::now() < deadline, "{peers:?}");
        match peers.first() {
            Some(peer) if peer.rtt_us.is_some() => break peer.clone(),
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!((peer.node, peer.boot, &peer.address), (b.id(), Boot(2), &b.address));
    assert!(peer.heartbeat_age_ms < 3_000, "{peer:?}");
}

#[tokio::test]
async fn nodes_that_know_one_peer_each_become_a_full_mesh() {
    let folder = tempdir().unwrap();
    let mut nodes = vec![Node::start(options(&folder, "0", 1, Some(SWARM), &[])).await];
    for index in 1..5 {
        let before = nodes[index - 1].address.clone();
        let options = options(&folder, &index.to_string(), index as u64 + 1, Some(SWARM), &[&before]);
        nodes.push(Node::start(options).await);
    }
    let all: BTreeSet<NodeId> = nodes.iter().map(Node::id).collect();
    for node in &mut nodes {
        let mut missing = all.clone();
        missing.remove(&node.id());
        while !missing.is_empty() {
            let (joined, _) = node.joined().await;
            assert!(missing.remove(&joined), "{joined:?} joined twice");
        }
    }
    for node in &nodes {
        assert_eq!(node.handle.broadcast_control(raft(1, 1)), Ok(4));
        assert_eq!(node.handle.counters().peers_lost, 0);
    }
}

#[tokio::test]
async fn both_sides_dialling_at_once_is_one_join() {
    let folder = tempdir().unwrap();
    let mut a = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    let mut b = Node::start(options(&folder, "b", 2, Some(SWARM), &[])).await;
    a.handle.dial(b.address.clone());
    b.handle.dial(a.address.clone());
    assert_eq!(a.joined().await.0, b.id());
    assert_eq!(b.joined().await.0, a.id());
    for number in 0..300 {
        b.handle.try_send_control(a.id(), raft(number, 1)).unwrap();
        let seat = a.wait(|event| match event {
            Event::Control { message: ControlMessage::Raft { from, .. }, .. } => Some(from),
            other => panic!("{other:?}"),
        });
        assert_eq!(seat.await, SeatId(number));
    }
    assert_eq!((a.handle.counters().peers_joined, b.handle.counters().peers_joined), (1, 1));
}

#[tokio::test]
async fn a_peer_of_another_swarm_is_refused_and_both_ids_are_told() {
    let folder = tempdir().unwrap();
    let other = SwarmId([8; 32]);
    let (mut a, mut c) = pair(&folder).await;
    let mut b = Node::start(options(&folder, "x", 3, Some(other), &[&a.address])).await;
    let refused = |event| match event {
        Event::SwarmRefused { ours, theirs, node } => Some((ours, theirs, node)),
        Event::PeerJoined { .. } | Event::PeerLost { .. } => panic!("{event:?}"),
        _ => None,
    };
    assert_eq!(a.wait(refused).await, (SWARM, other, b.id()));
    assert_eq!(b.wait(refused).await, (other, SWARM, a.id()));
    assert_eq!(a.handle.counters().hellos_refused_swarm, 1);
    assert!(b.handle.peers().is_empty());
    assert_eq!(b.handle.try_send_control(a.id(), raft(0, 1)), Err(SendError::NotConnected));
    c.handle.try_send_control(a.id(), raft(5, 1)).unwrap();
    a.wait(|event| matches!(event, Event::Control { .. }).then_some(())).await;
    a.handle.try_send_control(c.id(), raft(5, 1)).unwrap();
    c.wait(|event| matches!(event, Event::Control { .. }).then_some(())).await;
}

#[tokio::test]
async fn nodes_without_a_swarm_adopt_the_one_that_is_founded() {
    let folder = tempdir().unwrap();
    let mut a = Node::start(options(&folder, "a", 1, None, &[])).await;
    let mut b = Node::start(options(&folder, "b", 2, None, &[&a.address])).await;
    let mut c = Node::start(options(&folder, "c", 3, None, &[&b.address])).await;
    a.handle.found_swarm(SWARM);
    for node in [&mut b, &mut c] {
        let adopted = node.wait(|event| match event {
            Event::SwarmAdopted { swarm } => Some(swarm),
            Event::PeerJoined { .. } => panic!("joined before it had a swarm"),
            _ => None,
        });
        assert_eq!(adopted.await, SWARM);
    }
    for node in [&mut a, &mut b, &mut c] {
        node.joined().await;
        let (_, hello) = node.joined().await;
        assert_eq!(hello.swarm, Some(SWARM));
    }
}
