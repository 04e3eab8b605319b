//! The command line of `traind`.

use std::path::PathBuf;

use clap::Parser;

/// Trains models together with the other daemons that it finds.
#[derive(Clone, Debug, Default, Parser)]
#[command(
    name = "traind",
    version,
    after_help = "Examples:\n  traind --dev                       one open swarm on this machine, nothing kept\n  \
    traind --dev --peer /ip4/127.0.0.1/tcp/40123\n  traind --config /etc/traind/traind.toml --check-config\n  \
    traind --print-default-config > /etc/traind/traind.toml\n\nDrive the daemon with trainctl."
)]
pub struct DaemonFlags {
    /// Settings file [default: /etc/traind/traind.toml if there, none with --dev]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of everything the daemon keeps
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Address to listen on, as /ip4/0.0.0.0/tcp/7440 (may be repeated)
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Address of a peer to dial (may be repeated)
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<String>,
    /// Swarm to belong to, as trainctl status on a member shows it
    #[arg(long, value_name = "ID")]
    pub swarm: Option<String>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Threads that compute, 0 for one per core
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Path of the control socket [default: control.sock in $RUNTIME_DIRECTORY or DATA_DIR]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,
    /// Log level or filter, as info,traind_p2p=debug
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Log as text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Open swarm on loopback, any port, no mDNS
    #[arg(
        long,
        help = "Open swarm on loopback, any port, no mDNS;\na temporary data directory unless --data-dir is given"
    )]
    pub dev: bool,
    /// Check the settings, say what is wrong, and exit
    #[arg(long)]
    pub check_config: bool,
    /// Print the settings file that explains every key, with the defaults, and exit
    #[arg(long)]
    pub print_default_config: bool,
    /// Write one line of JSON to this open file descriptor when ready
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<u32>,
    /// Write one line of JSON to this file when ready
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Stop when the standard input closes, so that no daemon outlives its parent
    #[arg(long)]
    pub exit_with_stdin: bool,
}

impl DaemonFlags {
    /// The flags that are settings, as (flag, key, text). Lists are joined by commas, which no item contains.
    pub(super) fn settings(&self) -> Vec<(&'static str, &'static str, String)> {
        let list = |items: &[String]| (!items.is_empty()).then(|| items.join(","));
        [
            ("--data-dir", "data_dir", self.data_dir.clone()),
            ("--listen", "network.listen", list(&self.listen)),
            ("--peer", "network.peers", list(&self.peer)),
            ("--swarm", "network.swarm", self.swarm.clone()),
            ("--device", "device", self.device.clone()),
            ("--threads", "threads", self.threads.clone()),
            ("--socket", "control.socket", self.socket.clone()),
            ("--log-level", "log.level", self.log_level.clone()),
            ("--log-format", "log.format", self.log_format.clone()),
        ]
        .into_iter()
        .filter_map(|(flag, key, text)| text.map(|text| (flag, key, text)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound_and_its_help_fits_the_screen() {
        DaemonFlags::command().debug_assert();
        for line in DaemonFlags::command().render_long_help().to_string().lines() {
            assert!(line.chars().count() <= 100, "too wide: {line}");
        }
    }
}
