//! The one table of settings. `configs/traind.toml` explains the same keys; a test keeps both in step.

use std::time::Duration;

use traind_protocol::ledger::limits::FAILURE_LABEL_BYTES_MAX;
use traind_protocol::succession::QuorumLossPolicy;

use super::quantity::{rate_text, size_text};

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A path that is not empty.
    Path,
    /// A path, or empty for a default that follows from other settings.
    OptionalPath,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in this range, ends included.
    Integer {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// A log level or filter.
    LogFilter,
    /// Addresses to listen on.
    ListenAddresses,
    /// Addresses to dial.
    PeerAddresses,
    /// A swarm id in hexadecimal, or empty.
    SwarmId,
    /// A word for a device.
    Device,
    /// A size in this range of bytes, or empty for none.
    OptionalSize {
        /// Least, bytes.
        min: u64,
        /// Greatest, bytes.
        max: u64,
    },
    /// A rate in this range of bytes per second, or empty for none.
    OptionalRate {
        /// Least, bytes per second.
        min: u64,
        /// Greatest, bytes per second.
        max: u64,
    },
    /// A time, at most this long.
    Duration {
        /// Greatest.
        max: Duration,
    },
    /// An IP address and a port to listen on, or empty for none.
    OptionalSocketAddress,
    /// A label of letters, digits and `-_.`, or empty.
    OptionalLabel,
    /// Names of network interfaces, in which a `*` at the end stands for any letters.
    InterfacePatterns,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Its name, with dots.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its default, as TOML.
    pub default: &'static str,
}

/// Most peers or listen addresses in one list: a swarm of a lab has at most some dozens of nodes.
pub(super) const ADDRESSES_MAX: usize = 64;

/// Most threads: far above any machine, far below what would exhaust one.
pub(super) const THREADS_MAX: i64 = 1024;

/// Most patterns of interfaces: hosts have some dozens of interfaces of a few kinds.
pub(super) const INTERFACE_PATTERNS_MAX: usize = 64;

/// Longest name of a network interface, bytes: the kernel's `IFNAMSIZ` without the closing zero.
pub(super) const INTERFACE_NAME_BYTES_MAX: usize = 15;

/// Least memory that may be allowed, bytes: an idle daemon needs most of it.
pub(super) const MEMORY_BYTES_MIN: u64 = 128 << 20;

/// Most memory that may be named, bytes: far above any machine, so that a slip of the unit is seen.
pub(super) const MEMORY_BYTES_MAX: u64 = 1 << 50;

/// Least space for data sets, bytes: a slip of the unit is seen.
pub(super) const DATA_SETS_BYTES_MIN: u64 = 1 << 20;

/// Least upload rate that may be allowed, bytes per second: heartbeats and the council's records need some of it.
pub(super) const UPLOAD_RATE_MIN: u64 = 10_000;

/// Most upload rate that may be named, bytes per second: far above any network card.
pub(super) const UPLOAD_RATE_MAX: u64 = 1_000_000_000_000;

/// Longest time that a stop may take to hand over work: a service manager or a person waits for it.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(3600);

/// Longest time that a micro-batch may be made to take: a step of others waits for it.
pub(super) const MICRO_BATCH_TIME_MAX: Duration = Duration::from_secs(60);

/// The port that daemons listen on unless told otherwise.
pub(super) const PORT_DEFAULT: u16 = 7440;

