//! A host that only listens to multicast DNS, and says which addresses it was told.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};

/// The group and port of multicast DNS (RFC 6762).
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// What libp2p writes before each address (its specification of peer discovery by mDNS).
const KEY: &[u8] = b"dnsaddr=";

/// Listens on the interface with the address `ip` until the input ends.
pub(crate) fn run(ip: &str) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, GROUP.1)).unwrap();
    socket.join_multicast_v4(&GROUP.0, &ip.parse().unwrap()).unwrap();
    println!("observing");
    std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        let mut packet = [0u8; 9_000];
        while let Ok(length) = socket.recv(&mut packet) {
            for address in addresses(&packet[..length]) {
                if seen.insert(address.clone()) {
                    println!("told {address}");
                }
            }
        }
    });
    let _ = std::io::stdin().read(&mut [0u8; 1]);
}

/// The addresses in a packet: texts with their lengths in the byte before.
fn addresses(packet: &[u8]) -> Vec<String> {
    let starts = (1..packet.len()).filter(|&start| packet[start..].starts_with(KEY));
    let texts =
        starts.filter_map(|start| packet.get(start + KEY.len()..start + usize::from(packet[start - 1])));
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}
