//! What [`crate::start`] needs to know.

use traind_protocol::ids::{Boot, SeatId, SwarmId};

use crate::identity::Identity;

/// Options of the network.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's key.
    pub identity: Identity,
    /// This process.
    pub boot: Boot,
    /// The node's seat in the council's group, zero if it has none yet.
    pub seat: SeatId,
    /// The node's swarm. `None`: adopt the swarm of the first peer that has one.
    pub swarm: Option<SwarmId>,
    /// Addresses to listen on, as multiaddrs: `/ip4/127.0.0.1/tcp/0`.
    pub listen: Vec<String>,
    /// Peers to connect to, as multiaddrs with or without `/p2p/...`. Tried forever, with growing pauses.
    pub peers: Vec<String>,
    /// Addresses of peers seen in earlier runs; as [`Self::peers`], but one that does not parse is only logged.
    pub remembered: Vec<String>,
    /// Find peers on the local network by multicast DNS.
    pub mdns: bool,
    /// Numeric class, told to peers; at most 512 bytes.
    pub numeric_class: String,
    /// The bulk listener is on 127.0.0.1, only loopback addresses are dialled, and loopback addresses are published.
    pub loopback_only: bool,
}
