//! The upload cap, and counters by peer.

use bytes::Bytes;
use tempfile::tempdir;
use tokio::time::timeout;
use traind_p2p::{DataEvent, Event, Options};
use traind_protocol::ids::{CouncilId, SeatId};
use traind_protocol::wire::control::ControlMessage;
use traind_protocol::wire::data::{DataFrame, FrameKind};

use crate::kit::{DEADLINE, Node, SWARM, options, pair};

fn frame(payload_bytes: usize) -> DataFrame {
    let payload = vec![Bytes::from(vec![7; payload_bytes])];
    DataFrame { kind: FrameKind::Sync, header: Bytes::from_static(b"header"), payload }
}

#[tokio::test]
async fn a_cap_holds_bulk_bytes_back_and_nothing_else() {
    let folder = tempdir().unwrap();
    let capped = options(&folder, "a", 1, Some(SWARM), &[]);
    // At this rate a megabyte takes twelve days.
    let mut a = Node::start(Options { upload_bytes_per_second_max: Some(1), ..capped }).await;
    let mut b = Node::start(options(&folder, "b", 2, Some(SWARM), &[&a.address])).await;
    a.joined().await;
    b.joined().await;
    a.path_opened(b.id()).await;
    assert_eq!(a.handle.counters().upload_bytes_per_second_max, 1);
    a.handle.try_send_data(b.id(), frame(1 << 20)).unwrap();
    for number in 0..10 {
        let message = ControlMessage::Raft {
            council: CouncilId::default(),
            from: SeatId(number),
            to: SeatId(0),
            bytes: vec![1; 50_000],
        };
        a.handle.try_send_control(b.id(), message).unwrap();
    }
    for number in 0..10 {
        let seat = b.wait(|event| match event {
            Event::Control { message: ControlMessage::Raft { from, .. }, .. } => Some(from),
            other => panic!("{other:?}"),
        });
        assert_eq!(seat.await, SeatId(number));
    }
    // Heartbeats too: the silence is that of a living peer although bulk bytes have waited all the while.
    let beating = async {
        let beat = |node: &Node| node.handle.peers().first().and_then(|peer| peer.rtt_us);
        while beat(&a).is_none() || beat(&b).is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, beating).await.expect("heartbeats were held back");
    assert_eq!(a.handle.counters().data_frames_sent, 0, "the frame waits");
    a.handle.set_upload_bytes_per_second_max(None);
    let bytes = b.data(|event| match event {
        DataEvent::Frame { payload, .. } => Some(payload.len()),
        DataEvent::PathOpened { .. } | DataEvent::Violated { .. } => None,
    });
    assert_eq!(bytes.await, 1 << 20);
    assert_eq!(a.handle.counters().upload_bytes_per_second_max, 0);
}

#[tokio::test]
async fn traffic_is_counted_by_peer() {
    let folder = tempdir().unwrap();
    let (mut a, mut b) = pair(&folder).await;
    a.path_opened(b.id()).await;
    a.handle.try_send_data(b.id(), frame(12_345)).unwrap();
    b.data(|event| matches!(event, DataEvent::Frame { .. }).then_some(())).await;
    let beating = async {
        while a.handle.peers().first().and_then(|peer| peer.rtt_us).is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, beating).await.expect("no heartbeat was echoed");
    let (near, far) = (a.handle.peer_counters(), b.handle.peer_counters());
    let ([near], [far]) = (&near[..], &far[..]) else { panic!("{near:?} {far:?}") };
    assert_eq!((near.node, far.node), (b.id(), a.id()));
    assert_eq!((near.data_bytes_sent, near.data_bytes_received), (12_345, 0), "{near:?}");
    assert_eq!((far.data_bytes_sent, far.data_bytes_received), (0, 12_345), "{far:?}");
    for counters in [near, far] {
        assert!(counters.control_bytes_sent > 100 && counters.control_bytes_received > 100, "{counters:?}");
        assert!(counters.is_joined && counters.phi.is_some_and(|phi| phi >= 0.0), "{counters:?}");
        assert_eq!(counters.reconnects, 0);
    }
    assert!(near.rtt_us.is_some());
    // Another life of the same peer goes on with its counters.
    let id = b.id();
    tokio::task::spawn_blocking(move || b.handle.shutdown()).await.unwrap();
    a.lost().await;
    let gone = &a.handle.peer_counters()[0];
    assert_eq!((gone.is_joined, gone.rtt_us, gone.phi), (false, None, None));
    let _again = Node::start(options(&folder, "b", 3, Some(SWARM), &[&a.address])).await;
    assert_eq!(a.joined().await.0, id);
    let again = &a.handle.peer_counters()[0];
    assert_eq!((again.reconnects, again.data_bytes_sent), (1, 12_345), "{again:?}");
}
