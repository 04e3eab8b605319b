//! Why the figures cannot be served.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// Why the figures cannot be served, with what to do next.
#[derive(Debug, Error)]
pub enum MetricsServerError {
    /// Somebody listens there.
    #[error(
        "cannot serve metrics on {address}: the port is in use; `ss -ltnp 'sport = :{port}'` says by whom; \
         set metrics.listen to another one", port = .address.port()
    )]
    InUse {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No interface has that address.
    #[error(
        "cannot serve metrics on {address}: this machine has no such address; `ip -brief address` lists those it has"
    )]
    NoSuchAddress {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Ports below 1024 belong to root.
    #[error(
        "cannot serve metrics on {address}: not allowed, as for ports below 1024; set metrics.listen to a higher one"
    )]
    NotAllowed {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Something else.
    #[error("cannot serve metrics on {address}; check metrics.listen")]
    Other {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl MetricsServerError {
    pub(super) fn of(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, source },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address, source },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { address, source },
            _ => Self::Other { address, source },
        }
    }
}
