use std::sync::Arc;

use bytes::Bytes;
use libp2p::identity::Keypair;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use traind_protocol::ids::NodeId;
use traind_protocol::wire::data::{DATA_HEADER_BYTES_MAX, DataFrame, FrameKind, SYNC_PAYLOAD_BYTES_MAX};

use super::frame::{DataFrameError, read_frame, write_frame};
use super::queue::{Queue, Signal};
use super::tls::{Credentials, authenticated};
use super::{Caps, Path};
use crate::handle::SendError;
use crate::limits::BULK_QUEUE_FRAMES_MAX;
use crate::node_id::node_of;

fn frame(header: &'static [u8]) -> DataFrame {
    let payload = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")];
    DataFrame { kind: FrameKind::Sync, header: Bytes::from_static(header), payload }
}

#[tokio::test]
async fn pieces_arrive_as_one_payload() {
    let mut stream = Vec::new();
    // With a cap above all doubt, and without one.
    write_frame(&mut stream, &frame(b"one"), &Caps::new(Some(u64::MAX), Some(u64::MAX))).await.unwrap();
    write_frame(&mut stream, &frame(b""), &Caps::new(None, None)).await.unwrap();
    let mut stream = &stream[..];
    for header in [&b"one"[..], b""] {
        let (kind, read, payload) = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!((kind, &read[..], &payload[..]), (FrameKind::Sync, header, &b"abcde"[..]));
    }
    assert!(read_frame(&mut stream).await.unwrap().is_none());
}

#[tokio::test]
async fn lengths_are_checked_before_anything_is_read() {
    for (header, payload) in [(DATA_HEADER_BYTES_MAX + 1, 0), (0, SYNC_PAYLOAD_BYTES_MAX + 1)] {
        let mut stream = vec![FrameKind::Sync as u8];
        stream.extend(u32::try_from(header).unwrap().to_le_bytes());
        stream.extend(u32::try_from(payload).unwrap().to_le_bytes());
        let error = read_frame(&mut &stream[..]).await.unwrap_err();
        assert!(matches!(error, DataFrameError::TooLong { .. }), "{error}");
    }
    let cut = read_frame(&mut &[1u8, 1, 0, 0, 0, 0, 0][..]).await.unwrap_err();
    assert!(matches!(cut, DataFrameError::Read(_)), "{cut}");
}

#[test]
fn a_closed_path_takes_nothing_and_a_full_one_is_reset() {
    let queue = Queue::new();
    let signal = queue.signal();
    assert_eq!(queue.try_send(frame(b"x")), Err(SendError::NotConnected));
    queue.open();
    for _ in 0..BULK_QUEUE_FRAMES_MAX {
        queue.try_send(frame(b"x")).unwrap();
    }
    assert_eq!(queue.try_send(frame(b"x")), Err(SendError::Full));
    assert_eq!(*signal.borrow(), Signal::Keep(1));
    assert!(queue.pop().is_none());
    assert_eq!(queue.try_send(frame(b"x")), Err(SendError::NotConnected));
    assert_eq!(queue.interrupt(), (BULK_QUEUE_FRAMES_MAX, 1));
    queue.close();
    queue.reset();
    assert_eq!(*signal.borrow(), Signal::Close);
}

#[test]
fn oversize_frames_are_refused_and_the_path_stays() {
    let queue = Queue::new();
    queue.open();
    let header = Bytes::from(vec![0; DATA_HEADER_BYTES_MAX + 1]);
    let refused = queue.try_send(DataFrame { kind: FrameKind::Sync, header, payload: Vec::new() });
    assert!(matches!(refused, Err(SendError::TooLong { .. })), "{refused:?}");
    queue.try_send(frame(b"x")).unwrap();
}

fn piece(bytes: usize) -> DataFrame {
    let payload = vec![Bytes::from(vec![1; bytes])];
    DataFrame { kind: FrameKind::Transfer, header: Bytes::from_static(b"piece"), payload }
}

