//! The one table of settings. `configs/traind.toml` explains the same keys; a test keeps both in step.

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

/// The port that daemons listen on unless told otherwise.
pub(super) const PORT_DEFAULT: u16 = 7440;

/// Every setting.
pub const KEYS: &[KeySpec] = &[
    KeySpec { name: "data_dir", kind: Kind::Path, default: "\"/var/lib/traind\"" },
    KeySpec { name: "device", kind: Kind::Choice(&["cpu"]), default: "\"cpu\"" },
    KeySpec { name: "threads", kind: Kind::Integer { min: 0, max: THREADS_MAX }, default: "0" },
    KeySpec { name: "log.level", kind: Kind::LogFilter, default: "\"info\"" },
    KeySpec { name: "log.format", kind: Kind::Choice(&["text", "json"]), default: "\"text\"" },
    KeySpec { name: "network.listen", kind: Kind::ListenAddresses, default: "[\"/ip4/0.0.0.0/tcp/7440\"]" },
    KeySpec { name: "network.peers", kind: Kind::PeerAddresses, default: "[]" },
    KeySpec { name: "network.mdns", kind: Kind::Boolean, default: "true" },
    KeySpec { name: "network.swarm", kind: Kind::SwarmId, default: "\"\"" },
    KeySpec { name: "control.socket", kind: Kind::OptionalPath, default: "\"\"" },
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
