//! The data plane.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use libp2p::identity::Keypair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tempfile::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use traind_p2p::{DataEvent, SendError};
use traind_protocol::ids::NodeId;
use traind_protocol::wire::data::{DataFrame, FrameKind};

use crate::kit::{DEADLINE, Node, pair};

fn frame(number: u64, payload: Vec<Bytes>) -> DataFrame {
    DataFrame { kind: FrameKind::Sync, header: Bytes::copy_from_slice(&number.to_le_bytes()), payload }
}

fn arrived(event: DataEvent) -> Option<(NodeId, u64, Bytes)> {
    match event {
        DataEvent::Frame { from, header, payload, .. } => {
            Some((from, u64::from_le_bytes(header[..].try_into().unwrap()), payload))
        }
        DataEvent::PathOpened { .. } | DataEvent::Violated { .. } => None,
    }
}

async fn opened_pair() -> (tempfile::TempDir, Node, Node) {
    let folder = tempdir().unwrap();
    let (mut a, mut b) = pair(&folder).await;
    a.path_opened(b.id()).await;
    b.path_opened(a.id()).await;
    (folder, a, b)
}

#[tokio::test]
async fn frames_arrive_whole_and_in_order_both_ways() {
    let (_folder, mut a, mut b) = opened_pair().await;
    let long = Bytes::from((0..3_000_000u32).map(|index| ((index * 31) >> 3) as u8).collect::<Vec<u8>>());
    for (from, to) in [(0, 1), (1, 0)] {
        let nodes = [&mut a, &mut b];
        let (sender, target) = (nodes[from].handle.clone(), nodes[to].id());
        for number in 0..50 {
            let payload =
                if number % 7 == 3 { vec![long.clone(), Bytes::new(), long.slice(..9)] } else { vec![] };
            sender.try_send_data(target, frame(number, payload)).unwrap();
        }
        let receiver = nodes.into_iter().nth(to).unwrap();
        for number in 0..50 {
            let (origin, arrived_number, payload) = receiver.data(arrived).await;
            assert_eq!((origin, arrived_number), (sender.node(), number));
            if number % 7 == 3 {
                assert_eq!(payload.len(), long.len() + 9);
                assert!(payload[..long.len()] == long[..] && payload[long.len()..] == long[..9]);
            } else {
                assert!(payload.is_empty());
            }
        }
    }
    let counters = a.handle.counters();
    assert_eq!((counters.data_frames_sent, counters.data_frames_received), (50, 50));
    assert_eq!(counters.data_payload_bytes_sent, b.handle.counters().data_payload_bytes_received);
}

#[tokio::test]
async fn a_full_queue_resets_the_path_and_it_opens_again() {
    let (_folder, mut a, mut b) = opened_pair().await;
    let payload = vec![Bytes::from(vec![5u8; 64 << 10])];
    // The receiver takes nothing: its channel, its TCP window and then the queue fill.
    let mut sent = 0u64;
    let full = loop {
        assert!(sent < 1_000_000, "the queue has no bound");
        match a.handle.try_send_data(b.id(), frame(sent, payload.clone())) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, SendError::Full);
    assert_eq!(a.handle.try_send_data(b.id(), frame(0, Vec::new())), Err(SendError::NotConnected));
    a.path_opened(b.id()).await;
    a.handle.try_send_data(b.id(), frame(u64::MAX, Vec::new())).unwrap();
    let mut expected = 0;
    loop {
        let (_, number, _) = b.data(arrived).await;
        if number == u64::MAX {
            break;
        }
        assert_eq!(number, expected, "what arrives before the reset is a prefix");
        expected += 1;
    }
    assert!(expected < sent);
    let counters = a.handle.counters();
    assert_eq!(counters.data_resets_full, 1);
    assert!(counters.data_frames_dropped > 0, "{counters:?}");
    assert_eq!(counters.peers_lost, 0);
}

#[tokio::test]
async fn a_stranger_with_a_valid_certificate_of_its_own_is_not_served() {
    let (_folder, mut a, b) = opened_pair().await;
    let refused = a.handle.counters().data_handshakes_refused;
    let stranger = Keypair::ed25519_from_bytes([77u8; 32]).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", a.handle.bulk_port())).await.unwrap();
    let connector = TlsConnector::from(Arc::new(client(&stranger)));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut read = Vec::new();
    if let Ok(mut stream) = connector.connect(name, stream).await {
        let _ = timeout(DEADLINE, stream.read_to_end(&mut read)).await.expect("the stranger was not cut off");
    }
    assert!(read.is_empty(), "the stranger was served");
    while a.handle.counters().data_handshakes_refused == refused {
        tokio::task::yield_now().await;
    }
    b.handle.try_send_data(a.id(), frame(3, Vec::new())).unwrap();
    assert_eq!(a.data(arrived).await, (b.id(), 3, Bytes::new()));
}

#[tokio::test]
async fn a_peer_that_announces_more_than_any_frame_has_is_named_and_nothing_of_it_is_read() {
    let (folder, a, mut b) = opened_pair().await;
    let key = std::fs::read(folder.path().join("a")).unwrap();
    let keypair = Keypair::ed25519_from_bytes(key).unwrap();
    for (kind, header_bytes, payload_bytes) in
        [(FrameKind::Sync as u8, 8u32, (4u32 << 20) + 1), (FrameKind::Sync as u8, 1 << 20, 0), (9, 0, 0)]
    {
        let stream = TcpStream::connect(("127.0.0.1", b.handle.bulk_port())).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(client(&keypair))).connect(name, stream).await.unwrap();
        let mut head = vec![kind];
        head.extend(header_bytes.to_le_bytes());
        head.extend(payload_bytes.to_le_bytes());
        stream.write_all(&head).await.unwrap();
        stream.flush().await.unwrap();
        let named = b.data(|event| match event {
            DataEvent::Violated { from } => Some(from),
            _ => None,
        });
        assert_eq!(named.await, a.id());
    }
    assert_eq!(b.handle.counters().data_violations, 3);
}

#[tokio::test]
async fn bulk_bytes_move_at_a_sane_speed() {
    const FRAME_BYTES: usize = 4 << 20;
    const FRAMES: u64 = 100;
    let (_folder, a, mut b) = opened_pair().await;
    let payload = Bytes::from(vec![9u8; FRAME_BYTES]);
    let begun = Instant::now();
    for number in 0..FRAMES {
        a.handle.try_send_data(b.id(), frame(number, vec![payload.clone()])).unwrap();
    }
    for number in 0..FRAMES {
        assert_eq!(b.data(arrived).await.1, number);
    }
    let megabytes_per_second = FRAMES as f64 * FRAME_BYTES as f64 / 1e6 / begun.elapsed().as_secs_f64();
    println!("bulk over loopback: {megabytes_per_second:.0} MB/s");
    assert!(megabytes_per_second > 5.0, "{megabytes_per_second:.0} MB/s");
}

/// A client that shows a certificate of `keypair` and believes any server.
fn client(keypair: &Keypair) -> ClientConfig {
    let (certificate, key) = libp2p_tls::certificate::generate(keypair).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_client_cert_resolver(Arc::new(Shown(certified)))
}

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}
