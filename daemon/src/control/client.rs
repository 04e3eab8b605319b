//! Asks a daemon over its control socket.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::api::{ApiError, FollowEvent, Request, Response};
use super::envelope::{decode_line, encode_line};
use super::server::RESPONSE_BYTES_MAX;

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
#[derive(Debug)]
pub struct FollowStream {
    connection: Connection,
    is_over: bool,
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

    /// Follows `job` (id, prefix or name).
    ///
    /// # Errors
    /// See [`ClientError`]; that the job does not exist is told by the first [`FollowStream::next`].
    pub async fn follow(&self, job: &str) -> Result<FollowStream, ClientError> {
        let request = Request::JobFollow { job: job.into() };
        Ok(FollowStream { connection: Connection::open(&self.socket, &request).await?, is_over: false })
    }
}

impl FollowStream {
    /// The next event; `None` after [`FollowEvent::Ended`]. Cancel-safe.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<FollowEvent>, ClientError> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Line {
            Event(FollowEvent),
            Other(Box<Response>),
        }
        if self.is_over {
            return Ok(None);
        }
        match self.connection.read().await? {
            Line::Event(event) => {
                self.is_over = matches!(event, FollowEvent::Ended { .. });
                Ok(Some(event))
            }
            Line::Other(answer) => Err(match *answer {
                Response::Error(error) => error.into(),
                other => self.connection.malformed(format!("an event expected, not {other:?}")),
            }),
        }
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
