//! The control socket against clients that misbehave, are slow, or are many.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;
use traind::control::{CONNECTIONS_MAX, ControlServer, REQUEST_BYTES_MAX};

use crate::fake::Fake;

struct Raw {
    stream: BufReader<UnixStream>,
}

impl Raw {
    fn connect(fake: &Fake) -> Self {
        let stream = UnixStream::connect(&fake.socket).unwrap();
        // A deadline for the test, not a wait: every answer comes at once.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: &[u8]) {
        // A server that refuses early breaks the pipe; what it said is read next.
        let _ = self.stream.get_mut().write_all(bytes);
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }
}

const STATUS: &[u8] = b"{\"apiVersion\":\"traind/v1\",\"kind\":\"Status\"}\n";

#[test]
fn malformed_requests_are_answered_and_the_connection_goes_on() {
    let fake = Fake::start();
    let mut raw = Raw::connect(&fake);
    for bad in [
        &b"\n"[..],
        b"not json\n",
        b"[]\n",
        b"\xff\xfe\n",
        b"{\"apiVersion\":\"traind/v1\"}\n",
        b"{\"apiVersion\":\"traind/v1\",\"kind\":\"Error\"}\n",
        b"{\"apiVersion\":\"traind/v0\",\"kind\":\"Status\"}\n",
        b"{\"apiVersion\":\"traind/v1\",\"kind\":\"JobShow\",\"job\":7}\n",
    ] {
        raw.send(bad);
        let answer = raw.receive();
        assert_eq!(
            (answer["kind"].as_str(), answer["code"].as_str()),
            (Some("Error"), Some("bad_request")),
            "{answer}"
        );
    }
    raw.send(STATUS);
    assert_eq!(raw.receive()["kind"], "Status");
    let deep = format!("{}\n", "[".repeat(100_000));
    raw.send(deep.as_bytes());
    assert_eq!(raw.receive()["code"], "bad_request");
}

#[test]
fn a_request_beyond_the_limit_is_refused_and_others_are_served_on() {
    let fake = Fake::start();
    let mut other = Raw::connect(&fake);
    let mut raw = Raw::connect(&fake);
    raw.send(&vec![b'x'; REQUEST_BYTES_MAX + 2]);
    let answer = raw.receive();
    assert_eq!(answer["message"], format!("the request is longer than {REQUEST_BYTES_MAX} bytes"));
    assert!(raw.is_closed());
    other.send(STATUS);
    assert_eq!(other.receive()["kind"], "Status");
}

#[test]
fn connections_are_bounded_and_a_place_comes_free_again() {
    let fake = Fake::start();
    let mut held: Vec<Raw> = (0..CONNECTIONS_MAX).map(|_| Raw::connect(&fake)).collect();
    for raw in &mut held {
        raw.send(STATUS);
        assert_eq!(raw.receive()["kind"], "Status");
    }
    let mut refused = Raw::connect(&fake);
    assert_eq!(refused.receive()["code"], "unavailable");
    assert!(refused.is_closed());
    let ran = fake.trainctl(&["status"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("all 64 connections of the control socket are taken"), "{ran:?}");

    held[0].send(STATUS);
    assert_eq!(held[0].receive()["kind"], "Status", "those who were in are served on");
    // A connection that the server itself has closed has given its place back.
    held[0].send(&vec![b'x'; REQUEST_BYTES_MAX + 2]);
    assert_eq!(held[0].receive()["code"], "bad_request");
    assert!(held[0].is_closed());
    let mut served = Raw::connect(&fake);
    served.send(STATUS);
    assert_eq!(served.receive()["kind"], "Status");
}

#[test]
fn node_wait_answers_when_enough_nodes_are_live() {
    let fake = Fake::start();
    let mut raw = Raw::connect(&fake);
    raw.send(b"{\"apiVersion\":\"traind/v1\",\"kind\":\"NodeWait\",\"live\":2,\"timeout_ms\":20000}\n");
    assert_eq!(raw.receive()["kind"], "NodeList", "two are live already");

    raw.send(b"{\"apiVersion\":\"traind/v1\",\"kind\":\"NodeWait\",\"live\":3,\"timeout_ms\":20000}\n");
    fake.set_live(3);
    let answer = raw.receive();
    assert_eq!(
        (answer["kind"].as_str(), answer["nodes"][2]["role"].as_str()),
        (Some("NodeList"), Some("spare"))
    );

    raw.send(b"{\"apiVersion\":\"traind/v1\",\"kind\":\"NodeWait\",\"live\":4,\"timeout_ms\":1}\n");
    let answer = raw.receive();
    assert_eq!(
        (answer["code"].as_str(), answer["message"].as_str()),
        (Some("timed_out"), Some("3 of 4 nodes are live after 1 ms"))
    );
}

#[test]
fn the_socket_is_for_user_and_group_and_goes_with_the_server() {
    let fake = Fake::start();
    let mode = std::fs::metadata(&fake.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let second = ControlServer::bind(&fake.socket).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);

    let stale = fake.directory.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists(), "a crashed daemon leaves its socket");
    drop(ControlServer::bind(&stale).unwrap());
    assert!(!stale.exists());

    let file = fake.directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let in_the_way = ControlServer::bind(&file).unwrap_err();
    assert_eq!(in_the_way.kind(), std::io::ErrorKind::AlreadyExists);
    assert!(in_the_way.to_string().contains("no socket is there"), "{in_the_way}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious", "what is no socket is left alone");

    let socket = fake.socket.clone();
    drop(fake);
    assert!(!socket.exists());
}
