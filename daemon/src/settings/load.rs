//! Finds the layers, checks each, merges them through `config`, and says of every value where it came from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{Config, FileFormat};
use tempfile::TempDir;

use super::Settings;
use super::error::SettingsError;
use super::file::read;
use super::flags::DaemonFlags;
use super::keys::{KEYS, KeySpec};
use super::layer::{Entry, of_environment, of_flags};
use super::merged::{DEV_DATA_DIR, Merged};
use super::origin::{Origin, SettingOrigin};
use super::value::Value;

/// Where the settings file is looked for.
const FILE_DEFAULT: &str = "/etc/traind/traind.toml";

/// The variable in which systemd gives a unit its `StateDirectory=`.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The variable in which systemd gives a unit its `RuntimeDirectory=`.
const RUNTIME_DIRECTORY: &str = "RUNTIME_DIRECTORY";

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

    /// The first directory that the service manager names in `variable`. `--dev` is no service and has its own places,
    /// also when it is started from one.
    fn service_directory(&self, variable: &str) -> Option<String> {
        if self.flags.dev {
            return None;
        }
        let (_name, value) = self.environment.iter().find(|(name, _value)| name == variable)?;
        let first = value.to_string_lossy().split(':').next().map(str::to_owned);
        first.filter(|directory| Path::new(directory).is_absolute())
    }
}

/// Checked settings, and the temporary data directory if there is one.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every key in the order of [`KEYS`], with its value and where that came from.
    pub origins: Vec<SettingOrigin>,
    /// Removed when this is dropped.
    pub temporary: Option<TempDir>,
}

/// Loads, merges and checks all layers.
///
/// # Errors
/// The first thing that is wrong, with its place, its key and what is allowed.
pub fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
    let environment = of_environment(&sources.environment)?;
    let flags = of_flags(&sources.flags)?;
    let mut entries = Vec::new();
    for path in files(sources)? {
        entries.extend(read(&path)?);
    }
    entries.extend(environment);
    entries.extend(flags);

    let mut defaults = String::new();
    let mut origins = Vec::new();
    for spec in KEYS {
        let (value, origin) = default(spec, sources);
        defaults.push_str(&format!("{} = {value}\n", spec.name));
        origins.push(SettingOrigin { key: spec.name, value, origin });
    }
    let mut builder = Config::builder().add_source(config::File::from_str(&defaults, FileFormat::Toml));
    for Entry { spec, value, origin } in entries {
        if let Some(holds) = origins.iter_mut().find(|holds| holds.key == spec.name) {
            (holds.value, holds.origin) = (value.to_toml(), origin);
        }
        builder =
            builder.set_override(spec.name, config::ValueKind::from(value)).map_err(SettingsError::Merge)?;
    }
    let merged: Merged = builder.build().and_then(Config::try_deserialize).map_err(SettingsError::Merge)?;
    let runtime_dir = sources.service_directory(RUNTIME_DIRECTORY);
    let socket_follows = !merged.has_socket_of_its_own();
    let (settings, temporary) = merged.finish(&sources.flags, runtime_dir.as_deref())?;
    for holds in &mut origins {
        match holds.key {
            "data_dir" => holds.value = path_text(&settings.data_dir),
            "control.socket" if socket_follows => {
                holds.value = path_text(&settings.control_socket);
                if runtime_dir.is_some() {
                    holds.origin = Origin::Service(RUNTIME_DIRECTORY);
                }
            }
            _ => {}
        }
    }
    Ok(Loaded { settings, origins, temporary })
}

fn path_text(path: &Path) -> String {
    Value::Text(path.display().to_string()).to_toml()
}

/// The lowest layer. `--dev` has its own: loopback, any port, no mDNS, a temporary directory.
fn default(spec: &KeySpec, sources: &Sources) -> (String, Origin) {
    if sources.flags.dev {
        match spec.name {
            "data_dir" => return (format!("{DEV_DATA_DIR:?}"), Origin::DevDefault),
            "network.listen" => return ("[\"/ip4/127.0.0.1/tcp/0\"]".into(), Origin::DevDefault),
            "network.mdns" => return ("false".into(), Origin::DevDefault),
            _ => {}
        }
    }
    match sources.service_directory(STATE_DIRECTORY) {
        Some(directory) if spec.name == "data_dir" => {
            (Value::Text(directory).to_toml(), Origin::Service(STATE_DIRECTORY))
        }
        _ => (spec.default.into(), Origin::Default),
    }
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

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
