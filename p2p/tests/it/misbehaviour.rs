//! Bytes of strangers and of members that misbehave cost them their connection and nobody else anything.

use std::time::Duration;

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use tempfile::tempdir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use traind_p2p::Event;
use traind_protocol::ids::{CouncilId, SeatId};
use traind_protocol::wire::control::ControlMessage;

use crate::kit::{DEADLINE, Node, pair};

/// The TCP port in a multiaddr.
pub(crate) fn port(address: &str) -> u16 {
    address.split('/').nth(4).unwrap().parse().unwrap()
}

/// Bytes that look like nothing; the same each time.
fn garbage(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Sends bytes and waits until the other side closes.
async fn poke(port: u16, bytes: &[u8]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // It may be closed before all is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("garbage was not refused");
}

async fn still_talking(from: &Node, to: &mut Node, number: u64) {
    let message = ControlMessage::Raft {
        council: CouncilId::default(),
        from: SeatId(number),
        to: SeatId(0),
        bytes: vec![1],
    };
    from.handle.try_send_control(to.id(), message.clone()).unwrap();
    let got = to.wait(|event| match event {
        Event::Control { message, .. } => Some(message),
        other => panic!("{other:?}"),
    });
    assert_eq!(got.await, message);
}

#[tokio::test]
async fn garbage_on_either_port_disturbs_nobody() {
    let folder = tempdir().unwrap();
    let (mut a, mut b) = pair(&folder).await;
    a.path_opened(b.id()).await;
    b.path_opened(a.id()).await;
    let control = port(&a.address);
    let bulk = a.handle.bulk_port();
    for seed in 0..20 {
        poke(control, &garbage(seed, 5000)).await;
        poke(bulk, &garbage(seed, 5000)).await;
    }
    poke(control, &[0xff; 70_000]).await;
    poke(bulk, &[0x16; 70_000]).await;
    // A stranger that connects and says nothing keeps nobody waiting.
    let silent = TcpStream::connect(("127.0.0.1", control)).await.unwrap();
    still_talking(&a, &mut b, 1).await;
    still_talking(&b, &mut a, 2).await;
    drop(silent);
    let counters = a.handle.counters();
    assert!(counters.connections_failed_inbound >= 20, "{counters:?}");
    assert!(counters.data_handshakes_refused >= 20, "{counters:?}");
    assert_eq!(counters.peers_lost, 0);
}

/// A libp2p node that is no daemon: it authenticates, opens a control stream and writes `bytes`, then reads to the end.
async fn intrude(address: &str, bytes: &[u8]) -> usize {
    let address: Multiaddr = address.parse().unwrap();
    let Some(Protocol::P2p(peer)) = address.iter().last() else { panic!("{address}") };
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .build();
    swarm.dial(address).unwrap();
    let mut control = swarm.behaviour().new_control();
    // Else the daemon's own stream fails first. What the daemon says there is not read.
    let _incoming = control.accept(StreamProtocol::new("/traind/control/1")).unwrap();
    let talking = async {
        use futures::{AsyncReadExt, AsyncWriteExt};
        let mut stream = control.open_stream(peer, StreamProtocol::new("/traind/control/1")).await.unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer.len()
    };
    let answered = async {
        tokio::select! {
            answered = talking => answered,
            () = async { loop { swarm.select_next_some().await; } } => 0,
        }
    };
    timeout(DEADLINE, answered).await.expect("the intruder was not cut off")
}

#[tokio::test]
async fn authenticated_nodes_that_do_not_greet_are_cut_off() {
    let folder = tempdir().unwrap();
    let (mut a, mut b) = pair(&folder).await;
    let oversize = [&u32::MAX.to_le_bytes()[..], &[0; 64]].concat();
    let malformed = [&8u32.to_le_bytes()[..], &[0xff; 8]].concat();
    // A heartbeat where a greeting belongs.
    let out_of_turn = [&4u32.to_le_bytes()[..], &[1, 0, 0, 0]].concat();
    for (count, bytes) in [oversize, malformed, out_of_turn, garbage(9, 4000)].iter().enumerate() {
        assert_eq!(intrude(&a.address, bytes).await, 0, "A1: nothing goes back on that stream");
        let counters = a.handle.counters();
        assert_eq!(counters.control_violations, count as u64 + 1, "{counters:?}");
        still_talking(&a, &mut b, count as u64).await;
        still_talking(&b, &mut a, count as u64).await;
    }
    assert_eq!((a.handle.counters().peers_joined, a.handle.counters().peers_lost), (1, 0));
}

#[tokio::test]
async fn shutdown_ends_within_a_second() {
    let folder = tempdir().unwrap();
    let (a, mut b) = pair(&folder).await;
    let begun = std::time::Instant::now();
    let (handle, id) = (a.handle.clone(), a.id());
    tokio::task::spawn_blocking(move || handle.shutdown()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(b.lost().await.0, id);
}
