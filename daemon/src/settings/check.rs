//! Whether a value is one that its key takes, and values written as plain text.

use std::net::SocketAddr;

use traind_protocol::ids::SwarmId;
use traind_protocol::ledger::limits::FAILURE_LABEL_BYTES_MAX;

use super::address::Address;
use super::device::is_device;
use super::keys::{ADDRESSES_MAX, INTERFACE_NAME_BYTES_MAX, INTERFACE_PATTERNS_MAX, Kind};
use super::quantity::{duration, rate_bytes_per_second, size_bytes};
use super::value::Value;

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Kind {
    /// Whether a setting of this kind takes `value`.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Path, Value::Text(text)) => !text.is_empty() && !text.contains('\0'),
            (Self::OptionalPath, Value::Text(text)) => !text.contains('\0'),
            (Self::Choice(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Self::Integer { min, max }, Value::Integer(number)) => (min..=max).contains(&number),
            (Self::Boolean, Value::Boolean(_)) => true,
            (Self::LogFilter, Value::Text(text)) => is_log_filter(text),
            (Self::SwarmId, Value::Text(text)) => text.is_empty() || SwarmId::from_hex(text).is_some(),
            (Self::ListenAddresses, Value::List(items)) => {
                !items.is_empty() && are_addresses(items, Address::can_listen)
            }
            (Self::PeerAddresses, Value::List(items)) => are_addresses(items, Address::can_dial),
            (Self::Device, Value::Text(text)) => is_device(text),
            (Self::OptionalSize { min, max }, Value::Text(text)) => {
                text.is_empty() || size_bytes(text).is_some_and(|bytes| (min..=max).contains(&&bytes))
            }
            (Self::OptionalRate { min, max }, Value::Text(text)) => {
                text.is_empty()
                    || rate_bytes_per_second(text).is_some_and(|rate| (min..=max).contains(&&rate))
            }
            (Self::Duration { max }, Value::Text(text)) => duration(text).is_some_and(|time| time <= *max),
            (Self::OptionalSocketAddress, Value::Text(text)) => {
                text.is_empty() || text.parse::<SocketAddr>().is_ok()
            }
            (Self::OptionalLabel, Value::Text(text)) => is_label(text),
            (Self::InterfacePatterns, Value::List(items)) => {
                items.len() <= INTERFACE_PATTERNS_MAX && items.iter().all(is_interface_pattern)
            }
            _ => false,
        }
    }

    /// Reads a value written without TOML's quotes, as in the environment or a flag. Lists are separated by commas.
    pub(super) fn read(&self, text: &str) -> Value {
        match self {
            Self::Integer { .. } => {
                text.trim().parse().map_or_else(|_| Value::Text(text.into()), Value::Integer)
            }
            Self::Boolean => match text.trim() {
                "true" | "1" => Value::Boolean(true),
                "false" | "0" => Value::Boolean(false),
                _ => Value::Text(text.into()),
            },
            Self::ListenAddresses | Self::PeerAddresses | Self::InterfacePatterns => Value::List(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Value::Text(item.into()))
                    .collect(),
            ),
            _ => Value::Text(text.into()),
        }
    }
}

fn are_addresses(items: &[Value], fits: fn(&Address) -> bool) -> bool {
    items.len() <= ADDRESSES_MAX
        && items.iter().all(|item| matches!(item, Value::Text(text) if Address::parse(text).is_some_and(|address| fits(&address))))
}

fn is_label(text: &str) -> bool {
    text.len() <= FAILURE_LABEL_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A name as the kernel takes it, or its beginning and a `*`.
fn is_interface_pattern(item: &Value) -> bool {
    let Value::Text(text) = item else { return false };
    !text.is_empty()
        && text.len() <= INTERFACE_NAME_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b',')
        && !text.strip_suffix('*').unwrap_or(text).contains('*')
}

