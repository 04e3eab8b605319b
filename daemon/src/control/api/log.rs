//! Lines of a daemon's log as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// One line of a daemon's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Whose log.
    pub node: NodeRef,
    /// How grave.
    pub level: LogLevel,
    /// The part of the program that wrote it, as `traind_actors::session`.
    pub target: String,
    /// The text.
    pub message: String,
    /// What the line says beside it, by name.
    pub fields: BTreeMap<String, String>,
}

/// How grave a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}
