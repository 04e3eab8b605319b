//! `trainctl`: drives a daemon, or shows what daemons can do.

mod args;
mod chart;
mod daemon_process;
mod demo;
mod failure;
mod follow;
mod interrupt;
mod job_file;
mod output;
mod progress;
mod render;
mod run;
mod scratch;
mod screen;
mod socket;
mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::exit_code;
use args::{Arguments, Verb};
use failure::Failure;
use output::Output;

pub use args::OutputFormat;
pub use daemon_process::DaemonCommand;
pub use demo::{DemoOptions, demo_main};

/// The whole of `trainctl`: reads `arguments` (without the program's name), does the verb, maps to an exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = std::iter::once(OsString::from("trainctl")).chain(arguments);
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit_code::USAGE } else { exit_code::OK };
            // Nothing is left to tell it to when the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    let output = Output::of_process(arguments.output);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return output.fail(&Failure::new(exit_code::FAILED, format!("cannot start: {error}"))).into();
        }
    };
    let done = runtime.block_on(interrupt::or_interrupted(dispatch(arguments, &output)));
    match done {
        Ok(code) => code.into(),
        Err(failure) => output.fail(&failure).into(),
    }
}

async fn dispatch(arguments: Arguments, output: &Output) -> Result<u8, Failure> {
    let socket = socket::find(arguments.socket);
    match arguments.verb {
        Verb::Demo { nodes, steps, keep } => {
            let daemon = DaemonCommand::of_this_program()?;
            demo::demo(&DemoOptions { nodes, steps, keep, daemon }, output).await
        }
        Verb::Run { file } => run::run(&socket, &file, output).await,
        Verb::Status => verbs::status(&socket, output).await,
        Verb::Node { verb } => verbs::node(&socket, verb, output).await,
        Verb::Job { verb } => verbs::job(&socket, verb, output).await,
        Verb::Checkpoint { verb } => verbs::checkpoint(&socket, verb, output).await,
    }
}
