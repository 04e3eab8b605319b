//! Finds the layers, checks each, merges them through `config`, checks what spans keys.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use config::{Config, FileFormat};
use serde::Deserialize;
use tempfile::TempDir;
use traind_protocol::ids::SwarmId;

use super::address::Address;
use super::error::{Place, SettingsError};
use super::file::{bad_value, read, unknown_key};
use super::flags::DaemonFlags;
use super::keys::{KEYS, KeySpec};
use super::{LogSettings, NetworkSettings, ReadyTargets, SOCKET_PATH_BYTES_MAX, Settings};

/// Where the settings file is looked for.
const FILE_DEFAULT: &str = "/etc/traind/traind.toml";

/// Variables that begin like settings and belong to `trainctl`.
const VARIABLES_OF_OTHERS: [&str; 1] = ["TRAIND_SOCKET"];

/// Where settings come from. An argument, so that tests need neither the real environment nor `/etc`.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The file that is read if it exists and no other is named.
    pub file_default: PathBuf,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The command line.
    pub flags: DaemonFlags,
}

impl Sources {
    /// The sources of this process.
    #[must_use]
    pub fn of_process(flags: DaemonFlags) -> Self {
        Self { file_default: FILE_DEFAULT.into(), environment: std::env::vars_os().collect(), flags }
    }
}

/// Checked settings, and the temporary data directory if there is one.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Removed when this is dropped.
    pub temporary: Option<TempDir>,
}

/// The keys as `config` gives them after the merge.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Merged {
    data_dir: PathBuf,
    device: String,
    threads: usize,
    log: LogSettings,
    network: MergedNetwork,
    control: MergedControl,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergedNetwork {
    listen: Vec<String>,
    peers: Vec<String>,
    mdns: bool,
    swarm: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergedControl {
    socket: PathBuf,
}

/// Loads, merges and checks all layers.
///
/// # Errors
/// The first thing that is wrong, with its place, its key and what is allowed.
pub fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
    let environment = environment_layer(&sources.environment)?;
    let flags = flags_layer(&sources.flags)?;
    let mut builder =
        Config::builder().add_source(config::File::from_str(&defaults(sources.flags.dev), FileFormat::Toml));
    for path in files(sources)? {
        builder = builder.add_source(config::File::from_str(&read(&path)?, FileFormat::Toml));
    }
    let mut layered = Config::builder();
    for (key, value) in environment.into_iter().chain(flags) {
        layered = layered.set_override(key, value).map_err(SettingsError::Merge)?;
    }
    builder = builder.add_source(layered.build().map_err(SettingsError::Merge)?);
    let merged: Merged = builder.build().and_then(Config::try_deserialize).map_err(SettingsError::Merge)?;
    finish(merged, &sources.flags)
}

/// Stands for "make a temporary one" among the defaults of `--dev`.
const DEV_DATA_DIR: &str = "(temporary)";

/// The lowest layer. `--dev` has its own: loopback, any port, no mDNS, a temporary directory.
fn defaults(dev: bool) -> String {
    let mut text = String::new();
    for spec in KEYS {
        let default = match spec.name {
            "data_dir" if dev => format!("{DEV_DATA_DIR:?}"),
            "network.listen" if dev => "[\"/ip4/127.0.0.1/tcp/0\"]".into(),
            "network.mdns" if dev => "false".into(),
            _ => spec.default.into(),
        };
        text.push_str(&format!("{} = {default}\n", spec.name));
    }
    text
}

