//! The behaviours of the swarm.

use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{connection_limits, identify, mdns};

use super::control_stream::ControlStream;
use super::discreet::Discreet;
use super::kademlia::Kademlia;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// First, so that a connection above the limits reaches no other.
    pub(super) limits: connection_limits::Behaviour,
    pub(super) control: ControlStream,
    pub(super) identify: Discreet<identify::Behaviour>,
    pub(super) mdns: Toggle<Discreet<mdns::tokio::Behaviour>>,
    pub(super) kademlia: Toggle<Kademlia>,
}
