//! The control socket: accepts, reads one request per line, answers. Nothing a client sends disturbs another.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::api::{ApiError, ErrorCode, FollowEvent, Request, Response};
use super::backend::ControlBackend;
use super::envelope::{decode_line, encode_line};
use crate::stop_signal::StopSignal;

/// Longest request line, bytes: a job file is below 64 KiB, and JSON may double it.
pub const REQUEST_BYTES_MAX: usize = 256 << 10;

/// Longest answer line, bytes: a job with thousands of views and losses stays below.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// Most connections at once: followers of several jobs and a few scripts.
pub const CONNECTIONS_MAX: usize = 64;

/// How long a connection may be silent before its place is given away, and how long a client may take to read.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Longest wait that a [`Request::NodeWait`] may ask for.
const NODE_WAIT_MAX: Duration = Duration::from_secs(3600);

/// A bound control socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlServer {
    /// Binds `path` with mode 0660. Must be called within a tokio runtime.
    ///
    /// A socket file that nobody answers at is a crashed daemon's and is replaced.
    ///
    /// # Errors
    /// `AddrInUse` when another daemon answers there, `AlreadyExists` when something else is there; else what the system
    /// says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another daemon answers at this control socket",
                ));
            }
            // A file that is no socket refuses connections too, and is somebody's.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => {
                std::fs::remove_file(path)?;
            }
            // Not there, or something else.
            Err(_) => {}
        }
        if std::fs::symlink_metadata(path).is_ok() && !is_socket(path) {
            let message = "something that is no socket is there: move it away, or set control.socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves until `stop` is told, then drops all connections.
    pub async fn serve<B: ControlBackend>(self, backend: Arc<B>, mut stop: StopSignal) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
                    tracing::warn!("control socket: cannot accept: {error}");
                    // Out of file descriptors, most likely: wait for one to be freed rather than spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let backend = Arc::clone(&backend);
                    connections.spawn(async move {
                        let _place = place;
                        // An error means that the client is gone.
                        let _ = converse(stream, backend.as_ref()).await;
                    });
                }
                Err(_) => refuse_for_want_of_places(stream),
            }
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        // Gone already if the data directory was removed.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Says so without waiting: the line fits in the socket's empty buffer.
fn refuse_for_want_of_places(stream: UnixStream) {
    let error =
        ApiError::unavailable(format!("all {CONNECTIONS_MAX} connections of the control socket are taken"))
            .because("many followers or scripts at once")
            .next("try again later");
    if let Ok(line) = encode_line(&Response::Error(error)) {
        let _ = stream.try_write(line.as_bytes());
    }
}

/// Answers one request after the other until the client closes.
async fn converse<B: ControlBackend>(stream: UnixStream, backend: &B) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let line = match timeout(IDLE_MAX, read_line(&mut reader)).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) | Err(_) => return Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let message = format!("the request is longer than {REQUEST_BYTES_MAX} bytes");
                return send(&mut writer, &Response::Error(ApiError::bad_request(message))).await;
            }
            Ok(Err(error)) => return Err(error),
        };
        let request: Request = match decode_line(&line) {
            Ok(request) => request,
            Err(message) => {
                send(&mut writer, &Response::Error(ApiError::bad_request(message))).await?;
                continue;
            }
        };
        match request {
            Request::JobFollow { job } => follow(&mut reader, &mut writer, backend, job).await?,
            Request::NodeWait { live, timeout_ms } => {
                let answer = tokio::select! {
                    answer = wait_for_nodes(backend, live, timeout_ms) => answer,
                    // The client never speaks while it waits; an end or a word means it is gone.
                    _ = reader.fill_buf() => return Ok(()),
                };
                send(&mut writer, &answer.unwrap_or_else(Response::Error)).await?;
            }
            request => {
                let answer = backend.handle(request).await.unwrap_or_else(Response::Error);
                send(&mut writer, &answer).await?;
            }
        }
    }
}

/// One line without its end; `None` at the end of the stream; `InvalidData` if it is too long.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = reader.take(REQUEST_BYTES_MAX as u64 + 1);
    limited.read_until(b'\n', &mut line).await?;
    match line.pop() {
        Some(b'\n') => Ok(Some(line)),
        None => Ok(None),
        Some(_) if line.len() >= REQUEST_BYTES_MAX => Err(io::ErrorKind::InvalidData.into()),
        // Cut off in the middle of a line: the client is gone.
        Some(_) => Ok(None),
    }
}

async fn send<T: Serialize>(writer: &mut OwnedWriteHalf, message: &T) -> io::Result<()> {
    let mut line = encode_line(message)?;
    if line.len() > RESPONSE_BYTES_MAX {
        let error = ApiError::unavailable(format!("the answer is longer than {RESPONSE_BYTES_MAX} bytes"));
        line = encode_line(&Response::Error(error))?;
    }
    timeout(IDLE_MAX, writer.write_all(line.as_bytes())).await?
}

/// Passes events on until the last one, or until the client closes.
async fn follow<B: ControlBackend>(
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    backend: &B,
    job: String,
) -> io::Result<()> {
    let mut events = match backend.follow_job(job).await {
        Ok(events) => events,
        Err(error) => return send(writer, &Response::Error(error)).await,
    };
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            read = reader.fill_buf() => {
                return if read?.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) };
            }
        };
        let Some(event) = event else {
            let error =
                ApiError::unavailable("the daemon stopped telling about this job").next("trainctl status");
            return send(writer, &Response::Error(error)).await;
        };
        send(writer, &event).await?;
        if matches!(event, FollowEvent::Ended { .. }) {
            return Ok(());
        }
    }
}

async fn wait_for_nodes<B: ControlBackend>(
    backend: &B,
    live: u32,
    timeout_ms: u64,
) -> Result<Response, ApiError> {
    let deadline = Instant::now() + Duration::from_millis(timeout_ms).min(NODE_WAIT_MAX);
    let mut changes = backend.nodes_changed();
    loop {
        changes.mark_unchanged();
        let answer = backend.handle(Request::NodeList).await?;
        let Response::NodeList { nodes } = &answer else { return Ok(answer) };
        let live_now = nodes.iter().filter(|node| node.is_live()).count();
        if live_now >= live as usize {
            return Ok(answer);
        }
        match timeout_at(deadline, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(ApiError::unavailable("the daemon is stopping")),
            Err(_) => {
                let message = format!("{live_now} of {live} nodes are live after {timeout_ms} ms");
                return Err(ApiError::new(ErrorCode::TimedOut, message).next("trainctl node ls"));
            }
        }
    }
}
