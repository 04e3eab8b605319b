//! `trainctl config show`.

use std::path::{Path, PathBuf};

use super::super::args::{ConfigVerb, OutputFormat};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::render;
use super::{ask, unexpected};
use crate::control::api::{ConfigEntry, Request, Response};
use crate::exit_code;
use crate::settings::{self, DaemonFlags, Sources};

pub(in super::super) async fn config(
    socket: &Path,
    verb: ConfigVerb,
    output: &Output,
) -> Result<u8, Failure> {
    let ConfigVerb::Show { origin, offline, config } = verb;
    let entries = if offline {
        load(config)?
    } else {
        match ask(socket, &Request::ConfigShow, output).await {
            Ok(Response::Config { entries }) => entries,
            Ok(other) => return Err(unexpected(&other)),
            Err(failure) if failure.is_not_running() && config.is_some() => {
                output.message("no daemon runs: these are the settings that one would start with");
                load(config)?
            }
            Err(failure) if failure.is_not_running() => {
                return Err(
                    failure.next("trainctl config show --offline reads the settings without a daemon")
                );
            }
            Err(failure) => return Err(failure),
        }
    };
    let with_origin = origin || output.format == OutputFormat::Wide;
    let answer = Response::Config { entries };
    match (&answer, output.format) {
        (Response::Config { entries }, OutputFormat::Table | OutputFormat::Wide) => {
            output.write(&render::printable(&render::config(entries, with_origin)))?;
        }
        _ => output.answer(&answer)?,
    }
    Ok(exit_code::OK)
}

/// The settings of a daemon that would start now with `file`.
fn load(file: Option<PathBuf>) -> Result<Vec<ConfigEntry>, Failure> {
    // A temporary directory is for a daemon that starts.
    let flags = DaemonFlags { config: file, check_config: true, ..DaemonFlags::default() };
    let loaded = settings::load(&Sources::of_process(flags)).map_err(|error| {
        Failure::new(exit_code::USAGE, format!("bad settings: {:#}", anyhow::Error::new(error)))
            .next("traind --print-default-config explains every key")
    })?;
    let entry = |setting: &settings::SettingOrigin| ConfigEntry {
        key: setting.key.to_owned(),
        value: setting.value.clone(),
        origin: setting.origin.to_string(),
    };
    Ok(loaded.origins.iter().map(entry).collect())
}
