//! Which of our addresses others are told.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use libp2p::Multiaddr;

use crate::address;
use crate::interfaces::{InterfaceNames, Interfaces};

/// The rule, and the interfaces that it looks at. Clones share what was read of them.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    loopback_only: bool,
    /// What people gave to listen on; an unspecified IP stands for all of its family.
    given: Vec<IpAddr>,
    excluded: InterfaceNames,
    interfaces: Arc<RwLock<Interfaces>>,
}

impl Publish {
    pub(crate) fn new(loopback_only: bool, listen: &[Multiaddr], excluded: InterfaceNames) -> Self {
        Self {
            loopback_only,
            given: listen.iter().filter_map(address::ip).collect(),
            excluded,
            interfaces: Arc::new(RwLock::new(Interfaces::read())),
        }
    }

    /// An address came or went: the interfaces are looked at again.
    pub(crate) fn refresh(&self) {
        *self.interfaces.write().unwrap_or_else(PoisonError::into_inner) = Interfaces::read();
    }

    /// Addresses of hosts elsewhere only of interfaces that reach them; loopback among nodes that use nothing else, or
    /// where there is nothing else. An IPv6 link-local address means nothing without the name of an interface.
    pub(crate) fn is_published(&self, address: &Multiaddr) -> bool {
        let interfaces = self.interfaces.read().unwrap_or_else(PoisonError::into_inner);
        if address::is_loopback(address) {
            return self.loopback_only || !self.reaches_others(&interfaces);
        }
        !self.loopback_only && address::ip(address).is_none_or(|ip| self.is_useful(&interfaces, ip))
    }

    /// Whether people gave this very IP to listen on: then they are told that it is listened on, whoever else is.
    pub(crate) fn is_given(&self, address: &Multiaddr) -> bool {
        address::ip(address).is_some_and(|ip| self.given.contains(&ip))
    }

    /// Whether others can reach anything of what is listened on.
    fn reaches_others(&self, interfaces: &Interfaces) -> bool {
        let is_listened = |ip: IpAddr| {
            let all = |given: &IpAddr| given.is_unspecified() && given.is_ipv4() == ip.is_ipv4();
            self.given.contains(&ip) || self.given.iter().any(all)
        };
        interfaces
            .addresses()
            .any(|ip| !ip.is_loopback() && is_listened(ip) && self.is_useful(interfaces, ip))
    }

    /// An interface that people gave by its address is meant, whatever its name.
    fn is_useful(&self, interfaces: &Interfaces, ip: IpAddr) -> bool {
        !address::is_link_local_v6(ip)
            && (self.given.contains(&ip) || !interfaces.is_excluded(ip, &self.excluded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::{interfaces, names};

    fn publish(loopback_only: bool, listen: &str, here: &[(&str, &str)]) -> Publish {
        let listen: Vec<Multiaddr> = vec![listen.parse().unwrap()];
        let publish = Publish::new(loopback_only, &listen, names(&["docker*"]));
        *publish.interfaces.write().unwrap() = interfaces(here);
        publish
    }

    fn published(publish: &Publish) -> Vec<&'static str> {
        let all = ["127.0.0.1", "10.0.0.1", "172.17.0.1"];
        let all = all.into_iter();
        all.filter(|ip| publish.is_published(&format!("/ip4/{ip}/tcp/1").parse().unwrap())).collect()
    }

    const LO: (&str, &str) = ("lo", "127.0.0.1");
    const ETH: (&str, &str) = ("eth0", "10.0.0.1");
    const DOCKER: (&str, &str) = ("docker0", "172.17.0.1");

    #[test]
    fn others_are_told_of_cards_and_of_nothing_else() {
        let publish = publish(false, "/ip4/0.0.0.0/tcp/1", &[LO, ETH, DOCKER]);
        assert_eq!(published(&publish), ["10.0.0.1"]);
        let link_local = "/ip6/fe80::1/tcp/1".parse().unwrap();
        assert!(!publish.is_published(&link_local));
        assert!(publish.is_published(&"/ip6/2001:db8::1/tcp/1".parse().unwrap()));
    }

    #[test]
    fn loopback_is_told_where_there_is_nothing_else() {
        let all = "/ip4/0.0.0.0/tcp/1";
        assert_eq!(published(&publish(true, all, &[LO, ETH, DOCKER])), ["127.0.0.1"]);
        assert_eq!(published(&publish(false, all, &[LO, DOCKER])), ["127.0.0.1", "10.0.0.1"]);
        let only_here = publish(false, "/ip4/127.0.0.1/tcp/1", &[LO, ETH, DOCKER]);
        assert!(published(&only_here).contains(&"127.0.0.1"));
        let v6 = publish(false, "/ip6/::/tcp/1", &[LO, ETH, ("eth0", "fe80::1")]);
        assert!(v6.is_published(&"/ip6/::1/tcp/1".parse().unwrap()), "no other IPv6 address is of use");
    }

    #[test]
    fn an_address_that_people_gave_is_meant() {
        let given = publish(false, "/ip4/172.17.0.1/tcp/1", &[LO, ETH, DOCKER]);
        assert!(published(&given).contains(&"172.17.0.1"));
        let only_loopback = publish(true, "/ip4/10.0.0.1/tcp/1", &[LO, ETH, DOCKER]);
        assert_eq!(published(&only_loopback), ["127.0.0.1"]);
        assert!(only_loopback.is_given(&"/ip4/10.0.0.1/tcp/1".parse().unwrap()));
    }
}
