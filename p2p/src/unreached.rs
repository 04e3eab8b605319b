//! Peers that are known and cannot be reached, with the cause in words, for people.

use traind_protocol::ids::NodeId;

/// Where the address of a peer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOrigin {
    /// [`crate::Options::peers`] or [`crate::Handle::dial`]: dialled forever.
    Configured,
    /// The peer was met there before: dialled for days, ever more seldom.
    Remembered,
    /// Other peers, multicast DNS or Kademlia told it: dialled for minutes.
    Learned,
}

/// An address that was dialled in vain and whose node is not joined over another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreachedPeer {
    /// Who should answer there, if that is known.
    pub node: Option<NodeId>,
    /// The multiaddr, with `/p2p/...` if the node is known.
    pub address: String,
    /// Where the address is from.
    pub origin: AddressOrigin,
    /// What happened at the latest attempt, and what is likely behind it, in words.
    pub error: String,
    /// Attempts in vain since the last that reached it, or since there was reason for hope.
    pub failures: u32,
    /// Time until the next attempt, milliseconds; zero while one is running or due.
    pub next_dial_ms: u64,
}