/// `level` or `target=level`, separated by commas. Stricter than the library, which takes any word for a target.
fn is_log_filter(text: &str) -> bool {
    !text.is_empty()
        && text.split(',').all(|piece| {
            let (target, level) = piece.split_once('=').unwrap_or(("all", piece));
            let named =
                target.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':');
            !target.is_empty() && named && LOG_LEVELS.contains(&level)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_by_the_kind_of_its_key() {
        let integer = Kind::Integer { min: 0, max: 4 };
        assert!(integer.accepts(&integer.read("4")) && !integer.accepts(&integer.read("5")));
        assert!(!integer.accepts(&integer.read("four")));
        assert_eq!(Kind::Boolean.read("0"), Value::Boolean(false));
        assert!(!Kind::Boolean.accepts(&Kind::Boolean.read("maybe")));
        let listen = Kind::ListenAddresses;
        assert!(listen.accepts(&listen.read("/ip4/127.0.0.1/tcp/0, /ip6/::1/tcp/0")));
        assert!(
            !listen.accepts(&listen.read("")) && Kind::PeerAddresses.accepts(&Kind::PeerAddresses.read(""))
        );
    }

    #[test]
    fn labels_are_words() {
        let accepts = |text: &str| Kind::OptionalLabel.accepts(&Value::Text(text.into()));
        assert!(accepts("") && accepts("rack-3.cellar") && accepts(&"a".repeat(64)));
        assert!(!accepts("rack 3") && !accepts(&"a".repeat(65)) && !accepts("ä"));
    }

    #[test]
    fn log_filters_are_levels_by_target() {
        for good in ["info", "off", "info,traind_p2p=debug", "warn,traind_protocol::council=trace"] {
            assert!(Kind::LogFilter.accepts(&Value::Text(good.into())), "{good}");
        }
        for bad in ["", "loud", "info,", "info,=debug", "info,a=loud", "a b=info"] {
            assert!(!Kind::LogFilter.accepts(&Value::Text(bad.into())), "{bad}");
        }
    }

    #[test]
    fn limits_and_times_have_bounds_and_may_be_absent_where_it_says_so() {
        let text = |text: &str| Value::Text(text.into());
        let memory = Kind::OptionalSize { min: 128 << 20, max: 1 << 50 };
        assert!(
            memory.accepts(&text("")) && memory.accepts(&text("128 MiB")) && memory.accepts(&text("1 PiB"))
        );
        assert!(!memory.accepts(&text("127 MiB")) && !memory.accepts(&text("2 PiB")));
        assert!(!memory.accepts(&Value::Integer(8 << 30)), "a number says no unit");
        let upload = Kind::OptionalRate { min: 10_000, max: 1_000_000_000 };
        assert!(
            upload.accepts(&text(""))
                && upload.accepts(&text("10 kB/s"))
                && upload.accepts(&text("8 Gbit/s"))
        );
        assert!(!upload.accepts(&text("9 kB/s")) && !upload.accepts(&text("9 Gbit/s")));
        let drain = Kind::Duration { max: std::time::Duration::from_secs(60) };
        assert!(drain.accepts(&text("0 s")) && drain.accepts(&text("1 min")));
        assert!(!drain.accepts(&text("")) && !drain.accepts(&text("61 s")) && !drain.accepts(&text("60")));
    }

    #[test]
    fn metrics_listen_on_an_address_and_interfaces_are_names() {
        for good in ["", "127.0.0.1:7441", "[::1]:7441", "0.0.0.0:0"] {
            assert!(Kind::OptionalSocketAddress.accepts(&Value::Text(good.into())), "{good}");
        }
        for bad in ["7441", ":7441", "localhost:7441", "127.0.0.1", "127.0.0.1:65536", "::1:7441:"] {
            assert!(!Kind::OptionalSocketAddress.accepts(&Value::Text(bad.into())), "{bad}");
        }
        let interfaces = Kind::InterfacePatterns;
        assert!(
            interfaces.accepts(&interfaces.read(""))
                && interfaces.accepts(&interfaces.read("docker*, br-*,eth0"))
        );
        for bad in ["a b", "eth0/1", "sixteen-letters1", "*-br", "a*b*"] {
            assert!(!interfaces.accepts(&Value::List(vec![Value::Text(bad.into())])), "{bad}");
        }
        assert!(!interfaces.accepts(&Value::List(vec![Value::Integer(1)])));
        assert!(!interfaces.accepts(&Value::List(vec![Value::Text("a".into()); 65])));
    }

    #[test]
    fn a_swarm_id_is_whole_or_absent() {
        assert!(Kind::SwarmId.accepts(&Value::Text(String::new())));
        assert!(Kind::SwarmId.accepts(&Value::Text("ab".repeat(32))));
        assert!(!Kind::SwarmId.accepts(&Value::Text("ab".repeat(31))));
        assert!(!Kind::SwarmId.accepts(&Value::Integer(7)));
    }
}
