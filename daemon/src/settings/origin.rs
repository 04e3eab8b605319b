//! Where each value came from, for `trainctl config show --origin`.

use std::fmt;
use std::path::PathBuf;

/// Somewhere that a person can set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// Nobody set it, and `--dev` has another default.
    DevDefault,
    /// Nobody set it, and the service manager gave a directory in this variable.
    Service(&'static str),
    /// It was set there.
    Set(Place),
}

/// One setting that holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingOrigin {
    /// Its name, with dots.
    pub key: &'static str,
    /// Its value as TOML. Paths that follow from other settings are written out.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// As it begins a refusal: `traind.toml:3`.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

/// As it stands beside a value: `file /etc/traind/traind.toml:3`.
impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::DevDefault => formatter.write_str("default of --dev"),
            Self::Service(variable) => write!(formatter, "systemd ${variable}"),
            Self::Set(Place::Variable(name)) => write!(formatter, "environment {name}"),
            Self::Set(place @ Place::File { .. }) => write!(formatter, "file {place}"),
            Self::Set(place @ Place::Flag(_)) => place.fmt(formatter),
        }
    }
}
