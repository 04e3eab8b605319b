//! The command line of `trainctl`.

mod checkpoint;
mod cluster;
mod data;
mod duration;
mod generate;
mod job;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use checkpoint::{CheckpointName, CheckpointVerb};
pub(super) use cluster::{ConfigVerb, DrainArguments, NodeVerb};
pub(super) use data::DataVerb;
use duration::parse_duration;
pub(super) use generate::GenerateArguments;
pub(super) use job::{JobVerb, MetricsFormat};
pub(super) use store::{StoreArguments, StoreVerb};

/// Above the options that every verb takes.
const EVERYWHERE: &str = "Options of every verb";

/// Drives traind: shows what it does, submits jobs, follows them.
#[derive(Debug, Parser)]
#[command(
    name = "trainctl",
    version,
    after_help = "Examples:\n  trainctl demo                 three daemons, one is killed, one joins, the result is the same\n  \
    trainctl run JOB.toml         train, starting a daemon if none runs\n  trainctl status\n  \
    trainctl job submit JOB.toml --follow\n\nExit codes: 0 ok, 1 failed, 2 usage or bad job file, 3 daemon not running, \
    4 no such object,\n5 permission, 6 timed out, 7 the job failed, 130 interrupted."
)]
pub(super) struct Arguments {
    /// Form of the data on the standard output
    #[arg(
        short,
        long,
        value_enum,
        default_value_t = OutputFormat::Table,
        global = true,
        hide_possible_values = true,
        value_name = "FORM",
        help_heading = EVERYWHERE,
        help = "Form of the data: table, wide, json, jsonl or name"
    )]
    pub(super) output: OutputFormat,
    /// Control socket of the daemon
    #[arg(
        long,
        value_name = "PATH",
        env = "TRAIND_SOCKET",
        hide_env = true,
        global = true,
        help_heading = EVERYWHERE,
        help = "Control socket of the daemon, also $TRAIND_SOCKET\n[default: control.sock in /run/traind, else in /var/lib/traind]"
    )]
    pub(super) socket: Option<PathBuf>,
    /// Give up after this time, as 90s, 10m or 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, global = true, help_heading = EVERYWHERE)]
    pub(super) timeout: Option<Duration>,
    /// Only data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = EVERYWHERE)]
    pub(super) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub(super) verbose: bool,
    /// No colour, also $NO_COLOR
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) no_color: bool,
    /// What to do
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Form of the data on the standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// For people with wide screens: all columns, nothing shortened.
    Wide,
    /// For programs: one versioned JSON object per answer or event, on a line of its own.
    Json,
    /// For programs: as `json`, and a list is one object per element.
    Jsonl,
    /// For shells: ids or names alone, one per line.
    Name,
}

impl OutputFormat {
    /// Whether programs read it.
    pub(super) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// What the demo trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoExample {
    /// LeNet-5 on handwritten digits, in seconds
    Digits,
    /// A Llama of 6.3 million parameters on a novel, in some minutes; then it writes
    Novel,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show it all on this machine: train, kill, join, compare
    #[command(
        after_help = "Needs no root, no network but loopback and no configuration; leaves nothing behind.\n\n\
        Examples:\n  trainctl demo\n  trainctl demo --nodes 5 --steps 200\n  \
        trainctl demo --example novel"
    )]
    Demo {
        /// Daemons to start with
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=8))]
        nodes: u32,
        /// What is trained
        #[arg(long, value_enum, default_value_t = DemoExample::Digits)]
        example: DemoExample,
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
    /// Let a language model go on with a text; computed here, whatever the daemon does
    #[command(after_help = "Examples:\n  trainctl generate llama-novel \"Elizabeth\"\n  \
        trainctl generate ./model \"It is a truth\" --temperature 0.7 --top-k 40")]
    Generate(GenerateArguments),
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
    /// What a job waits for, on whom, since when, and what ends it
    #[command(after_help = "Examples:\n  trainctl why lenet-digits\n  trainctl why lenet-digits -o json")]
    Why {
        /// Id, unique prefix of one, or name
        job: String,
    },
    /// Checkpoints
    Checkpoint {
        /// What to do
        #[command(subcommand)]
        verb: CheckpointVerb,
    },
    /// Data sets that nodes fetch from each other
    Data {
        /// What to do
        #[command(subcommand)]
        verb: DataVerb,
    },
    /// Chunks on a node's disk
    Store(StoreArguments),
    /// Let a node take no more work and hand over what it has; waits until it is drained
    #[command(
        after_help = "Ctrl-C ends the waiting, not the drain.\n\nExamples:\n  trainctl drain --self --reason \"new fan\"\n  \
        trainctl drain brave-otter-3f --reason upgrade --deadline 5m"
    )]
    Drain(DrainArguments),
    /// Let a drained node take work again
    #[command(after_help = "Examples:\n  trainctl undrain --self\n  trainctl undrain brave-otter-3f")]
    Undrain {
        /// Id, unique prefix of one, or name [default: the node of the daemon that is asked]
        node: Option<String>,
        /// The node of the daemon that is asked
        #[arg(long = "self", conflicts_with = "node")]
        this: bool,
    },
    /// Drain this node, let the swarm forget it, and stop its daemon
    #[command(after_help = "Example:\n  trainctl leave --self --yes")]
    Leave {
        /// The node of the daemon that is asked, which is the only one that can leave
        #[arg(long = "self")]
        this: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// What happened in the swarm: nodes, elections, jobs, checkpoints
    #[command(after_help = "Examples:\n  trainctl events --tail 20\n  trainctl events -f -o jsonl")]
    Events {
        /// Go on with new events until interrupted
        #[arg(short, long)]
        follow: bool,
        /// Old events at most
        #[arg(long, value_name = "N")]
        tail: Option<u64>,
    },
    /// Settings of the daemon
    Config {
        /// What to do
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Versions of trainctl, of the daemon and of all nodes
    #[command(after_help = "Examples:\n  trainctl version\n  trainctl version --cluster")]
    Version {
        /// The versions of all nodes, and a warning if they differ
        #[arg(long)]
        cluster: bool,
    },
    /// Write a shell's completion script to the standard output
    #[command(after_help = "Example:\n  trainctl completion bash > /etc/bash_completion.d/trainctl")]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages of trainctl and traind
    #[command(after_help = "Example:\n  trainctl man --out /usr/local/share/man")]
    Man {
        /// Directory to write man1 and man8 to, made if missing
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
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
                let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
                inner.for_each(|inner| leaves(inner, found));
            } else {
                found.push(command);
            }
        }
        let mut root = Arguments::command();
        root.build();
        let mut verbs = Vec::new();
        leaves(&root, &mut verbs);
        assert_eq!(verbs.len(), 43);
        for verb in verbs {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", verb.get_name());
            for line in verb.clone().render_long_help().to_string().lines() {
                assert!(line.chars().count() <= 100, "{}: too wide: {line}", verb.get_name());
            }
        }
    }
}
