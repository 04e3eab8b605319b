//! What [`crate::start`] needs to know.

use traind_protocol::ids::{Boot, SeatId, SwarmId};

use crate::identity::Identity;
use crate::interfaces::INTERFACES_EXCLUDED;

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
    /// Addresses of peers seen in earlier runs; as [`Self::peers`], but one that does not parse is only logged, pauses
    /// grow longer, and after a day of failures [`crate::Event::PeerForgotten`] ends it.
    pub remembered: Vec<String>,
    /// Find peers on the local network by multicast DNS.
    pub mdns: bool,
    /// Find peers anywhere by Kademlia, among the members of the swarm alone.
    pub kademlia: bool,
    /// Tell members of each other as they join. Without it, Kademlia finds them a little later.
    pub peer_exchange: bool,
    /// Interfaces whose addresses nobody is told: names, or their beginnings with a `*`. See
    /// [`crate::INTERFACES_EXCLUDED`].
    pub interfaces_excluded: Vec<String>,
    /// Cap on what all bulk connections together send, bytes per second (frames, without TLS and TCP around them).
    /// Bursts last a tenth of a second, or 64 KiB. Control messages and heartbeats are neither counted nor delayed.
    pub upload_bytes_per_second_max: Option<u64>,
    /// Cap on the chunks of checkpoints, data and states among that, bytes per second.
    pub chunk_bytes_per_second_max: Option<u64>,
    /// Numeric class, told to peers; at most 512 bytes.
    pub numeric_class: String,
    /// The bulk listener is on 127.0.0.1, only loopback addresses are dialled, and loopback addresses are published.
    pub loopback_only: bool,
}

impl Options {
    /// Of a node that belongs to no swarm, listens nowhere and knows nobody; everything else as people usually want it.
    #[must_use]
    pub fn new(identity: Identity, boot: Boot) -> Self {
        Self {
            identity,
            boot,
            seat: SeatId::default(),
            swarm: None,
            listen: Vec::new(),
            peers: Vec::new(),
            remembered: Vec::new(),
            mdns: true,
            kademlia: true,
            peer_exchange: true,
            interfaces_excluded: INTERFACES_EXCLUDED.map(str::to_owned).to_vec(),
            upload_bytes_per_second_max: None,
            chunk_bytes_per_second_max: None,
            numeric_class: String::new(),
            loopback_only: false,
        }
    }
}
