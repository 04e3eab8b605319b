//! Which control socket to talk to.

use std::path::PathBuf;

/// Where daemons of this machine listen, packaged and by default.
const SOCKETS_DEFAULT: [&str; 2] = ["/run/traind/control.sock", "/var/lib/traind/control.sock"];

/// The named socket, else the first default that exists, else the last, so that a message can name it.
pub(super) fn find(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| {
        let [packaged, own] = SOCKETS_DEFAULT.map(PathBuf::from);
        if packaged.exists() { packaged } else { own }
    })
}
