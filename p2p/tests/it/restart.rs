//! The same node coming back, and killed processes.

use std::time::Instant;

use tempfile::tempdir;
use traind_p2p::{Event, LossEvidence};
use traind_protocol::ids::Boot;

use crate::child::Child;
use crate::kit::{Node, SWARM, options};

#[tokio::test]
async fn a_killed_process_is_known_to_be_dead_at_once() {
    let folder = tempdir().unwrap();
    let mut latencies_ms = Vec::new();
    let mut a = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    for boot in 10..15 {
        let child = Child::start(&folder, "child", boot, &a.address);
        let (node, hello) = a.joined().await;
        assert_eq!(hello.boot, Boot(boot));
        // The refusal means something only after the child's port was reached from here.
        a.path_opened(node).await;
        a.wait_proven(node).await;
        let killed = Instant::now();
        child.kill();
        assert_eq!(a.lost().await, (node, Boot(boot), LossEvidence::Refused));
        latencies_ms.push(killed.elapsed().as_secs_f64() * 1e3);
    }
    println!("kill to PeerLost, ms: {latencies_ms:.1?}");
    latencies_ms.sort_by(f64::total_cmp);
    assert!(latencies_ms[2] < 200.0, "{latencies_ms:?}");
}

#[tokio::test]
async fn another_process_of_the_same_node_replaces_the_first() {
    let folder = tempdir().unwrap();
    let mut a = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    let first = Node::start(options(&folder, "b", 2, Some(SWARM), &[&a.address])).await;
    assert_eq!(a.joined().await.1.boot, Boot(2));
    let second = Node::start(options(&folder, "b", 3, Some(SWARM), &[&a.address])).await;
    assert_eq!(a.lost().await, (first.id(), Boot(2), LossEvidence::Replaced));
    let next = a.wait(|event| match event {
        Event::PeerJoined { node, hello, .. } => Some((node, hello.boot)),
        _ => None,
    });
    assert_eq!(next.await, (second.id(), Boot(3)));
}
