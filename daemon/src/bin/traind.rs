//! The daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    traind::cli::daemon_main(std::env::args_os().skip(1))
}
