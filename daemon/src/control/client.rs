//! Asks a daemon over its control socket.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::api::{
    ApiError, CheckpointExport, ExportedFile, FollowEvent, Request, Response, StreamItem, StreamLine,
};
use super::conversation::RESPONSE_BYTES_MAX;
use super::envelope::{decode_line, encode_line};
use super::transfer::CHUNK_BYTES;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no traind answers at {}", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The daemon went away in the middle.
    #[error("the daemon at {} closed the connection", socket.display())]
    Closed {
        /// The socket.
        socket: PathBuf,
        /// What the system says, if it was no orderly end.
        #[source]
        source: Option<io::Error>,
    },
    /// What came is no answer.
    #[error("the daemon at {} gave no valid answer: {message}", socket.display())]
    Malformed {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// What is here could not be read to be sent, or what came could not be written.
    #[error("{operation}")]
    Local {
        /// What was tried.
        operation: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] ApiError),
}

/// Asks one daemon. Every call has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// The events of one job, as they happen.
pub type FollowStream = EventStream<FollowEvent>;

/// Lines of one stream, as they come.
#[derive(Debug)]
pub struct EventStream<T> {
    connection: Connection,
    is_over: bool,
    lines: PhantomData<fn() -> T>,
}

/// A checkpoint on its way: its description, then the bytes of its files.
#[derive(Debug)]
pub struct Download {
    /// What comes.
    pub description: CheckpointExport,
    connection: Connection,
}

#[derive(Debug)]
struct Connection {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
}

impl Client {
    /// A client of the daemon at `socket`. Connects with the first call.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, and waits for the answer. A refusal is [`ClientError::Refused`], never [`Response::Error`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call(&self, request: &Request) -> Result<Response, ClientError> {
        let mut connection = Connection::open(&self.socket, request).await?;
        match connection.read().await? {
            Response::Error(error) => Err(error.into()),
            answer => Ok(answer),
        }
    }

    /// Asks with the bytes of a file behind the request, as [`Request::JobSubmit`] announces them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call_with_file(&self, request: &Request, path: &Path) -> Result<Response, ClientError> {
        let unreadable =
            |source| ClientError::Local { operation: format!("cannot read {}", path.display()), source };
        let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let mut connection = Connection::open(&self.socket, request).await?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = file.read(&mut chunk).await.map_err(unreadable)?;
            // A server that refuses before it read everything breaks the pipe; its answer says why and is read next.
            if count == 0 || connection.stream.get_mut().write_all(&chunk[..count]).await.is_err() {
                break;
            }
        }
        match connection.read().await? {
            Response::Error(error) => Err(error.into()),
            answer => Ok(answer),
        }
    }

    /// Asks for the files of a checkpoint: of `job` (id, prefix or name) at `step`, or the newest.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn export(&self, job: &str, step: Option<u64>) -> Result<Download, ClientError> {
        let request = Request::CheckpointExport { job: job.into(), step };
        let mut connection = Connection::open(&self.socket, &request).await?;
        match connection.read().await? {
            Response::CheckpointExport(description) => Ok(Download { description, connection }),
            Response::Error(error) => Err(error.into()),
            other => Err(connection.malformed(format!("an export expected, not {other:?}"))),
        }
    }

    /// Follows `job` (id, prefix or name).
    ///
    /// # Errors
    /// See [`ClientError`]; that the job does not exist is told by the first [`EventStream::next`].
    pub async fn follow(&self, job: &str) -> Result<FollowStream, ClientError> {
        self.open_stream(&Request::JobFollow { job: job.into() }).await
    }

    /// Asks `request`, which is answered by a stream.
    ///
    /// # Errors
    /// See [`ClientError`]; a refusal is told by the first [`EventStream::next`].
    pub async fn stream(&self, request: &Request) -> Result<EventStream<StreamItem>, ClientError> {
        self.open_stream(request).await
    }

    async fn open_stream<T>(&self, request: &Request) -> Result<EventStream<T>, ClientError> {
        let connection = Connection::open(&self.socket, request).await?;
        Ok(EventStream { connection, is_over: false, lines: PhantomData })
    }
}

impl<T: StreamLine> EventStream<T> {
    /// The next line, the last one too; `None` after it. Cancel-safe.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Line<T> {
            Expected(T),
            Other(Box<Response>),
        }
        if self.is_over {
            return Ok(None);
        }
        match self.connection.read().await? {
            Line::Expected(line) => {
                let line: T = line;
                self.is_over = line.is_last();
                Ok(Some(line))
            }
            Line::Other(answer) => Err(match *answer {
                Response::Error(error) => error.into(),
                other => self.connection.malformed(format!("an event expected, not {other:?}")),
            }),
        }
    }
}

impl Download {
    /// Reads the bytes of `file`, which must be the next one of the description, into `sink`.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::Malformed`] when they are not what was described.
    pub async fn read(&mut self, file: &ExportedFile, sink: &mut impl io::Write) -> Result<(), ClientError> {
        let mut hasher = blake3::Hasher::new();
        let mut left = file.bytes;
        let mut chunk = vec![0; CHUNK_BYTES];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let connection = &mut self.connection;
            let count = match connection.stream.read(&mut chunk[..wanted]).await {
                Ok(count) if count > 0 => count,
                other => {
                    return Err(ClientError::Closed {
                        socket: connection.socket.clone(),
                        source: other.err(),
                    });
                }
            };
            hasher.update(&chunk[..count]);
            sink.write_all(&chunk[..count]).map_err(|source| ClientError::Local {
                operation: format!("cannot write {}", file.name),
                source,
            })?;
            left -= count as u64;
        }
        if hasher.finalize().to_hex().as_str() != file.blake3 {
            return Err(self.connection.malformed(format!("the bytes of {} are damaged", file.name)));
        }
        Ok(())
    }
}

impl Connection {
    async fn open(socket: &Path, request: &Request) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|source| ClientError::NotRunning { socket: socket.to_owned(), source })?;
        let mut connection =
            Self { socket: socket.to_owned(), stream: BufReader::new(stream), line: Vec::new() };
        let line = encode_line(request).map_err(|error| connection.malformed(error.to_string()))?;
        // A server that refuses before it read everything breaks the pipe; its answer says why and is read next.
        let _ = connection.stream.get_mut().write_all(line.as_bytes()).await;
        Ok(connection)
    }

    /// Reads one line. Cancel-safe: what was read so far is kept.
    async fn read<T: DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        let room = (RESPONSE_BYTES_MAX + 1).saturating_sub(self.line.len());
        let read = (&mut self.stream).take(room as u64).read_until(b'\n', &mut self.line).await;
        if let Err(source) = read {
            return Err(ClientError::Closed { socket: self.socket.clone(), source: Some(source) });
        }
        if self.line.last() != Some(&b'\n') {
            return Err(if self.line.len() > RESPONSE_BYTES_MAX {
                self.malformed(format!("longer than {RESPONSE_BYTES_MAX} bytes"))
            } else {
                ClientError::Closed { socket: self.socket.clone(), source: None }
            });
        }
        let line = std::mem::take(&mut self.line);
        decode_line(&line).map_err(|message| self.malformed(message))
    }

    fn malformed(&self, message: String) -> ClientError {
        ClientError::Malformed { socket: self.socket.clone(), message }
    }
}
