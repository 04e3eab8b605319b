//! The network: libp2p swarm, discovery, handshake, control streams, heartbeats and bulk connections.
//!
//! [`start`] runs everything on threads of its own and talks to the rest of the daemon through a [`Handle`] and two
//! bounded channels. Outside this crate a peer is a [`traind_protocol::ids::NodeId`]; no libp2p type leaves it.
//!
//! * **Handshake (A1).** Each side opens one control stream and sends a hello first. Until the other's hello was
//!   accepted nothing else of that peer is read; the bulk listener serves only peers whose hello was accepted.
//! * **Loss.** A closed connection is redialled at once. Redial refused: the process is dead. Neither success nor
//!   refusal within a second: it is closed. No heartbeat for too long: it is silent.
//! * **Bounds (L1).** Every queue, table and frame has a constant in `limits.rs`.

mod address;
mod back_off;
mod bulk;
mod clock;
mod control;
mod counters;
mod dial_words;
mod event;
mod handle;
mod handshake;
mod identity;
mod interfaces;
mod jitter;
mod limits;
mod listening;
mod node_id;
mod options;
mod peer_meters;
mod pulse;
mod refusals;
mod registry;
mod start;
mod suspicion;
mod swarm;
mod targets;
mod unreached;

pub use counters::Counters;
pub use event::{DataEvent, Event, LossEvidence};
pub use handle::{Handle, PeerSnapshot, SendError};
pub use identity::{Identity, IdentityError};
pub use interfaces::INTERFACES_EXCLUDED;
pub use listening::ListenError;
pub use options::Options;
pub use peer_meters::PeerCounters;
pub use start::{StartError, start};
pub use unreached::{AddressOrigin, UnreachedPeer};
