//! The settings of a daemon with their origins.

use serde::{Deserialize, Serialize};

/// One setting of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// Its name, with dots.
    pub key: String,
    /// Its value, as TOML.
    pub value: String,
    /// Where it came from, as `default`, `/etc/traind/traind.toml:12` or `environment variable TRAIND_THREADS`.
    pub origin: String,
}
