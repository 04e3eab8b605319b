//! Transports and behaviours.

use std::io;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Swarm, SwarmBuilder, identify, mdns, noise, tcp, yamux};
use thiserror::Error;

use super::behaviour::Behaviour;
use super::control_stream::ControlStream;
use super::discreet::Discreet;
use super::kademlia::Kademlia;
use super::publish::Publish;
use crate::limits::{
    CONNECTION_TIMEOUT, CONNECTIONS_MAX, CONNECTIONS_PENDING_MAX, CONNECTIONS_PER_PEER_MAX,
    STREAMS_PER_CONNECTION_MAX,
};
use crate::options::Options;

/// Identify's name of this protocol family.
const FAMILY: &str = "traind/1";

/// Why the swarm could not be built.
#[derive(Debug, Error)]
pub(crate) enum BuildError {
    /// Noise refused the key.
    #[error("set up noise")]
    Noise(#[source] noise::Error),
    /// Interfaces cannot be watched.
    #[error("set up multicast DNS")]
    Mdns(#[source] io::Error),
    /// The system's resolver configuration cannot be read.
    #[error("set up name resolution")]
    Dns(#[source] io::Error),
}

/// The swarm, not listening yet. Must be called in the runtime that will drive it.
pub(crate) fn build(options: &Options, publish: &Publish) -> Result<Swarm<Behaviour>, BuildError> {
    if options.loopback_only {
        return build_without_names(options, publish);
    }
    match build_with_names(options, publish) {
        // A host without a resolver: addresses by number still work.
        Err(BuildError::Dns(error)) => {
            tracing::warn!(%error, "names in addresses cannot be resolved");
            build_without_names(options, publish)
        }
        built => built,
    }
}

macro_rules! over_tcp {
    ($options:expr) => {
        SwarmBuilder::with_existing_identity($options.identity.keypair().clone())
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, multiplexer)
            .map_err(BuildError::Noise)?
    };
}

macro_rules! finish {
    ($phase:expr, $options:expr, $publish:expr) => {{
        let behaviour = behaviour($options, $publish)?;
        let Ok(phase) = $phase.with_behaviour(|_| behaviour);
        phase.with_swarm_config(|config| config).with_connection_timeout(CONNECTION_TIMEOUT).build()
    }};
}

fn build_with_names(options: &Options, publish: &Publish) -> Result<Swarm<Behaviour>, BuildError> {
    let phase = over_tcp!(options).with_dns().map_err(BuildError::Dns)?;
    Ok(finish!(phase, options, publish))
}

fn build_without_names(options: &Options, publish: &Publish) -> Result<Swarm<Behaviour>, BuildError> {
    let phase = over_tcp!(options);
    Ok(finish!(phase, options, publish))
}

fn multiplexer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    config
}

fn behaviour(options: &Options, publish: &Publish) -> Result<Behaviour, BuildError> {
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(CONNECTIONS_PENDING_MAX))
        .with_max_pending_outgoing(Some(CONNECTIONS_PENDING_MAX))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
        .with_max_established(Some(CONNECTIONS_MAX));
    let key = options.identity.keypair().public();
    let agent = concat!("traind/", env!("CARGO_PKG_VERSION")).to_owned();
    let identify = identify::Config::new(FAMILY.to_owned(), key.clone())
        .with_agent_version(agent)
        .with_push_listen_addr_updates(true);
    let mdns = if options.mdns {
        let mdns = mdns::tokio::Behaviour::new(mdns::Config::default(), key.to_peer_id());
        Some(Discreet::new(mdns.map_err(BuildError::Mdns)?, publish.clone()))
    } else {
        None
    };
    let kademlia = options.kademlia.then(|| {
        let mut kademlia = Kademlia::new(key.to_peer_id());
        if let Some(swarm) = options.swarm {
            kademlia.enter(swarm);
        }
        kademlia
    });
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        control: ControlStream::default(),
        identify: Discreet::new(identify::Behaviour::new(identify), publish.clone()),
        mdns: Toggle::from(mdns),
        kademlia: Toggle::from(kademlia),
    })
}
