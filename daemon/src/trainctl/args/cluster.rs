//! The verbs about nodes and settings.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration::parse_duration;

#[derive(Debug, Subcommand)]
pub(in super::super) enum NodeVerb {
    /// List all nodes, live or not
    #[command(after_help = "Examples:\n  trainctl node ls\n  trainctl node ls -o wide")]
    Ls,
    /// Everything about one node
    #[command(after_help = "Examples:\n  trainctl node show --self\n  trainctl node show brave-otter-3f")]
    Show {
        /// Id, unique prefix of one, or name
        #[arg(required_unless_present = "this")]
        node: Option<String>,
        /// The node of the daemon that is asked
        #[arg(long = "self", conflicts_with = "node")]
        this: bool,
    },
}

#[derive(Debug, Args)]
pub(in super::super) struct DrainArguments {
    /// Id, unique prefix of one, or name [default: the node of the daemon that is asked]
    pub(in super::super) node: Option<String>,
    /// The node of the daemon that is asked
    #[arg(long = "self", conflicts_with = "node")]
    pub(in super::super) this: bool,
    /// Why; shown to everyone in the swarm
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    pub(in super::super) reason: String,
    /// Give up waiting after this time, as 90s, 5m or 2h; the drain goes on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(in super::super) deadline: Option<Duration>,
    /// Do not wait until the node is drained
    #[arg(long, conflicts_with = "deadline")]
    pub(in super::super) no_wait: bool,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum ConfigVerb {
    /// The daemon's settings, and where each came from
    #[command(after_help = "Examples:\n  trainctl config show --origin\n  \
        trainctl config show --offline --config /etc/traind/traind.toml")]
    Show {
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
        /// Ask no daemon: read the settings as a daemon would that starts now
        #[arg(long)]
        offline: bool,
        /// Settings file to read where no daemon is asked
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Longest reason, characters: it stands in everyone's list of nodes.
const REASON_CHARACTERS_MAX: usize = 200;

/// Reads a reason, which must fit in a line.
fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > REASON_CHARACTERS_MAX {
        return Err(format!("allowed: one line of 1 to {REASON_CHARACTERS_MAX} characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert_eq!(parse_reason(" new fan "), Ok("new fan".into()));
        for bad in ["", "  ", "a\nb", "a\u{1b}[2J", &"x".repeat(201)] {
            assert!(parse_reason(bad).is_err(), "{bad:?}");
        }
    }
}
