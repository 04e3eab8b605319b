//! The multiaddrs that settings take: TCP only, by address or by name.
//!
//! A grammar of our own, so that a bad address is refused before the network starts and by its line in the file.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest address, bytes: a name of 253, its protocol, a port and a peer id.
pub(super) const ADDRESS_BYTES_MAX: usize = 384;

/// A parsed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether it names this machine only.
    pub(super) is_loopback: bool,
    is_name: bool,
    port: u16,
    has_peer: bool,
}

impl Address {
    /// Reads `/ip4/A/tcp/P`, `/ip6/A/tcp/P` or `/dns{,4,6}/NAME/tcp/P`, each with or without `/p2p/ID`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > ADDRESS_BYTES_MAX {
            return None;
        }
        let mut parts = text.strip_prefix('/')?.split('/');
        let (protocol, host) = (parts.next()?, parts.next()?);
        let (is_loopback, is_name) = match protocol {
            "ip4" => (host.parse::<Ipv4Addr>().ok()?.is_loopback(), false),
            "ip6" => (host.parse::<Ipv6Addr>().ok()?.is_loopback(), false),
            "dns" | "dns4" | "dns6" if is_host_name(host) => (false, true),
            _ => return None,
        };
        if parts.next()? != "tcp" {
            return None;
        }
        let port_text = parts.next()?;
        let port = port_text.parse().ok()?;
        if !port_text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let has_peer = match parts.next() {
            None => false,
            Some("p2p") if parts.next().is_some_and(is_base58) => true,
            Some(_) => return None,
        };
        parts.next().is_none().then_some(Self { is_loopback, is_name, port, has_peer })
    }

    /// Whether a daemon can listen on it.
    pub(super) fn can_listen(&self) -> bool {
        !self.is_name && !self.has_peer
    }

    /// Whether it can be dialled.
    pub(super) fn can_dial(&self) -> bool {
        self.port != 0
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

fn is_base58(text: &str) -> bool {
    (40..=60).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() && !b"0OIl".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_say_what_they_are_good_for() {
        let any = Address::parse("/ip4/0.0.0.0/tcp/7440").unwrap();
        assert!(any.can_listen() && any.can_dial() && !any.is_loopback);
        let free = Address::parse("/ip4/127.0.0.1/tcp/0").unwrap();
        assert!(free.can_listen() && !free.can_dial() && free.is_loopback);
        assert!(Address::parse("/ip6/::1/tcp/1").unwrap().is_loopback);
        let named = Address::parse("/dns/trainer.example/tcp/7440").unwrap();
        assert!(!named.can_listen() && named.can_dial());
        let peer = "/ip4/10.0.0.1/tcp/7440/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        assert!(!Address::parse(peer).unwrap().can_listen());
    }

    #[test]
    fn bad_addresses_are_refused() {
        for text in [
            "",
            "/",
            "127.0.0.1:80",
            "/ip4/256.0.0.1/tcp/1",
            "/ip4/1.2.3.4",
            "/ip4/1.2.3.4/udp/1",
            "/ip4/1.2.3.4/tcp/65536",
            "/ip4/1.2.3.4/tcp/+1",
            "/ip4/1.2.3.4/tcp/1/",
            "/ip4/1.2.3.4/tcp/1/p2p",
            "/ip4/1.2.3.4/tcp/1/p2p/short",
            "/ip4/1.2.3.4/tcp/1/ws",
            "/dns/a..b/tcp/1",
            "/dns//tcp/1",
            "/ip6/1/tcp/1",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
        assert_eq!(Address::parse(&format!("/dns/{}/tcp/1", "a".repeat(500))), None);
    }
}
