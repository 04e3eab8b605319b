//! Datagrams to the service manager, as `sd_notify(3)` describes them.
//!
//! Ours rather than the crate `sd-notify`: that one reads the environment anew for every message, so that the variables
//! would have to stay for child processes, and no test could have a socket of its own.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

/// The variables by which a service manager says what it wants to hear.
const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Longest status line, bytes: more than `systemctl status` shows on any screen.
pub const STATUS_BYTES_MAX: usize = 512;

/// How long one message may wait for room in the service manager's queue. It has room for hundreds.
const SEND_MAX: Duration = Duration::from_millis(100);

/// Why the service manager cannot be told anything.
#[derive(Debug, Error)]
pub enum NotifyError {
    /// The address is of a kind that this program does not speak.
    #[error("NOTIFY_SOCKET is {0:?}, neither an absolute path nor @ and a name")]
    Address(OsString),
    /// The socket could not be made.
    #[error("cannot make a socket for the service manager at {address:?}")]
    Socket {
        /// Its address.
        address: OsString,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Tells the service manager how the daemon is. Without a service manager every call does nothing. Clones share the
/// socket.
#[derive(Clone, Debug, Default)]
pub struct ServiceNotifier {
    target: Option<Arc<Target>>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Target {
    socket: UnixDatagram,
    address: SocketAddr,
    status: Mutex<String>,
}

impl ServiceNotifier {
    /// The notifier for what `variable` gives for `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`, seen by the
    /// process `pid`.
    ///
    /// # Errors
    /// When there is a service manager whose socket cannot be used.
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        pid: u32,
    ) -> Result<Self, NotifyError> {
        let [socket, watchdog, watchdog_pid] = VARIABLES.map(variable);
        let Some(name) = socket.filter(|name| !name.is_empty()) else { return Ok(Self::default()) };
        let failed = |source| NotifyError::Socket { address: name.clone(), source };
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(&name).map_err(failed)?,
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name).map_err(failed)?,
            _ => return Err(NotifyError::Address(name)),
        };
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.set_write_timeout(Some(SEND_MAX)).map_err(failed)?;
        let number = |text: OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
        let is_for_us = watchdog_pid.is_none_or(|text| number(text) == Some(u64::from(pid)));
        let watchdog = watchdog
            .filter(|_| is_for_us)
            .and_then(number)
            .filter(|&micros| micros > 0)
            .map(Duration::from_micros);
        Ok(Self { target: Some(Arc::new(Target { socket, address, status: Mutex::default() })), watchdog })
    }

    /// The notifier of this process; the variables are taken out of the environment, so that no child speaks for it.
    /// To be called before there are other threads; with others the variables stay.
    ///
    /// # Errors
    /// When there is a service manager whose socket cannot be used.
    pub fn take_from_environment() -> Result<Self, NotifyError> {
        let notifier = Self::from_variables(|name| std::env::var_os(name), std::process::id());
        remove_variables();
        notifier
    }

    /// Whether a service manager listens.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.target.is_some()
    }

    /// The daemon is up: the store is open, peers and `trainctl` can reach it. Not: it has peers.
    pub fn ready(&self, status: &str) {
        self.send_with_status("READY=1\n", status);
    }

    /// What the daemon does now, in words. The same words again are not sent.
    pub fn status(&self, text: &str) {
        let Some(target) = &self.target else { return };
        if *target.status.lock().unwrap_or_else(PoisonError::into_inner) != one_line(text) {
            self.send_with_status("", text);
        }
    }

    /// The daemon began to stop.
    pub fn stopping(&self, status: &str) {
        self.send_with_status("STOPPING=1\n", status);
    }

    /// Whatever the daemon is about, be it starting or stopping, may take this long from now on, also where the unit
    /// allows less.
    pub fn extend_timeout(&self, duration: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}\n", duration.as_micros()));
    }

    /// How often the service manager wants a sign of life at least: half the time after which it takes the daemon for
    /// dead. `None`: it wants none.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// The sign of life.
    pub fn feed(&self) {
        self.send("WATCHDOG=1\n");
    }

    fn send_with_status(&self, head: &str, status: &str) {
        let Some(target) = &self.target else { return };
        let line = one_line(status);
        self.send(&format!("{head}STATUS={line}\n"));
        *target.status.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    fn send(&self, message: &str) {
        let Some(target) = &self.target else { return };
        if let Err(error) = target.socket.send_to_addr(message.as_bytes(), &target.address) {
            tracing::warn!("cannot tell the service manager {:?}: {error}", message.trim_end());
        }
    }
}

/// A status is one line of the message: whatever would end it becomes a space, and what is too long is cut.
fn one_line(text: &str) -> String {
    let mut line: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    line.truncate(line.floor_char_boundary(STATUS_BYTES_MAX));
    line
}

/// Takes the variables out of the environment, if this process has one thread only.
fn remove_variables() {
    let is_single = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.take(2).count() == 1);
    if !is_single {
        return;
    }
    for name in VARIABLES {
        // SAFETY: the environment may be changed as long as no other thread reads or changes it, and the kernel has
        // just said that there is no other thread; only this one could start one.
        #[allow(unsafe_code)]
        unsafe {
            std::env::remove_var(name);
        }
    }
}

#[cfg(test)]
#[path = "notifier_tests.rs"]
mod tests;
