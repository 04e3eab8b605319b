//! Multiaddrs: which can be dialled, which may be told to whom.

use std::net::{IpAddr, SocketAddr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use thiserror::Error;
use traind_protocol::ids::NodeId;

use crate::limits::ADDRESS_BYTES_MAX;
use crate::node_id::{node_of, peer_of};

/// Why a text is no address to dial.
#[derive(Debug, Error)]
pub(crate) enum AddressError {
    /// Too long.
    #[error("address of {bytes} bytes, {ADDRESS_BYTES_MAX} are allowed")]
    TooLong {
        /// Length found.
        bytes: usize,
    },
    /// Not a multiaddr.
    #[error("not a multiaddr like /ip4/192.0.2.1/tcp/7700")]
    Malformed(#[source] libp2p::multiaddr::Error),
    /// A multiaddr, but not one of TCP on a host.
    #[error("only /ip4, /ip6 and /dns addresses with /tcp/PORT can be used")]
    NotTcp,
    /// Its `/p2p` part is not an Ed25519 key.
    #[error("its /p2p part names no Ed25519 key")]
    NotEd25519,
    /// Only loopback addresses are allowed.
    #[error("this node uses loopback addresses only")]
    NotLoopback,
}

/// An address to dial, and the node that must answer there, if the text names it.
pub(crate) fn parse(text: &str, loopback_only: bool) -> Result<(Multiaddr, Option<NodeId>), AddressError> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(AddressError::TooLong { bytes: text.len() });
    }
    let whole: Multiaddr = text.parse().map_err(AddressError::Malformed)?;
    let (address, node) = split(&whole)?;
    if !is_tcp_host(&address) {
        return Err(AddressError::NotTcp);
    }
    if loopback_only && !is_loopback(&address) {
        return Err(AddressError::NotLoopback);
    }
    Ok((address, node))
}

/// The address without a trailing `/p2p`, and the node named there.
pub(crate) fn split(address: &Multiaddr) -> Result<(Multiaddr, Option<NodeId>), AddressError> {
    let mut bare = address.clone();
    match bare.pop() {
        Some(Protocol::P2p(peer)) => Ok((bare, Some(node_of(&peer).ok_or(AddressError::NotEd25519)?))),
        _ => Ok((address.clone(), None)),
    }
}

/// The address with `/p2p` of `node`, as text.
pub(crate) fn full(address: &Multiaddr, node: NodeId) -> String {
    match peer_of(node) {
        Some(peer) => address.clone().with(Protocol::P2p(peer)).to_string(),
        None => address.to_string(),
    }
}

/// Whether this is a host and a TCP port and nothing else, neither of them unspecified.
pub(crate) fn is_tcp_host(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    host && matches!(parts.next(), Some(Protocol::Tcp(port)) if port != 0) && parts.next().is_none()
}

/// The address's IP, if it has one.
pub(crate) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The TCP port, if there is one.
pub(crate) fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

/// Whether the address is on this very host.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_loopback())
}

/// Whether the address means something only together with the name of an interface.
pub(crate) fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// IP and TCP port, if the address names its host by number.
pub(crate) fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip(address)?, port(address)?))
}

/// The host as the resolver of the operating system takes it.
pub(crate) fn host(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(ip.to_string()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into_owned()),
        _ => None,
    }
}

/// Another port on the same host.
pub(crate) fn with_port(address: &Multiaddr, port: u16) -> Option<Multiaddr> {
    let host = address.iter().next()?;
    Some(Multiaddr::empty().with(host).with(Protocol::Tcp(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_on_a_host_is_dialled() {
        for good in ["/ip4/192.0.2.1/tcp/7700", "/ip6/2001:db8::1/tcp/1", "/dns4/node.example/tcp/9"] {
            assert!(parse(good, false).is_ok(), "{good}");
        }
        for bad in
            ["/ip4/192.0.2.1/udp/7700", "/ip4/0.0.0.0/tcp/1", "/ip4/192.0.2.1/tcp/0", "/tcp/5", "x", ""]
        {
            assert!(parse(bad, false).is_err(), "{bad}");
        }
        assert!(parse(&format!("/dns4/{}/tcp/1", "x".repeat(ADDRESS_BYTES_MAX)), false).is_err());
    }

    #[test]
    fn loopback_only_refuses_everything_else() {
        assert!(parse("/ip4/127.0.0.1/tcp/1", true).is_ok());
        assert!(parse("/ip6/::1/tcp/1", true).is_ok());
        for other in ["/ip4/10.0.0.1/tcp/1", "/dns4/localhost/tcp/1"] {
            assert!(matches!(parse(other, true), Err(AddressError::NotLoopback)), "{other}");
        }
    }

    #[test]
    fn the_node_of_an_address_survives_the_way_to_text_and_back() {
        let key = libp2p::identity::Keypair::ed25519_from_bytes([3u8; 32]).unwrap();
        let node = node_of(&key.public().to_peer_id()).unwrap();
        let text = full(&"/ip4/127.0.0.1/tcp/9".parse().unwrap(), node);
        let (address, named) = parse(&text, false).unwrap();
        assert_eq!((address.to_string().as_str(), named), ("/ip4/127.0.0.1/tcp/9", Some(node)));
    }
}
