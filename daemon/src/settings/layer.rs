//! One layer of settings: values that are checked, each with its origin.

use std::ffi::OsString;

use super::error::SettingsError;
use super::file::unknown_key;
use super::flags::DaemonFlags;
use super::keys::{KEYS, KeySpec};
use super::origin::{Origin, Place};
use super::value::Value;

/// Variables that begin like settings and belong to `trainctl`.
const VARIABLES_OF_OTHERS: [&str; 1] = ["TRAIND_SOCKET"];

/// One value of one layer.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) spec: &'static KeySpec,
    /// Its value here.
    pub(super) value: Value,
    /// Where that stands.
    pub(super) origin: Origin,
}

impl Entry {
    /// An entry, if the key takes the value.
    pub(super) fn checked(spec: &'static KeySpec, value: Value, place: Place) -> Result<Self, SettingsError> {
        if spec.kind.accepts(&value) {
            return Ok(Self { spec, value, origin: Origin::Set(place) });
        }
        Err(SettingsError::BadValue {
            place,
            key: spec.name.into(),
            found: value.describe(),
            allowed: spec.kind.allowed(),
        })
    }
}

/// The variables that are settings.
pub(super) fn of_environment(environment: &[(OsString, OsString)]) -> Result<Vec<Entry>, SettingsError> {
    let mut layer = Vec::new();
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
        layer.push(Entry::checked(spec, spec.kind.read(&value.to_string_lossy()), place)?);
    }
    Ok(layer)
}

/// The flags that are settings.
pub(super) fn of_flags(flags: &DaemonFlags) -> Result<Vec<Entry>, SettingsError> {
    flags
        .settings()
        .into_iter()
        .filter_map(|(flag, key, text)| KeySpec::find(key).map(|spec| (flag, spec, text)))
        .map(|(flag, spec, text)| Entry::checked(spec, spec.kind.read(&text), Place::Flag(flag.into())))
        .collect()
}
