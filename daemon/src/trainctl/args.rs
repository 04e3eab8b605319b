//! The command line of `trainctl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Drives traind: shows what it does, submits jobs, follows them.
#[derive(Debug, Parser)]
#[command(
    name = "trainctl",
    version,
    after_help = "Examples:\n  trainctl demo                 three daemons, one is killed, one joins, the result is the same\n  \
    trainctl run JOB.toml         train, starting a daemon if none runs\n  trainctl status\n  \
    trainctl job submit JOB.toml --follow\n\nExit codes: 0 ok, 1 failed, 2 usage or bad job file, 3 daemon not running, \
    4 no such object,\n6 timed out waiting, 7 the job failed, 130 interrupted."
)]
pub(super) struct Arguments {
    /// Form of the data on the standard output
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Table, global = true)]
    pub(super) output: OutputFormat,
    /// Control socket of the daemon
    #[arg(
        long,
        value_name = "PATH",
        env = "TRAIND_SOCKET",
        hide_env = true,
        global = true,
        help = "Control socket of the daemon, also $TRAIND_SOCKET\n[default: control.sock in /run/traind, else in /var/lib/traind]"
    )]
    pub(super) socket: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Form of the data on the standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// For programs: one versioned JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show it all on this machine: train, kill, join, compare
    #[command(
        after_help = "Needs no root, no network but loopback and no configuration; leaves nothing behind.\n\n\
        Examples:\n  trainctl demo\n  trainctl demo --nodes 5 --steps 200"
    )]
    Demo {
        /// Daemons to start with
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=8))]
        nodes: u32,
        /// Steps to train instead of the job's own number
        #[arg(long, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
        steps: Option<u64>,
        /// Keep data directories and logs, and say where they are
        #[arg(long)]
        keep: bool,
    },
    /// Submit a job and follow it to its end; starts a daemon for it if none runs
    #[command(after_help = "Example:\n  trainctl run configs/jobs/lenet-digits.toml")]
    Run {
        /// Job file
        #[arg(value_name = "JOB.toml")]
        file: PathBuf,
    },
    /// How the daemon and its swarm are
    #[command(after_help = "Examples:\n  trainctl status\n  trainctl status -o json")]
    Status,
    /// Nodes of the swarm
    Node {
        /// What to do
        #[command(subcommand)]
        verb: NodeVerb,
    },
    /// Jobs
    Job {
        /// What to do
        #[command(subcommand)]
        verb: JobVerb,
    },
    /// Checkpoints
    Checkpoint {
        /// What to do
        #[command(subcommand)]
        verb: CheckpointVerb,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum NodeVerb {
    /// List all nodes, live or not
    #[command(after_help = "Example:\n  trainctl node ls")]
    Ls,
}

#[derive(Debug, Subcommand)]
pub(super) enum JobVerb {
    /// Submit a job file
    #[command(after_help = "Example:\n  trainctl job submit configs/jobs/lenet-digits.toml --follow")]
    Submit {
        /// Job file
        file: PathBuf,
        /// Show progress until the job has ended
        #[arg(long)]
        follow: bool,
    },
    /// List all jobs, and say why those wait that do
    #[command(after_help = "Example:\n  trainctl job ls")]
    Ls,
    /// Everything about one job: members, views, work, checkpoints, result
    #[command(after_help = "Examples:\n  trainctl job show lenet-digits\n  trainctl job show 3fa2 -o json")]
    Show {
        /// Id, unique prefix of one, or name
        job: String,
    },
    /// Wait until a job has ended; exit code 0 finished, 6 timed out, 7 failed or cancelled
    #[command(after_help = "Example:\n  trainctl job wait lenet-digits --timeout 10m")]
    Wait {
        /// Id, unique prefix of one, or name
        job: String,
        /// Give up after this time, as 90s, 10m or 2h
        #[arg(long, value_parser = parse_duration)]
        timeout: Option<Duration>,
    },
    /// Stop a job for good
    #[command(after_help = "Example:\n  trainctl job cancel lenet-digits")]
    Cancel {
        /// Id, unique prefix of one, or name
        job: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CheckpointVerb {
    /// List checkpoints, of all jobs or of one
    #[command(after_help = "Examples:\n  trainctl checkpoint ls\n  trainctl checkpoint ls lenet-digits")]
    Ls {
        /// Id, unique prefix of one, or name
        job: Option<String>,
    },
}

/// Reads `90`, `90s`, `10m` or `2h`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let seconds_per_unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("allowed: a whole number with s, m or h, as 90s".into()),
    };
    let count: u64 =
        digits.parse().map_err(|_| "allowed: a whole number with s, m or h, as 90s".to_owned())?;
    count.checked_mul(seconds_per_unit).map(Duration::from_secs).ok_or_else(|| "too long".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound_and_every_verb_has_an_example() {
        Arguments::command().debug_assert();
        fn leaves<'a>(command: &'a clap::Command, found: &mut Vec<&'a clap::Command>) {
            if command.has_subcommands() {
                command.get_subcommands().for_each(|inner| leaves(inner, found));
            } else {
                found.push(command);
            }
        }
        let root = Arguments::command();
        let mut verbs = Vec::new();
        leaves(&root, &mut verbs);
        assert_eq!(verbs.len(), 10);
        for verb in verbs {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", verb.get_name());
            for line in verb.clone().render_long_help().to_string().lines() {
                assert!(line.chars().count() <= 100, "{}: too wide: {line}", verb.get_name());
            }
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        for bad in ["", "s", "1d", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615h", "5µ"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