/// The settings file and those of `conf.d` beside it, sorted by name. `--dev` reads only a file that it is given.
fn files(sources: &Sources) -> Result<Vec<PathBuf>, SettingsError> {
    let main = match &sources.flags.config {
        Some(path) => path.clone(),
        None if sources.flags.dev => return Ok(Vec::new()),
        None => sources.file_default.clone(),
    };
    let directory = main.parent().unwrap_or(Path::new("")).join("conf.d");
    let mut more = Vec::new();
    match std::fs::read_dir(&directory) {
        Ok(entries) => {
            for entry in entries {
                let path = entry
                    .map_err(|source| SettingsError::Unreadable { path: directory.clone(), source })?
                    .path();
                if path.extension().is_some_and(|extension| extension == "toml") {
                    more.push(path);
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(SettingsError::Unreadable { path: directory, source }),
    }
    more.sort();
    let is_asked_for = sources.flags.config.is_some();
    if is_asked_for || main.exists() {
        more.insert(0, main);
    }
    Ok(more)
}

type Layer = Vec<(&'static str, config::ValueKind)>;

fn environment_layer(environment: &[(OsString, OsString)]) -> Result<Layer, SettingsError> {
    let mut layer = Layer::new();
    for (name, value) in environment {
        let name = name.to_string_lossy();
        if !name.starts_with("TRAIND_") || VARIABLES_OF_OTHERS.contains(&name.as_ref()) {
            continue;
        }
        let place = Place::Variable(name.to_string());
        let Some(spec) = KEYS.iter().find(|spec| spec.variable() == *name) else {
            let key = name.trim_start_matches("TRAIND_").replace("__", ".").to_lowercase();
            return Err(unknown_key(place, key));
        };
        layer.push((spec.name, checked(place, spec, &value.to_string_lossy())?));
    }
    Ok(layer)
}

fn flags_layer(flags: &DaemonFlags) -> Result<Layer, SettingsError> {
    flags
        .settings()
        .into_iter()
        .filter_map(|(flag, key, text)| KeySpec::find(key).map(|spec| (flag, spec, text)))
        .map(|(flag, spec, text)| Ok((spec.name, checked(Place::Flag(flag.into()), spec, &text)?)))
        .collect()
}

fn checked(place: Place, spec: &KeySpec, text: &str) -> Result<config::ValueKind, SettingsError> {
    let value = spec.kind.read(text);
    if spec.kind.accepts(&value) { Ok(value.into()) } else { Err(bad_value(place, spec, &value)) }
}

/// What spans keys: the temporary directory, the socket's path, loopback with `--dev`.
fn finish(merged: Merged, flags: &DaemonFlags) -> Result<Loaded, SettingsError> {
    if flags.dev {
        let open = |text: &&String| !Address::parse(text).is_some_and(|address| address.is_loopback);
        if let Some(address) = merged.network.listen.iter().find(open) {
            return Err(SettingsError::DevNotLoopback { address: address.clone() });
        }
    }
    let is_temporary = flags.dev && merged.data_dir == Path::new(DEV_DATA_DIR);
    let temporary = if is_temporary && !flags.check_config {
        Some(
            tempfile::Builder::new()
                .prefix("traind-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir()
                .map_err(SettingsError::TemporaryDirectory)?,
        )
    } else {
        None
    };
    let data_dir = temporary.as_ref().map_or(merged.data_dir, |directory| directory.path().to_owned());
    let is_default = merged.control.socket.as_os_str().is_empty();
    let control_socket = if is_default { data_dir.join("control.sock") } else { merged.control.socket };
    if control_socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(SettingsError::SocketPathTooLong {
            path: control_socket,
            bytes_max: SOCKET_PATH_BYTES_MAX,
        });
    }
    let network = merged.network;
    let settings = Settings {
        data_dir,
        device: merged.device,
        threads: merged.threads,
        log: merged.log,
        network: NetworkSettings {
            listen: network.listen,
            peers: network.peers,
            mdns: network.mdns,
            swarm: SwarmId::from_hex(&network.swarm),
        },
        control_socket,
        dev: flags.dev,
        ready: ReadyTargets { stdout: flags.dev, descriptor: flags.ready_fd, file: flags.ready_file.clone() },
    };
    Ok(Loaded { settings, temporary })
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
