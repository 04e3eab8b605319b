//! What an operator can set, and how the values are found.
//!
//! defaults < the service manager's directories < file < `conf.d/*.toml` beside the file < environment
//! (`TRAIND_SECTION__KEY`) < flags. Every layer is checked on its own before `config` merges them, so that a bad value
//! is named with the place it came from.

mod address;
mod check;
mod device;
mod error;
mod file;
mod flags;
mod keys;
mod layer;
mod load;
mod merged;
mod nearest;
mod origin;
mod quantity;
mod value;
mod warnings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use traind_protocol::ids::SwarmId;
use traind_protocol::succession::QuorumLossPolicy;

pub use device::{DeviceUnavailable, ResolvedDevice, resolve_device};
pub use error::SettingsError;
pub use flags::DaemonFlags;
pub use keys::{KEYS, KeySpec, Kind};
pub use load::{Loaded, Sources, load};
pub use origin::{Origin, Place, SettingOrigin};

/// The settings file that explains every key, with all defaults: `configs/traind.toml`.
pub const DEFAULT_FILE: &str = include_str!("../../../configs/traind.toml");

/// Longest path of a unix socket, bytes: `sun_path` has 108, the last of which is the closing zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The settings of one daemon, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of everything the daemon keeps.
    pub data_dir: PathBuf,
    /// Where it computes: `auto`, `cpu`, `cuda` or `cuda:N`; see [`resolve_device`].
    pub device: String,
    /// Threads that compute; 0 means one per core.
    pub threads: usize,
    /// What it does where a majority of its council is lost.
    pub on_quorum_loss: QuorumLossPolicy,
    /// What the machine fails together with, as the name of a rack; empty for nothing but itself.
    pub failure_label: String,
    /// What it may use of this machine.
    pub limits: LimitSettings,
    /// How it stops.
    pub stop: StopSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Addresses, peers and the swarm.
    pub network: NetworkSettings,
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// What it tells other programs about itself.
    pub metrics: MetricsSettings,
    /// `--dev`: loopback only, open swarm.
    pub dev: bool,
    /// Whom to tell when the daemon is ready.
    pub ready: ReadyTargets,
}

/// What the daemon may use of its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Most memory that jobs may need on this node, bytes. `None`: no limit.
    pub memory_bytes_max: Option<u64>,
    /// Most that data sets may take on this node's disk, bytes. `None`: no limit.
    pub data_set_bytes_max: Option<u64>,
    /// Most that is sent to all peers together, bytes per second. `None`: no limit.
    pub upload_bytes_per_second_max: Option<u64>,
    /// Of that, most that chunks of checkpoints and data sets may take, bytes per second. `None`: no limit.
    pub transfer_bytes_per_second_max: Option<u64>,
    /// Least time that a micro-batch takes: what its computation leaves of it, the processor rests. Zero: no rest.
    pub micro_batch_time_min: Duration,
}

/// How the daemon stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopSettings {
    /// How long handing over work may take once the daemon was asked to stop. Zero: it hands nothing over.
    pub drain_max: Duration,
}

/// What the daemon tells other programs about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Where `GET /metrics` is answered. `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether event files for TensorBoard are written for each job, below the data directory.
    pub tensorboard: bool,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// A level, or a filter such as `info,traind_p2p=debug`.
    pub level: String,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Addresses, peers and the swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Multiaddrs to listen on, as `/ip4/0.0.0.0/tcp/7440`. Port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Multiaddrs of peers to dial, as `/ip4/192.0.2.7/tcp/7440`, with or without `/p2p/ID`.
    pub peers: Vec<String>,
    /// Whether to look for peers on the local network.
    pub mdns: bool,
    /// Whether to ask known peers for further ones (Kademlia).
    pub kademlia: bool,
    /// Interfaces whose addresses are neither told to peers nor searched, by name; `*` stands for any letters.
    pub interfaces_excluded: Vec<String>,
    /// The swarm to belong to. `None`: remembered, else learned from the first peer; a daemon that is
    /// given neither swarm nor peers founds one.
    pub swarm: Option<SwarmId>,
}

/// Whom to tell when the daemon is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadyTargets {
    /// The standard output (with `--dev`).
    pub stdout: bool,
    /// An inherited, open file descriptor.
    pub descriptor: Option<u32>,
    /// A file, which appears at once and whole.
    pub file: Option<PathBuf>,
}
