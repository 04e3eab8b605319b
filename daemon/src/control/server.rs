//! The control socket: binds, accepts, hands each connection on. Nothing a client sends disturbs another.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::api::{ApiError, Response};
use super::backend::ControlBackend;
use super::conversation::converse;
use super::envelope::encode_line;
use crate::stop_signal::StopSignal;

/// Most connections at once: followers of several jobs and a few scripts.
pub const CONNECTIONS_MAX: usize = 64;

/// Most models that are sent at once: each may take a gigabyte of the disk.
pub(super) const UPLOADS_MAX: usize = 2;

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
        let uploads = Arc::new(Semaphore::new(UPLOADS_MAX));
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
                    let (backend, uploads) = (Arc::clone(&backend), Arc::clone(&uploads));
                    connections.spawn(async move {
                        let _place = place;
                        // An error means that the client is gone.
                        let _ = converse(stream, backend.as_ref(), &uploads).await;
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
