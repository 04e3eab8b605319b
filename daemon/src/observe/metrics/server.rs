//! Serves the figures by HTTP. Whoever scrapes must not be able to disturb training: connections, requests and time
//! are bounded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, VARY};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::negotiation::{OPENMETRICS, TEXT, content_type};
use super::render::{render_openmetrics, render_text};
use super::server_error::MetricsServerError;
use super::snapshot::MetricsSource;
use crate::stop_signal::StopSignal;

/// Most connections at once: two Prometheus servers and a few people. Others are closed at once.
pub const METRICS_CONNECTIONS_MAX: usize = 16;

/// Longest head of a request, bytes; Prometheus sends half a kilobyte.
pub const METRICS_REQUEST_BYTES_MAX: usize = 16 << 10;

/// Most headers of a request.
const HEADERS_MAX: usize = 64;

/// How long the head of a request may take.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a connection may last, its answer included. One request each: at a scrape every few seconds a new
/// connection costs nothing, and a kept one would hold one of the few places.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long the daemon may take to say how it is.
const SNAPSHOT_WAIT_MAX: Duration = Duration::from_secs(4);

/// How long to wait when the system has no file descriptor left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What stands at `/`.
const WELCOME: &str = "traind: the metrics of this daemon are at /metrics\n";

/// A bound endpoint.
#[derive(Debug)]
pub struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsServer {
    /// Listens on `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// When the address cannot be listened on, with what to do about it.
    pub async fn bind(address: SocketAddr) -> Result<Self, MetricsServerError> {
        let error = |source| MetricsServerError::of(address, source);
        let listener = TcpListener::bind(address).await.map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is told, then drops all connections.
    pub async fn serve<S: MetricsSource>(self, source: Arc<S>, mut stop: StopSignal) {
        let places = Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.stopped() => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("metrics: cannot accept: {error}");
                    // Out of file descriptors, most likely: wait for one to be freed rather than spin.
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            // Without a place the stream is dropped, which the client sees at once.
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                let source = Arc::clone(&source);
                connections.spawn(async move {
                    let _place = place;
                    converse(stream, source).await;
                });
            }
        }
    }
}

/// Answers one request.
async fn converse<S: MetricsSource>(stream: TcpStream, source: Arc<S>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let source = Arc::clone(&source);
        async move { Ok::<_, Infallible>(answer(&request, source.as_ref()).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_buf_size(METRICS_REQUEST_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // An error means that the client is gone, too slow, or speaks no HTTP.
    let _ = timeout(CONNECTION_WAIT_MAX, connection).await;
}

async fn answer<S: MetricsSource>(request: &Request<Incoming>, source: &S) -> Response<String> {
    let path = request.uri().path();
    if path != "/" && path != "/metrics" {
        return respond(StatusCode::NOT_FOUND, TEXT, "not found; metrics are at /metrics\n".to_owned());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is allowed\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if path == "/" {
        return respond(StatusCode::OK, TEXT, WELCOME.to_owned());
    }
    let Ok(snapshot) = timeout(SNAPSHOT_WAIT_MAX, source.snapshot()).await else {
        let message = "the daemon is too busy to say how it is\n".to_owned();
        let mut response = respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, message);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        return response;
    };
    let wanted = content_type(&accepted(request.headers()));
    let body = if wanted == OPENMETRICS { render_openmetrics(&snapshot) } else { render_text(&snapshot) };
    let mut response = respond(StatusCode::OK, wanted, body);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// All `Accept` headers as one.
fn accepted(headers: &HeaderMap) -> String {
    let values: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
