//! `trainctl`: drives a daemon, or shows what daemons can do.

mod args;
mod chart;
mod daemon_process;
mod demo;
mod failure;
mod follow;
mod hub;
mod interrupt;
mod job_file;
mod model_directory;
mod model_file;
mod output;
mod progress;
mod render;
mod run;
mod scratch;
mod screen;
mod socket;
mod verbs;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::exit_code;
use args::{Arguments, Verb};
use failure::Failure;
use output::{Loudness, Output, OutputOptions};

pub use args::{DemoExample, OutputFormat};
pub use daemon_process::DaemonCommand;
pub use demo::{DemoOptions, demo_main};

/// The whole of `trainctl`: reads `arguments` (without the program's name), does the verb, maps to an exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = std::iter::once(OsString::from("trainctl")).chain(arguments).collect();
    let parsed = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error, &arguments).into(),
    };
    let loudness = match (parsed.quiet, parsed.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    };
    let output =
        Output::of_process(OutputOptions { format: parsed.output, loudness, no_color: parsed.no_color });
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return output.fail(&Failure::new(exit_code::FAILED, format!("cannot start: {error}"))).into();
        }
    };
    let timeout = parsed.timeout;
    let work = in_time(dispatch(parsed, &output), timeout, &output);
    match runtime.block_on(interrupt::or_interrupted(work, &output)) {
        Ok(code) => code.into(),
        Err(failure) => output.fail(&failure).into(),
    }
}

/// Tells what is wrong with the command line, or the help that was asked for; gives the exit code.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> u8 {
    if !error.use_stderr() || !asks_for_json(arguments) {
        // Nothing is left to tell it to when the terminal is gone.
        let _ = error.print();
        return if error.use_stderr() { exit_code::USAGE } else { exit_code::OK };
    }
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(str::to_owned);
    let failure = Failure::new(exit_code::USAGE, message).next("trainctl --help");
    let failure = Failure { cause: tip, ..failure };
    let format = OutputFormat::Json;
    Output::of_process(OutputOptions { format, loudness: Loudness::Normal, no_color: true }).fail(&failure)
}

/// Whether a command line that cannot be read asks for JSON all the same.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let is_json = |word: &str| matches!(word, "json" | "jsonl");
    words.windows(2).any(|pair| matches!(pair[0], "-o" | "--output") && is_json(pair[1]))
        || words
            .iter()
            .any(|word| word.strip_prefix("--output=").or(word.strip_prefix("-o")).is_some_and(is_json))
}

/// Does `work`, but no longer than `timeout`.
async fn in_time(
    work: impl Future<Output = Result<u8, Failure>>,
    timeout: Option<Duration>,
    output: &Output,
) -> Result<u8, Failure> {
    let Some(timeout) = timeout else { return work.await };
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_elapsed| {
        let failure =
            Failure::new(exit_code::TIMED_OUT, format!("gave up after {} s (--timeout)", timeout.as_secs()));
        Err(Failure { cause: output.what_goes_on(), ..failure })
    })
}

async fn dispatch(arguments: Arguments, output: &Output) -> Result<u8, Failure> {
    let socket: &Path = &socket::find(arguments.socket);
    match arguments.verb {
        Verb::Demo { nodes, example, steps, keep } => {
            let daemon = DaemonCommand::of_this_program()?;
            demo::demo(&DemoOptions { nodes, example, steps, keep, daemon }, output).await
        }
        Verb::Run { file } => run::run(socket, &file, output).await,
        Verb::Generate(arguments) => verbs::generate(socket, &arguments, output).await,
        Verb::Status => verbs::status(socket, output).await,
        Verb::Node { verb } => verbs::node(socket, verb, output).await,
        Verb::Job { verb } => verbs::job(socket, verb, output).await,
        Verb::Why { job } => verbs::why(socket, job, output).await,
        Verb::Checkpoint { verb } => verbs::checkpoint(socket, verb, output).await,
        Verb::Data { verb } => verbs::data(socket, verb, output).await,
        Verb::Drain(arguments) => verbs::drain(socket, arguments, output).await,
        Verb::Undrain { node, this: _ } => verbs::undrain(socket, node, output).await,
        Verb::Leave { this: _, yes } => verbs::leave(socket, yes, output).await,
        Verb::Events { follow, tail } => verbs::events(socket, tail, follow, output).await,
        Verb::Config { verb } => verbs::config(socket, verb, output).await,
        Verb::Version { cluster } => verbs::version(socket, cluster, output).await,
        Verb::Completion { shell } => verbs::completion(shell, output),
        Verb::Man { out } => verbs::man(&out, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_seen_even_where_the_rest_cannot_be_read() {
        let asks = |words: &[&str]| {
            asks_for_json(&words.iter().map(|word| OsString::from(*word)).collect::<Vec<_>>())
        };
        assert!(asks(&["-o", "json", "jobb"]) && asks(&["--output=jsonl"]) && asks(&["-ojson"]));
        assert!(!asks(&["-o", "table"]) && !asks(&["job", "show", "json"]));
    }
}
