use std::sync::Arc;

use bytes::Bytes;
use futures::AsyncWriteExt;
use futures::io::Cursor;
use libp2p::swarm::ConnectionId;
use tokio::sync::mpsc;
use traind_protocol::ids::{Boot, NodeId, SeatId};
use traind_protocol::wire::control::ControlMessage;
use traind_protocol::wire::encode;
use traind_protocol::wire::hello::{HELLO_BYTES_MAX, Hello, PROTOCOL_VERSION};

use super::frame::{FrameError, read_frame};
use super::*;
use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER_MAX, CONTROL_QUEUE_BYTES_MAX, NUMERIC_CLASS_BYTES_MAX,
};
use crate::pulse::Pulse;
use crate::registry::Shared;

fn greeting() -> Greeting {
    let hello = Hello {
        version: PROTOCOL_VERSION,
        swarm: None,
        node: NodeId([1; 32]),
        boot: Boot(u64::MAX),
        seat: SeatId(u64::MAX),
        bulk_port: u16::MAX,
        numeric_class: "x".repeat(NUMERIC_CLASS_BYTES_MAX),
    };
    let addresses = vec!["a".repeat(ADDRESS_BYTES_MAX); ADDRESSES_PER_PEER_MAX];
    Greeting { hello, port: u16::MAX, addresses }
}

fn framed(frame: &Frame) -> Vec<u8> {
    let bytes = encode(frame);
    let mut whole = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
    whole.extend(bytes);
    whole
}

/// What a reader tells the driver about a stream of these bytes, when the first greeting is accepted.
async fn read(bytes: Vec<u8>) -> Vec<LinkEvent> {
    let shared = Arc::new(Shared::new(None, None));
    let (events, mut received) = mpsc::channel(16);
    let pulse = Arc::new(Pulse::new(shared.clock.now()));
    let connection = ConnectionId::new_unchecked(1);
    let reader =
        Reader { stream: Cursor::new(bytes), connection, pulse, meters: Arc::default(), shared, events };
    let reading = tokio::spawn(reader.run());
    let mut seen = Vec::new();
    while let Some(event) = received.recv().await {
        match event {
            LinkEvent::Greeted { answer, .. } => answer.send(true).unwrap(),
            event => seen.push(event),
        }
    }
    reading.await.unwrap();
    seen
}

#[test]
fn the_longest_greeting_fits_its_limit() {
    let mut greeting = greeting();
    greeting.hello.swarm = Some(traind_protocol::ids::SwarmId([2; 32]));
    assert!(encode(&Frame::Greeting(greeting)).len() <= HELLO_BYTES_MAX);
}

#[tokio::test]
async fn a_length_above_the_limit_is_refused_before_anything_is_read() {
    let mut stream = Cursor::new(u32::MAX.to_le_bytes().to_vec());
    let error = read_frame(&mut stream, 100, || ()).await.unwrap_err();
    assert!(matches!(error, FrameError::TooLong { bytes_max: 100, .. }), "{error}");
}

#[tokio::test]
async fn before_the_handshake_the_limit_is_that_of_a_hello() {
    let mut long = greeting();
    long.addresses.push("a".repeat(HELLO_BYTES_MAX));
    let seen = read(framed(&Frame::Greeting(long))).await;
    assert!(matches!(&seen[..], [LinkEvent::Ended { end: LinkEnd::Violation(_), .. }]), "{seen:?}");
}

#[tokio::test]
async fn frames_before_the_greeting_are_a_violation() {
    let message = ControlMessage::NotCoordinator { coordinator: None };
    let seen = read(framed(&Frame::Control(message))).await;
    assert!(matches!(&seen[..], [LinkEvent::Ended { end: LinkEnd::Violation(_), .. }]), "{seen:?}");
}

#[tokio::test]
async fn frames_behind_the_greeting_arrive_in_order_and_garbage_ends_the_link() {
    let mut bytes = framed(&Frame::Greeting(greeting()));
    let coordinator = Some(NodeId([5; 32]));
    bytes.extend(framed(&Frame::Control(ControlMessage::NotCoordinator { coordinator })));
    bytes.extend(framed(&Frame::Control(ControlMessage::NotCoordinator { coordinator: None })));
    bytes.extend([3, 0, 0, 0, 0xff, 0xff, 0xff]);
    let seen = read(bytes).await;
    assert_eq!(seen.len(), 3, "{seen:?}");
    for (event, expected) in seen.iter().zip([coordinator, None]) {
        let LinkEvent::Received { incoming: Incoming::Control(message), .. } = event else {
            panic!("{event:?}")
        };
        assert_eq!(*message, ControlMessage::NotCoordinator { coordinator: expected });
    }
    assert!(matches!(&seen[2], LinkEvent::Ended { end: LinkEnd::Violation(_), .. }), "{seen:?}");
}

#[tokio::test]
async fn a_queue_is_bounded_in_bytes_and_gives_them_back() {
    let (sender, mut receiver) = queue();
    let eighth = Bytes::from(vec![0u8; CONTROL_QUEUE_BYTES_MAX / 8]);
    for _ in 0..8 {
        sender.try_send(eighth.clone()).unwrap();
    }
    assert_eq!(sender.try_send(Bytes::from_static(b"x")), Err(QueueError::Full));
    receiver.next().await.unwrap();
    sender.try_send(eighth).unwrap();
    drop(receiver);
    assert_eq!(sender.try_send(Bytes::new()), Err(QueueError::Closed));
}

#[tokio::test]
async fn bytes_of_a_cut_frame_are_a_closed_stream_not_a_violation() {
    let mut bytes = Vec::new();
    bytes.write_all(&framed(&Frame::Greeting(greeting()))[..40]).await.unwrap();
    let seen = read(bytes).await;
    assert!(matches!(&seen[..], [LinkEvent::Ended { end: LinkEnd::Closed(_), .. }]), "{seen:?}");
}
