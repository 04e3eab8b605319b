//! The same node coming back, and killed processes.

use std::time::{Duration, Instant};

use tempfile::tempdir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use traind_p2p::{Event, LossEvidence};
use traind_protocol::ids::Boot;
use traind_protocol::wire::control::ControlMessage;

use crate::child::Child;
use crate::kit::{Node, SWARM, options};
use crate::misbehaviour::port;

#[tokio::test]
async fn a_killed_process_is_known_to_be_dead_at_once() {
    let folder = tempdir().unwrap();
    let mut latencies_ms = Vec::new();
    let mut a = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    for boot in 10..15 {
        let child = Child::start(&folder, "child", boot, &a.address);
        let (node, hello) = a.joined().await;
        assert_eq!(hello.boot, Boot(boot));
        a.reachable(node).await;
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
async fn a_frozen_process_is_silent_and_joins_again_when_it_thaws() {
    let folder = tempdir().unwrap();
    let mut a = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    let child = Child::start(&folder, "child", 5, &a.address);
    let (node, _) = a.joined().await;
    child.freeze();
    let frozen = Instant::now();
    assert_eq!(a.lost().await, (node, Boot(5), LossEvidence::Silent));
    assert!(frozen.elapsed() >= Duration::from_millis(2_900), "{:?}", frozen.elapsed());
    child.thaw();
    let (again, hello) = a.joined().await;
    assert_eq!((again, hello.boot), (node, Boot(5)));
}

#[tokio::test]
async fn a_connection_that_breaks_and_comes_back_is_no_loss() {
    let folder = tempdir().unwrap();
    let mut a = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    let relay = Relay::start(port(&a.address)).await;
    let through = format!("/ip4/127.0.0.1/tcp/{}", relay.port);
    let mut b = Node::start(options(&folder, "b", 2, Some(SWARM), &[&through])).await;
    a.joined().await;
    b.joined().await;
    a.path_opened(b.id()).await;
    b.path_opened(a.id()).await;
    relay.cut();
    // What was sent before may be lost, so both hear of a new path; neither hears of a loss.
    a.path_opened(b.id()).await;
    b.path_opened(a.id()).await;
    let message = ControlMessage::NotCoordinator { coordinator: None };
    for (from, to) in [(&a, b.id()), (&b, a.id())] {
        from.handle.try_send_control(to, message.clone()).unwrap();
        assert_eq!(from.handle.counters().peers_lost, 0);
    }
    for node in [&mut a, &mut b] {
        let got = node.wait(|event| match event {
            Event::Control { message, .. } => Some(message),
            other => panic!("{other:?}"),
        });
        assert_eq!(got.await, message);
    }
}

/// Forwards TCP connections to a port of this host until they are cut.
struct Relay {
    port: u16,
    cut: watch::Sender<()>,
}

impl Relay {
    async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, watching) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut watching = watching.clone();
                watching.mark_unchanged();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    tokio::select! {
                        _ = watching.changed() => {}
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { port, cut }
    }

    /// Closes all connections; new ones are forwarded again.
    fn cut(&self) {
        self.cut.send_replace(());
    }
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
