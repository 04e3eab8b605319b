//! The keys as `config` gives them after the merge, and what spans keys: paths that follow from others, loopback with
//! `--dev`.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use traind_protocol::ids::SwarmId;
use traind_protocol::succession::QuorumLossPolicy;

use super::address::Address;
use super::error::SettingsError;
use super::flags::DaemonFlags;
use super::quantity::{duration, rate_bytes_per_second, size_bytes};
use super::{
    LimitSettings, LogSettings, MetricsSettings, NetworkSettings, ReadyTargets, SOCKET_PATH_BYTES_MAX,
    Settings, StopSettings,
};

/// Stands for "make a temporary one" among the defaults of `--dev`.
pub(super) const DEV_DATA_DIR: &str = "(temporary)";

/// All keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Merged {
    data_dir: PathBuf,
    device: String,
    threads: usize,
    on_quorum_loss: String,
    failure_label: String,
    limits: MergedLimits,
    stop: MergedStop,
    log: LogSettings,
    network: MergedNetwork,
    control: MergedControl,
    metrics: MergedMetrics,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergedLimits {
    memory: String,
    data_sets: String,
    upload: String,
    transfers: String,
    micro_batch_time: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergedStop {
    drain_timeout: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergedNetwork {
    listen: Vec<String>,
    peers: Vec<String>,
    mdns: bool,
    kademlia: bool,
    interfaces_excluded: Vec<String>,
    swarm: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergedControl {
    socket: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergedMetrics {
    listen: String,
    tensorboard: bool,
}

impl Merged {
    /// Whether the control socket's path follows from other settings.
    pub(super) fn has_socket_of_its_own(&self) -> bool {
        !self.control.socket.as_os_str().is_empty()
    }

    /// The settings; with `--dev` a temporary directory may come with them. `runtime_dir` is the service manager's.
    pub(super) fn finish(
        self,
        flags: &DaemonFlags,
        runtime_dir: Option<&str>,
    ) -> Result<(Settings, Option<TempDir>), SettingsError> {
        let metrics_listen = self.metrics.listen.parse::<SocketAddr>().ok();
        if flags.dev {
            stay_on_loopback(&self.network.listen, metrics_listen)?;
        }
        let temporary = temporary_directory(&self.data_dir, flags)?;
        let has_own = self.has_socket_of_its_own();
        let data_dir = temporary.as_ref().map_or(self.data_dir, |directory| directory.path().to_owned());
        let control_socket = match runtime_dir {
            _ if has_own => self.control.socket,
            Some(directory) => Path::new(directory).join("control.sock"),
            None => data_dir.join("control.sock"),
        };
        if control_socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let bytes_max = SOCKET_PATH_BYTES_MAX;
            return Err(SettingsError::SocketPathTooLong { path: control_socket, bytes_max });
        }
        let settings = Settings {
            data_dir,
            device: self.device,
            threads: self.threads,
            on_quorum_loss: QuorumLossPolicy::from_word(&self.on_quorum_loss).unwrap_or_default(),
            failure_label: self.failure_label,
            limits: LimitSettings {
                memory_bytes_max: size_bytes(&self.limits.memory),
                data_set_bytes_max: size_bytes(&self.limits.data_sets),
                upload_bytes_per_second_max: rate_bytes_per_second(&self.limits.upload),
                transfer_bytes_per_second_max: rate_bytes_per_second(&self.limits.transfers),
                // Every layer was checked, as below.
                micro_batch_time_min: duration(&self.limits.micro_batch_time).unwrap_or(Duration::ZERO),
            },
            stop: StopSettings {
                // Every layer was checked; a time that is none would be a bug, and must not hold up a stop.
                drain_max: duration(&self.stop.drain_timeout).unwrap_or(Duration::ZERO),
            },
            log: self.log,
            network: NetworkSettings {
                listen: self.network.listen,
                peers: self.network.peers,
                mdns: self.network.mdns,
                kademlia: self.network.kademlia,
                interfaces_excluded: self.network.interfaces_excluded,
                swarm: SwarmId::from_hex(&self.network.swarm),
            },
            control_socket,
            metrics: MetricsSettings { listen: metrics_listen, tensorboard: self.metrics.tensorboard },
            dev: flags.dev,
            ready: ReadyTargets {
                stdout: flags.dev,
                descriptor: flags.ready_fd,
                file: flags.ready_file.clone(),
            },
        };
        Ok((settings, temporary))
    }
}

/// An open swarm is not for others to reach.
fn stay_on_loopback(listen: &[String], metrics: Option<SocketAddr>) -> Result<(), SettingsError> {
    let is_open = |text: &&String| !Address::parse(text).is_some_and(|address| address.is_loopback);
    if let Some(address) = listen.iter().find(is_open) {
        let allowed = "/ip4/127.0.0.1/tcp/PORT or /ip6/::1/tcp/PORT";
        return Err(SettingsError::DevNotLoopback {
            key: "network.listen",
            address: address.clone(),
            allowed,
        });
    }
    match metrics.filter(|address| !address.ip().is_loopback()) {
        Some(address) => Err(SettingsError::DevNotLoopback {
            key: "metrics.listen",
            address: address.to_string(),
            allowed: "127.0.0.1:PORT or [::1]:PORT",
        }),
        None => Ok(()),
    }
}

/// The directory of a `--dev` daemon that was given none. A mere check makes none.
fn temporary_directory(data_dir: &Path, flags: &DaemonFlags) -> Result<Option<TempDir>, SettingsError> {
    if !flags.dev || flags.check_config || data_dir != Path::new(DEV_DATA_DIR) {
        return Ok(None);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix("traind-").permissions(Permissions::from_mode(0o700));
    builder.tempdir().map(Some).map_err(SettingsError::TemporaryDirectory)
}
