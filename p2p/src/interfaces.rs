//! Which of our addresses belong to bridges of containers and virtual machines: the same on every host, so useless
//! to others.

use std::net::IpAddr;

use thiserror::Error;

use crate::limits::INTERFACE_PATTERNS_MAX;

/// Names of interfaces whose addresses are told to nobody, unless people say otherwise: bridges and ends of
/// containers and virtual machines. VPNs as tailscale reach other hosts and stay.
pub const INTERFACES_EXCLUDED: [&str; 9] =
    ["docker*", "veth*", "br-*", "virbr*", "vnet*", "cni*", "flannel*", "podman*", "lxcbr*"];

/// Why a list of interface names cannot be used.
#[derive(Debug, Error)]
pub(crate) enum PatternError {
    /// A `*` that is not at the end, or nothing at all.
    #[error(
        "give the name of an interface, or its beginning and a '*', as docker0 or veth*; `ip -brief link` lists them"
    )]
    Malformed,
    /// Too many of them.
    #[error("{count} names, {INTERFACE_PATTERNS_MAX} are allowed")]
    TooMany {
        /// How many were given.
        count: usize,
    },
}

/// Names of interfaces: whole ones, or beginnings with a `*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct InterfaceNames {
    patterns: Vec<String>,
}

impl InterfaceNames {
    /// The names in `patterns`, and which of them is wrong if one is.
    pub(crate) fn parse(patterns: &[String]) -> Result<Self, (String, PatternError)> {
        if patterns.len() > INTERFACE_PATTERNS_MAX {
            let first = patterns.first().cloned().unwrap_or_default();
            return Err((first, PatternError::TooMany { count: patterns.len() }));
        }
        let is_wrong = |pattern: &&String| {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            pattern.is_empty() || name.contains('*') || name.contains(char::is_whitespace)
        };
        match patterns.iter().find(is_wrong) {
            Some(wrong) => Err((wrong.clone(), PatternError::Malformed)),
            None => Ok(Self { patterns: patterns.to_vec() }),
        }
    }

    fn contain(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        })
    }
}

/// The interfaces of this host with their addresses, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interfaces {
    named: Vec<(String, IpAddr)>,
}

impl Interfaces {
    /// Those of now. None if the system does not tell: then no address is left out.
    pub(crate) fn read() -> Self {
        match if_addrs::get_if_addrs() {
            Ok(all) => Self {
                named: all.into_iter().map(|interface| (interface.name.clone(), interface.ip())).collect(),
            },
            Err(error) => {
                tracing::warn!(%error, "interfaces cannot be listed; no address is kept from others");
                Self::default()
            }
        }
    }

    /// Whether `ip` is on interfaces of these names and on no other.
    pub(crate) fn is_excluded(&self, ip: IpAddr, names: &InterfaceNames) -> bool {
        let mut on = self.named.iter().filter(|(_, other)| *other == ip).peekable();
        on.peek().is_some() && on.all(|(name, _)| names.contain(name))
    }

    /// All addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.named.iter().map(|&(_, ip)| ip)
    }
}

#[cfg(test)]
pub(crate) fn interfaces(named: &[(&str, &str)]) -> Interfaces {
    Interfaces { named: named.iter().map(|(name, ip)| ((*name).to_owned(), ip.parse().unwrap())).collect() }
}

#[cfg(test)]
pub(crate) fn names(patterns: &[&str]) -> InterfaceNames {
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    InterfaceNames::parse(&patterns).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_bridges_are_left_out_and_those_of_cards_and_vpns_stay() {
        let here = interfaces(&[
            ("lo", "127.0.0.1"),
            ("eth0", "192.168.1.7"),
            ("docker0", "172.17.0.1"),
            ("br-1a2b", "fe80::42:13ff:fe8d:1"),
            ("tailscale0", "100.64.0.3"),
            ("dockyard", "10.9.9.9"),
            // The same address on two interfaces: one of them reaches others.
            ("virbr0", "10.0.0.5"),
            ("eth1", "10.0.0.5"),
        ]);
        let excluded = names(&INTERFACES_EXCLUDED);
        for (ip, expected) in [
            ("127.0.0.1", false),
            ("192.168.1.7", false),
            ("172.17.0.1", true),
            ("fe80::42:13ff:fe8d:1", true),
            ("100.64.0.3", false),
            ("10.9.9.9", false),
            ("10.0.0.5", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(here.is_excluded(ip.parse().unwrap(), &excluded), expected, "{ip}");
        }
    }

    #[test]
    fn names_are_whole_unless_a_star_ends_them() {
        let here = interfaces(&[("eth0", "10.0.0.1"), ("eth01", "10.0.0.2")]);
        let is_excluded = |ip: &str, pattern: &str| here.is_excluded(ip.parse().unwrap(), &names(&[pattern]));
        assert!(is_excluded("10.0.0.1", "eth0") && !is_excluded("10.0.0.2", "eth0"));
        assert!(is_excluded("10.0.0.1", "eth0*") && is_excluded("10.0.0.2", "eth0*"));
        assert!(is_excluded("10.0.0.1", "*"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in ["", "a*b", "**", "eth 0"] {
            assert!(InterfaceNames::parse(&[wrong.to_owned()]).is_err(), "'{wrong}'");
        }
        let many = vec!["eth0".to_owned(); INTERFACE_PATTERNS_MAX + 1];
        assert!(matches!(InterfaceNames::parse(&many), Err((_, PatternError::TooMany { .. }))));
    }

    #[test]
    fn this_host_has_its_loopback() {
        assert!(Interfaces::read().addresses().any(|ip| ip.is_loopback()));
    }
}
