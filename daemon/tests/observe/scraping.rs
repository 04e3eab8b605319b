//! The endpoint over real connections.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use traind::observe::{
    METRICS_CONNECTIONS_MAX, METRICS_REQUEST_BYTES_MAX, MetricsServer, MetricsSnapshot, MetricsSource,
};
use traind::stop_signal::StopHandle;

use crate::exposition::{Format, read};
use crate::http::{exchange, parsed, request};
use crate::metrics::snapshot;

/// What Prometheus 3 sends.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

struct Fixed;

impl MetricsSource for Fixed {
    fn snapshot(&self) -> BoxFuture<'static, MetricsSnapshot> {
        Box::pin(async { snapshot() })
    }
}

/// A daemon that never says how it is.
struct Stuck;

impl MetricsSource for Stuck {
    fn snapshot(&self) -> BoxFuture<'static, MetricsSnapshot> {
        Box::pin(pending())
    }
}

struct Serving {
    address: SocketAddr,
    stop: StopHandle,
    task: JoinHandle<()>,
}

async fn serving(source: impl MetricsSource) -> Serving {
    let server = MetricsServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.local_address();
    let (stop, stopped) = StopHandle::new();
    Serving { address, stop, task: tokio::spawn(server.serve(Arc::new(source), stopped)) }
}

#[tokio::test]
async fn each_client_gets_the_format_that_it_reads() {
    let serving = serving(Fixed).await;
    let prometheus = request(serving.address, "GET", "/metrics", PROMETHEUS).await;
    assert_eq!(prometheus.status, 200);
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(prometheus.header("content-type"), Some(openmetrics));
    let scrape = read(&prometheus.body, Format::OpenMetrics).unwrap();
    assert_eq!(scrape.value("traind_job_step", &[("job_id", "00ff")]), 12.0);
    let curl = request(serving.address, "GET", "/metrics?x=1", "*/*").await;
    assert_eq!(curl.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(read(&curl.body, Format::Text).unwrap().samples, scrape.samples);
    let head = request(serving.address, "HEAD", "/metrics", "*/*").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some(curl.body.len().to_string().as_str()));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_and_the_root_says_where_to_look() {
    let serving = serving(Fixed).await;
    let root = request(serving.address, "GET", "/", "*/*").await;
    assert_eq!(root.status, 200);
    assert!(root.body.contains("/metrics"), "{root:?}");
    for path in ["/metrics/", "/favicon.ico", "/../etc/passwd", "/%6detrics"] {
        assert_eq!(request(serving.address, "GET", path, "*/*").await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = request(serving.address, method, "/metrics", "*/*").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[tokio::test]
async fn bad_requests_disturb_nobody() {
    let serving = serving(Fixed).await;
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * METRICS_REQUEST_BYTES_MAX));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for bad in [
        long.as_str(),
        many.as_str(),
        "\0\u{1}\u{2}\r\n\r\n",
        "GET\r\n\r\n",
        "SSH-2.0-x\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = exchange(serving.address, bad.as_bytes()).await;
        // A connection that is reset before the answer was read counts as refused, too.
        assert!(answer.is_empty() || (400..=505).contains(&parsed(&answer).status), "{bad:.40}: {answer}");
    }
    assert_eq!(request(serving.address, "GET", "/metrics", PROMETHEUS).await.status, 200);
}

#[tokio::test]
async fn one_answer_per_connection() {
    let serving = serving(Fixed).await;
    let answers = exchange(serving.address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3).as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
}

#[tokio::test]
async fn slow_clients_lose_their_places_in_time() {
    let serving = serving(Fixed).await;
    let started = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..METRICS_CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
        slow.push(stream);
    }
    // All places are taken: one more is closed without a word.
    assert_eq!(exchange(serving.address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, "");
    for mut stream in slow {
        // Read until the server closes, which may be by a reset.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(12), "{elapsed:?}");
    assert_eq!(request(serving.address, "GET", "/metrics", "*/*").await.status, 200);
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_said_to_be_busy() {
    let serving = serving(Stuck).await;
    let answer = request(serving.address, "GET", "/metrics", "*/*").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
}

#[tokio::test]
async fn stopping_frees_the_port_and_closes_connections() {
    let serving = serving(Fixed).await;
    let mut open = TcpStream::connect(serving.address).await.unwrap();
    assert_eq!(request(serving.address, "GET", "/", "*/*").await.status, 200);
    serving.stop.stop();
    serving.task.await.unwrap();
    let _ = open.read_to_end(&mut Vec::new()).await;
    assert!(TcpStream::connect(serving.address).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_said_with_the_command_that_finds_its_owner() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = MetricsServer::bind(address).await.unwrap_err();
    let expected = format!(
        "cannot serve metrics on {address}: the port is in use; `ss -ltnp 'sport = :{}'` says by whom; set \
         metrics.listen to another one",
        address.port()
    );
    assert_eq!(error.to_string(), expected);
    let source = std::error::Error::source(&error).expect("the system's word");
    assert!(source.to_string().contains("in use"), "{source}");
    let elsewhere = MetricsServer::bind("192.0.2.1:0".parse().unwrap()).await.unwrap_err();
    assert!(elsewhere.to_string().contains("no such address; `ip -brief address`"), "{elsewhere}");
}