/// Every setting.
pub const KEYS: &[KeySpec] = &[
    KeySpec { name: "data_dir", kind: Kind::Path, default: "\"/var/lib/traind\"" },
    KeySpec { name: "device", kind: Kind::Device, default: "\"auto\"" },
    KeySpec { name: "threads", kind: Kind::Integer { min: 0, max: THREADS_MAX }, default: "0" },
    KeySpec { name: "on_quorum_loss", kind: Kind::Choice(&QuorumLossPolicy::WORDS), default: "\"continue\"" },
    KeySpec { name: "failure_label", kind: Kind::OptionalLabel, default: "\"\"" },
    KeySpec {
        name: "limits.memory",
        kind: Kind::OptionalSize { min: MEMORY_BYTES_MIN, max: MEMORY_BYTES_MAX },
        default: "\"\"",
    },
    KeySpec {
        name: "limits.data_sets",
        kind: Kind::OptionalSize { min: DATA_SETS_BYTES_MIN, max: MEMORY_BYTES_MAX },
        default: "\"\"",
    },
    KeySpec {
        name: "limits.upload",
        kind: Kind::OptionalRate { min: UPLOAD_RATE_MIN, max: UPLOAD_RATE_MAX },
        default: "\"\"",
    },
    KeySpec {
        name: "limits.transfers",
        kind: Kind::OptionalRate { min: UPLOAD_RATE_MIN, max: UPLOAD_RATE_MAX },
        default: "\"\"",
    },
    KeySpec {
        name: "limits.micro_batch_time",
        kind: Kind::Duration { max: MICRO_BATCH_TIME_MAX },
        default: "\"0 s\"",
    },
    KeySpec { name: "stop.drain_timeout", kind: Kind::Duration { max: DRAIN_MAX }, default: "\"60 s\"" },
    KeySpec { name: "log.level", kind: Kind::LogFilter, default: "\"info\"" },
    KeySpec { name: "log.format", kind: Kind::Choice(&["text", "json"]), default: "\"text\"" },
    KeySpec { name: "network.listen", kind: Kind::ListenAddresses, default: "[\"/ip4/0.0.0.0/tcp/7440\"]" },
    KeySpec { name: "network.peers", kind: Kind::PeerAddresses, default: "[]" },
    KeySpec { name: "network.mdns", kind: Kind::Boolean, default: "true" },
    KeySpec { name: "network.kademlia", kind: Kind::Boolean, default: "true" },
    KeySpec {
        name: "network.interfaces_excluded",
        kind: Kind::InterfacePatterns,
        default: "[\"docker*\", \"veth*\", \"br-*\", \"virbr*\", \"vnet*\", \"cni*\", \"flannel*\", \"podman*\", \"lxcbr*\"]",
    },
    KeySpec { name: "network.swarm", kind: Kind::SwarmId, default: "\"\"" },
    KeySpec { name: "control.socket", kind: Kind::OptionalPath, default: "\"\"" },
    KeySpec { name: "metrics.listen", kind: Kind::OptionalSocketAddress, default: "\"\"" },
    KeySpec { name: "metrics.tensorboard", kind: Kind::Boolean, default: "true" },
];

impl KeySpec {
    /// The key of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The environment variable that sets it, as `TRAIND_LOG__LEVEL`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TRAIND_{}", self.name.replace('.', "__").to_uppercase())
    }
}

impl Kind {
    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Path => "a path that is not empty".into(),
            Self::OptionalPath => "a path, or \"\" for the default".into(),
            Self::Choice([only]) => format!("only \"{only}\""),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Boolean => "true or false".into(),
            Self::LogFilter => {
                "one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a filter such as \
                 \"info,traind_p2p=debug\""
                    .into()
            }
            Self::ListenAddresses => {
                format!(
                    "a list of 1 to {ADDRESSES_MAX} addresses such as \"/ip4/0.0.0.0/tcp/{PORT_DEFAULT}\" or \
                     \"/ip6/::/tcp/{PORT_DEFAULT}\""
                )
            }
            Self::PeerAddresses => format!(
                "a list of at most {ADDRESSES_MAX} addresses such as \"/ip4/192.0.2.7/tcp/{PORT_DEFAULT}\" or \
                 \"/dns/trainer.example/tcp/{PORT_DEFAULT}\""
            ),
            Self::SwarmId => "64 hexadecimal digits, or \"\" for none".into(),
            Self::Device => {
                "\"auto\", \"cpu\", \"cuda\", or \"cuda:N\" with the number of a GPU, as \"cuda:0\"".into()
            }
            Self::OptionalSize { min, max } => format!(
                "\"\" for no limit, or a size from {} to {} such as \"8 GiB\"",
                size_text(*min),
                size_text(*max)
            ),
            Self::OptionalRate { min, max } => format!(
                "\"\" for no limit, or a rate from {} to {} such as \"50 MB/s\" or \"400 Mbit/s\"",
                rate_text(*min),
                rate_text(*max)
            ),
            Self::Duration { max } => format!(
                "a time from 0 s to {} such as \"60 s\" or \"2 min\"",
                humantime::format_duration(*max)
            ),
            Self::OptionalSocketAddress => {
                "\"\" for off, or an address such as \"127.0.0.1:7441\" or \"[::1]:7441\"".into()
            }
            Self::OptionalLabel => {
                format!(
                    "\"\" or at most {FAILURE_LABEL_BYTES_MAX} letters, digits and -_. such as \"rack-3\""
                )
            }
            Self::InterfacePatterns => format!(
                "a list of at most {INTERFACE_PATTERNS_MAX} names of network interfaces, a * at the end for any letters, such as \
                 \"docker*\""
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_variables_follow_from_them() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{} twice", key.name);
        }
        assert_eq!(KeySpec::find("network.listen").unwrap().variable(), "TRAIND_NETWORK__LISTEN");
        assert_eq!(KeySpec::find("data_dir").unwrap().variable(), "TRAIND_DATA_DIR");
    }
}
