//! `trainctl demo` with daemons that only pretend to train, in processes of their own: what it does, in which order,
//! how it ends, and that nothing of it is left on any path out.
//!
//! Without libtest, because the demo starts this very program as its daemons.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cases;
mod pretend_daemon;
mod pretend_swarm;

use std::process::ExitCode;

use traind::cli::DAEMON_ARGUMENT;
use traind::trainctl::{DaemonCommand, DemoExample, DemoOptions, OutputFormat, demo_main};

/// The first argument by which this program is the demo.
const DEMO_ARGUMENT: &str = "__demo";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(DAEMON_ARGUMENT) => pretend_daemon::main(&arguments[1..]),
        Some(DEMO_ARGUMENT) => demo(arguments.get(1).is_some_and(|format| format == "json")),
        Some("--list") => ExitCode::SUCCESS,
        filter => cases::run_all(filter.filter(|text| !text.starts_with('-'))),
    }
}

fn demo(is_json: bool) -> ExitCode {
    let daemon =
        DaemonCommand { program: std::env::current_exe().unwrap(), prefix: vec![DAEMON_ARGUMENT.into()] };
    let format = if is_json { OutputFormat::Json } else { OutputFormat::Table };
    demo_main(
        &DemoOptions { nodes: 3, example: DemoExample::Digits, steps: Some(100), keep: false, daemon },
        format,
    )
}
