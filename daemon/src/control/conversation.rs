//! One connection: a request per line, and its answer, until the client closes.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use super::api::{ApiError, ErrorCode, NodeDetail, Request, Response, StreamItem, StreamLine};
use super::backend::{ControlBackend, Submission};
use super::envelope::{decode_line, encode_line};
use super::transfer;

/// Longest request line, bytes: a job file is below 64 KiB, and JSON may double it.
pub const REQUEST_BYTES_MAX: usize = 256 << 10;

/// Longest answer line, bytes: a job with thousands of views and losses stays below.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// How long a connection may be silent before its place is given away, and how long a client may take to read.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);

/// Longest wait that a [`Request::NodeWait`] may ask for.
const NODE_WAIT_MAX: Duration = Duration::from_secs(3600);

/// How often a drain is looked at while no node changes: what it waits for may.
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A connection as the server sees it.
pub(super) struct Connection {
    pub(super) reader: BufReader<OwnedReadHalf>,
    pub(super) writer: OwnedWriteHalf,
}

/// Answers one request after the other until the client closes.
pub(super) async fn converse<B: ControlBackend>(
    stream: UnixStream,
    backend: &B,
    uploads: &Semaphore,
) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut connection = Connection { reader: BufReader::new(reader), writer };
    loop {
        let line = match timeout(IDLE_MAX, connection.read_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) | Err(_) => return Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let message = format!("the request is longer than {REQUEST_BYTES_MAX} bytes");
                return connection.refuse(ApiError::bad_request(message)).await;
            }
            Ok(Err(error)) => return Err(error),
        };
        match decode_line(&line) {
            Ok(request) => connection.answer(request, backend, uploads).await?,
            Err(message) => connection.refuse(ApiError::bad_request(message)).await?,
        }
    }
}

impl Connection {
    async fn answer<B: ControlBackend>(
        &mut self,
        request: Request,
        backend: &B,
        uploads: &Semaphore,
    ) -> io::Result<()> {
        match request {
            Request::JobFollow { job } => match backend.follow_job(job).await {
                Ok(events) => self.pass_on(events).await,
                Err(error) => self.refuse(error).await,
            },
            Request::JobLogs { .. }
            | Request::JobMetrics { .. }
            | Request::Events { .. }
            | Request::CheckpointVerify { .. }
            | Request::StoreVerify => match backend.stream(request).await {
                Ok(items) => self.pass_on(items).await,
                Err(error) => self.refuse(error).await,
            },
            Request::NodeDrainFollow { node } => self.follow_drain(backend, node).await,
            Request::NodeWait { live, timeout_ms } => {
                let answer = tokio::select! {
                    answer = wait_for_nodes(backend, live, timeout_ms) => answer,
                    // The client never speaks while it waits; an end or a word means it is gone.
                    _ = self.reader.fill_buf() => return Err(io::ErrorKind::UnexpectedEof.into()),
                };
                self.send(&answer.unwrap_or_else(Response::Error)).await
            }
            Request::JobSubmit { spec_toml, from, from_imported, dry_run } => {
                let from = match from {
                    None => None,
                    Some(upload) => Some(transfer::receive(self, &upload, backend, uploads).await?),
                };
                let answer = match from.transpose() {
                    Ok(from) => tokio::select! {
                        answer = backend.submit(Submission { spec_toml, from, from_imported, dry_run }) => answer,
                        // As above; data that nobody has may be waited for without end.
                        _ = self.reader.fill_buf() => return Err(io::ErrorKind::UnexpectedEof.into()),
                    },
                    Err(error) => Err(error),
                };
                self.send(&answer.unwrap_or_else(Response::Error)).await
            }
            Request::CheckpointExport { job, step } => match backend.export(job, step).await {
                Ok(export) => transfer::send(self, export).await,
                Err(error) => self.refuse(error).await,
            },
            Request::Leave => {
                let answer = backend.handle(Request::Leave).await.unwrap_or_else(Response::Error);
                let sent = self.send(&answer).await;
                if matches!(answer, Response::Left { .. }) {
                    backend.stop();
                }
                sent
            }
            request => {
                let answer = backend.handle(request).await.unwrap_or_else(Response::Error);
                self.send(&answer).await
            }
        }
    }

    /// One line without its end; `None` at the end of the stream; `InvalidData` if it is too long.
    async fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(REQUEST_BYTES_MAX as u64 + 1);
        limited.read_until(b'\n', &mut line).await?;
        match line.pop() {
            Some(b'\n') => Ok(Some(line)),
            None => Ok(None),
            Some(_) if line.len() >= REQUEST_BYTES_MAX => Err(io::ErrorKind::InvalidData.into()),
            // Cut off in the middle of a line: the client is gone.
            Some(_) => Ok(None),
        }
    }

    pub(super) async fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let mut line = encode_line(message)?;
        if line.len() > RESPONSE_BYTES_MAX {
            let error =
                ApiError::unavailable(format!("the answer is longer than {RESPONSE_BYTES_MAX} bytes"));
            line = encode_line(&Response::Error(error))?;
        }
        self.write(line.as_bytes()).await
    }

    /// Writes, unless the client takes too long to read.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(IDLE_MAX, self.writer.write_all(bytes)).await?
    }

    async fn refuse(&mut self, error: ApiError) -> io::Result<()> {
        self.send(&Response::Error(error)).await
    }

    /// Passes lines on until the last one, or until the client closes.
    async fn pass_on<T: StreamLine>(&mut self, mut lines: mpsc::Receiver<T>) -> io::Result<()> {
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                read = self.reader.fill_buf() => {
                    return if read?.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) };
                }
            };
            let Some(line) = line else {
                let error = ApiError::unavailable("the daemon stopped telling").next("trainctl status");
                return self.refuse(error).await;
            };
            self.send(&line).await?;
            if line.is_last() {
                return Ok(());
            }
        }
    }

    /// Tells how far a drain is until it is over.
    async fn follow_drain<B: ControlBackend>(&mut self, backend: &B, node: Option<String>) -> io::Result<()> {
        let mut changes = backend.nodes_changed();
        let mut told: Option<Box<NodeDetail>> = None;
        loop {
            changes.mark_unchanged();
            let detail = match backend.handle(Request::NodeShow { node: node.clone() }).await {
                Ok(Response::NodeDetail(detail)) => detail,
                Ok(other) => return self.send(&other).await,
                Err(error) => return self.refuse(error).await,
            };
            let drain = detail.row.drain.clone();
            if told.as_ref().is_none_or(|told| told.row.drain != drain) {
                told = Some(detail.clone());
                self.send(&StreamItem::NodeDetail(detail)).await?;
            }
            if drain.is_none_or(|drain| drain.drained) {
                return self.send(&StreamItem::StreamEnd).await;
            }
            tokio::select! {
                changed = timeout(DRAIN_LOOK_INTERVAL, changes.changed()) => {
                    if let Ok(Err(_)) = changed {
                        return self.refuse(ApiError::unavailable("the daemon is stopping")).await;
                    }
                }
                _ = self.reader.fill_buf() => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
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
