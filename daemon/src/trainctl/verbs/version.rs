//! `trainctl version`.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::super::args::OutputFormat;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::render;
use super::{ask, unexpected};
use crate::control::api::{Request, Response, VersionInfo};
use crate::exit_code;

/// Versions of everything that was found.
#[derive(Serialize)]
#[serde(tag = "kind")]
struct VersionReport {
    /// Of `trainctl`.
    client: &'static str,
    /// Of the daemon and all nodes; `None` where no daemon runs.
    daemon: Option<VersionInfo>,
    /// Whether they are not all the same.
    mixed: bool,
}

pub(in super::super) async fn version(socket: &Path, cluster: bool, output: &Output) -> Result<u8, Failure> {
    let daemon = match ask(socket, &Request::Version, output).await {
        Ok(Response::Version(info)) => Some(info),
        Ok(other) => return Err(unexpected(&other)),
        Err(failure) if failure.is_not_running() && !cluster => None,
        Err(failure) => return Err(failure),
    };
    let client = env!("CARGO_PKG_VERSION");
    let versions = all_versions(client, daemon.as_ref());
    let report = VersionReport { client, daemon, mixed: versions.len() > 1 };
    match output.format {
        OutputFormat::Name => output.write(&format!("{client}\n"))?,
        _ => output.data(&report, || {
            render::printable(&render::version(report.client, report.daemon.as_ref(), cluster))
        })?,
    }
    if report.mixed {
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        output.message(&format!(
            "warning: versions differ ({}): all nodes change together;\n  \
            docs/operations.md has the steps under Upgrade",
            versions.join(", ")
        ));
    }
    Ok(exit_code::OK)
}

/// The distinct versions of the program that asks, of the daemon, and of the nodes that live.
fn all_versions(client: &str, daemon: Option<&VersionInfo>) -> BTreeSet<String> {
    let mut versions = BTreeSet::from([client.to_owned()]);
    if let Some(info) = daemon {
        versions.insert(info.version.clone());
        let live = info.nodes.iter().filter(|node| node.live);
        versions.extend(live.filter_map(|node| node.version.clone()));
    }
    versions
}
