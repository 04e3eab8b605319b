//! Which of our addresses others are told.

use std::sync::{Arc, PoisonError, RwLock};

use libp2p::Multiaddr;

use crate::address;
use crate::interfaces::{InterfaceNames, Interfaces};

/// The rule, and the interfaces that it looks at. Clones share what was read of them.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    loopback_only: bool,
    /// Whether all that people gave to listen on is loopback.
    listens_on_loopback: bool,
    excluded: InterfaceNames,
    interfaces: Arc<RwLock<Interfaces>>,
}

impl Publish {
    pub(crate) fn new(loopback_only: bool, listen: &[Multiaddr], excluded: InterfaceNames) -> Self {
        Self {
            loopback_only,
            listens_on_loopback: !listen.is_empty() && listen.iter().all(address::is_loopback),
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
            return self.loopback_only || self.listens_on_loopback || !self.reaches_others(&interfaces);
        }
        !self.loopback_only && address::ip(address).is_none_or(|ip| self.is_useful(&interfaces, ip))
    }

    fn reaches_others(&self, interfaces: &Interfaces) -> bool {
        interfaces.addresses().any(|ip| !ip.is_loopback() && self.is_useful(interfaces, ip))
    }

    fn is_useful(&self, interfaces: &Interfaces, ip: std::net::IpAddr) -> bool {
        !address::is_link_local_v6(ip) && !interfaces.is_excluded(ip, &self.excluded)
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
    }
}
