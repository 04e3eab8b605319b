//! Whether a value is one that its key takes, and values written as plain text.

use traind_protocol::ids::SwarmId;

use super::address::Address;
use super::keys::{ADDRESSES_MAX, Kind};
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
            Self::ListenAddresses | Self::PeerAddresses => Value::List(
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
    fn log_filters_are_levels_by_target() {
        for good in ["info", "off", "info,traind_p2p=debug", "warn,traind_protocol::council=trace"] {
            assert!(Kind::LogFilter.accepts(&Value::Text(good.into())), "{good}");
        }
        for bad in ["", "loud", "info,", "info,=debug", "info,a=loud", "a b=info"] {
            assert!(!Kind::LogFilter.accepts(&Value::Text(bad.into())), "{bad}");
        }
    }

    #[test]
    fn a_swarm_id_is_whole_or_absent() {
        assert!(Kind::SwarmId.accepts(&Value::Text(String::new())));
        assert!(Kind::SwarmId.accepts(&Value::Text("ab".repeat(32))));
        assert!(!Kind::SwarmId.accepts(&Value::Text("ab".repeat(31))));
        assert!(!Kind::SwarmId.accepts(&Value::Integer(7)));
    }
}
