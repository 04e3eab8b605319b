//! The command line that drives the daemon; with [`traind::cli::DAEMON_ARGUMENT`] first it is the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == traind::cli::DAEMON_ARGUMENT).is_some() {
        return traind::cli::daemon_main(arguments);
    }
    traind::trainctl::main(arguments)
}
