//! Which of our addresses belong to bridges of containers and virtual machines: the same on every host, so useless
//! to others. Read from procfs; where there is none, no address is left out.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Beginnings of the names of such interfaces.
const VIRTUAL_PREFIXES: [&str; 7] = ["docker", "veth", "br-", "virbr", "cni", "flannel", "podman"];

/// Networks and addresses of virtual interfaces, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interfaces {
    /// IPv4 networks as (network, mask, virtual?).
    networks: Vec<(u32, u32, bool)>,
    /// IPv6 addresses of virtual interfaces.
    addresses: Vec<Ipv6Addr>,
}

impl Interfaces {
    pub(crate) fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/net/route"), &read("/proc/net/if_inet6"))
    }

    /// Whether the address is one of a virtual interface.
    pub(crate) fn is_virtual(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.is_virtual_v4(ip),
            IpAddr::V6(ip) => self.addresses.contains(&ip),
        }
    }

    /// The longest matching route decides, as in the kernel.
    fn is_virtual_v4(&self, ip: Ipv4Addr) -> bool {
        let ip = u32::from(ip);
        let matching = self.networks.iter().filter(|&&(network, mask, _)| mask != 0 && ip & mask == network);
        matching.max_by_key(|&&(_, mask, _)| mask).is_some_and(|&(_, _, is_virtual)| is_virtual)
    }

    fn parse(routes: &str, addresses: &str) -> Self {
        let number =
            |text: &str| u32::from_str_radix(text, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()));
        let networks = routes.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (name, network, mask) = (fields.first()?, fields.get(1)?, fields.get(7)?);
            Some((number(network)?, number(mask)?, is_virtual_name(name)))
        });
        let addresses = addresses.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, name) = (fields.first()?, fields.get(5)?);
            is_virtual_name(name).then(|| u128::from_str_radix(address, 16).ok().map(Ipv6Addr::from))?
        });
        Self { networks: networks.collect(), addresses: addresses.collect() }
    }
}

fn is_virtual_name(name: &str) -> bool {
    VIRTUAL_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
    const ADDRESSES: &str = "00000000000000000000000000000001 01 80 10 80 lo\n\
        fe80000000000000004213fffe8d0001 05 40 20 80 br-1a2b\n";

    #[test]
    fn addresses_of_bridges_are_known() {
        let interfaces = Interfaces::parse(ROUTES, ADDRESSES);
        for (address, expected) in [
            ("172.17.0.1", true),
            ("192.168.1.7", false),
            ("8.8.8.8", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("fe80::42:13ff:fe8d:1", true),
        ] {
            assert_eq!(interfaces.is_virtual(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn without_procfs_nothing_is_left_out() {
        assert!(!Interfaces::parse("", "").is_virtual("172.17.0.1".parse().unwrap()));
        assert!(!Interfaces::parse("x\ny", "z").is_virtual("172.17.0.1".parse().unwrap()));
    }
}