#[tokio::test]
async fn chunks_give_way_and_a_full_queue_of_them_breaks_nothing() {
    let queue = Queue::new();
    queue.open();
    for _ in 0..4 {
        queue.try_send(piece(1 << 20)).unwrap_or_else(|error| assert_eq!(error, SendError::Full));
    }
    assert_eq!(queue.try_send(piece(1 << 20)), Err(SendError::Full));
    queue.try_send(frame(b"urgent")).unwrap();
    // A question about chunks is small, and somebody waits for the answer.
    queue.try_send(DataFrame { payload: Vec::new(), ..piece(0) }).unwrap();
    assert_eq!(&queue.pop().unwrap().header[..], b"urgent");
    assert!(queue.pop().unwrap().payload.is_empty());
    let room = queue.background_room();
    let notified = room.notified();
    assert_eq!(queue.pop().unwrap().payload_bytes(), 1 << 20);
    notified.await;
    queue.try_send(piece(1 << 20)).unwrap();
    let notified = room.notified();
    queue.close();
    notified.await;
    assert_eq!(queue.try_send(piece(1)), Err(SendError::NotConnected));
}

#[tokio::test]
async fn under_a_cap_what_is_urgent_goes_first_and_the_rest_is_not_starved() {
    let caps = Arc::new(Caps::new(Some(1 << 20), None));
    let spent = Arc::clone(&caps);
    let urgent = tokio::spawn(async move {
        loop {
            spent.allow(64 << 10, false).await;
        }
    });
    tokio::task::yield_now().await;
    let begun = tokio::time::Instant::now();
    for _ in 0..2 {
        caps.allow(64 << 10, true).await;
    }
    let took = begun.elapsed().as_millis();
    assert!(took >= 1_000, "{took} ms: half a second for each slice");
    urgent.abort();
    assert!(urgent.await.unwrap_err().is_cancelled());
    let begun = tokio::time::Instant::now();
    caps.allow(64 << 10, true).await;
    assert!(begun.elapsed().as_millis() < 500, "nobody else wants the link");
}

/// Credentials of the node with this seed, and its id.
fn credentials(seed: u8) -> (Credentials, NodeId) {
    let keypair = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
    let node = node_of(&keypair.public().to_peer_id()).unwrap();
    (Credentials::new(&keypair).unwrap(), node)
}

/// Who each side of a handshake takes the other for; `None` for a side that refused.
async fn handshake(server: ServerConfig, client: ClientConfig) -> (Option<NodeId>, Option<NodeId>) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connecting = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, near).await.ok()?;
        // A TLS 1.3 client hears of its refusal when it reads.
        stream.read_exact(&mut [0u8; 2]).await.ok()?;
        authenticated(stream.get_ref().1.peer_certificates()).ok()
    };
    let accepting = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await.ok()?;
        stream.write_all(b"ok").await.ok()?;
        stream.flush().await.ok()?;
        authenticated(stream.get_ref().1.peer_certificates()).ok()
    };
    tokio::join!(accepting, connecting)
}

#[tokio::test]
async fn both_sides_prove_who_they_are_with_the_quick_cipher_first() {
    let ((server, server_node), (client, client_node)) = (credentials(1), credentials(2));
    let config = client.client(server_node).unwrap();
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("aes") {
        let first = config.crypto_provider().cipher_suites[0].suite();
        assert_eq!(first, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
    let seen = handshake(server.server().unwrap(), config).await;
    assert_eq!(seen, (Some(client_node), Some(server_node)));
}

#[tokio::test]
async fn a_listener_that_is_somebody_else_is_refused() {
    let ((server, _), (client, _), (_, expected)) = (credentials(1), credentials(2), credentials(3));
    let (_, seen) = handshake(server.server().unwrap(), client.client(expected).unwrap()).await;
    assert_eq!(seen, None);
}

#[tokio::test]
async fn a_client_without_or_with_another_kind_of_certificate_is_refused() {
    let ((server, server_node), (client, _)) = (credentials(1), credentials(2));
    let mut config = client.client(server_node).unwrap();
    config.client_auth_cert_resolver = Arc::new(Shows(None));
    assert_eq!(handshake(server.server().unwrap(), config).await, (None, None));
    // A certificate of the right form whose key is not the one that signs the handshake.
    let (other, _) = credentials(4);
    let mut config = client.client(server_node).unwrap();
    config.client_auth_cert_resolver = Arc::new(Shows(Some(client.with_key_of(&other))));
    assert_eq!(handshake(server.server().unwrap(), config).await, (None, None));
}

#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}
