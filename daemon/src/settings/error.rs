//! Why settings were refused: where, which key, what is allowed.

use std::path::PathBuf;

use thiserror::Error;

use super::origin::Place;

/// Why settings were refused.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is longer than any settings.
    #[error("{} is longer than {bytes_max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A file is no TOML.
    #[error("{place}: not TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser found.
        message: String,
    },
    /// A key that no setting has.
    #[error("{place}: unknown key `{key}`{}", suggestion(.nearest))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A wrong type or a value out of range.
    #[error("{place}: `{key}` cannot be {found}; allowed: {allowed}")]
    BadValue {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// What was written.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// The control socket's path is too long for the system.
    #[error(
        "the control socket's path {} has {} bytes, more than {bytes_max}: set `control.socket` (--socket) to a shorter one",
        path.display(), path.as_os_str().len()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// The limit.
        bytes_max: usize,
    },
    /// An open swarm that others could reach.
    #[error(
        "--dev starts an open swarm and listens on this machine only: `{key}` cannot be \"{address}\"; allowed: {allowed}"
    )]
    DevNotLoopback {
        /// The key.
        key: &'static str,
        /// The address.
        address: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A temporary directory could not be made.
    #[error("cannot make a temporary data directory")]
    TemporaryDirectory(#[source] std::io::Error),
    /// The layers could not be merged.
    #[error("cannot merge the settings")]
    Merge(#[source] config::ConfigError),
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}
