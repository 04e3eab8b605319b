//! Whether a socket can listen at an address, and if not, what people can do about it.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use thiserror::Error;

/// Why nothing can listen there.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else does.
    #[error("port {port} is taken; `ss -ltnp 'sport = :{port}'` shows by whom")]
    InUse {
        /// The port.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address is not one of this host.
    #[error(
        "{source}; no interface of this host has {ip}, this command shows those it has: ip -brief address"
    )]
    NotHere {
        /// The IP.
        ip: std::net::IpAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The port is one that only root may listen on, or the system forbids it otherwise.
    #[error("port {port} is not allowed to this user; those from 1024 on usually are")]
    NotAllowed {
        /// The port.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl ListenError {
    pub(crate) fn new(at: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::AddrInUse => Self::InUse { port: at.port(), source: error },
            ErrorKind::AddrNotAvailable => Self::NotHere { ip: at.ip(), source: error },
            ErrorKind::PermissionDenied => Self::NotAllowed { port: at.port(), source: error },
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Listens for a moment. The swarm's own sockets share their port with any other of the same user, so that a second
/// daemon would get every other connection of the first and neither would know; this one shares with nobody.
pub(crate) fn try_listen(at: SocketAddr) -> Result<(), ListenError> {
    match TcpListener::bind(at) {
        Ok(_) => Ok(()),
        Err(error) => Err(ListenError::new(at, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_with_the_command_that_shows_who_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let error = try_listen(at).unwrap_err();
        let words = error.to_string();
        assert!(matches!(error, ListenError::InUse { .. }), "{words}");
        assert!(words.contains(&format!("ss -ltnp 'sport = :{}'", at.port())), "{words}");
        drop(taken);
        try_listen(at).unwrap();
    }

    #[test]
    fn an_address_of_another_host_is_told() {
        // TEST-NET-1: no host has it.
        let error = try_listen("192.0.2.1:7440".parse().unwrap()).unwrap_err();
        assert!(matches!(error, ListenError::NotHere { .. }), "{error}");
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
    }
}
