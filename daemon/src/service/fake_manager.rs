//! A service manager of the tests' own.

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;

use super::notifier::{NotifyError, ServiceNotifier};

/// The process that the notifiers take themselves for.
pub(super) const PID: u32 = 4711;

/// A socket that hears what daemons say.
#[derive(Debug)]
pub(super) struct FakeManager {
    _directory: tempfile::TempDir,
    socket: UnixDatagram,
    variables: Vec<(&'static str, OsString)>,
}

impl FakeManager {
    /// One at a path, with these variables beside `NOTIFY_SOCKET`.
    pub(super) fn new(more: &[(&'static str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { _directory: directory, socket, variables: variables(path.into(), more) }
    }

    /// One that is bound already.
    pub(super) fn at(address: OsString, socket: UnixDatagram) -> Self {
        Self { _directory: tempfile::tempdir().unwrap(), socket, variables: variables(address, &[]) }
    }

    /// A daemon's notifier for it.
    pub(super) fn notifier(&self) -> ServiceNotifier {
        notifier(&self.variables).unwrap()
    }

    /// All messages since the last call, one datagram each.
    pub(super) fn heard(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| self.socket.recv(&mut buffer).ok().map(|count| buffer[..count].to_vec()))
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect()
    }
}

/// `NOTIFY_SOCKET` and more.
pub(super) fn variables(address: OsString, more: &[(&'static str, &str)]) -> Vec<(&'static str, OsString)> {
    let more = more.iter().map(|&(name, value)| (name, value.into()));
    std::iter::once(("NOTIFY_SOCKET", address)).chain(more).collect()
}

/// The notifier for these variables.
pub(super) fn notifier(variables: &[(&'static str, OsString)]) -> Result<ServiceNotifier, NotifyError> {
    let find =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    ServiceNotifier::from_variables(find, PID)
}
