//! The one task that owns the swarm: takes events in, keeps links and peers, gives events out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, Swarm};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use traind_protocol::ids::{Boot, Millis, NodeId, SeatId, SwarmId};
use traind_protocol::wire::hello::{Hello, PROTOCOL_VERSION};

use super::behaviour::{Behaviour, BehaviourEvent};
use super::kademlia::Searches;
use super::link::{Link, Stage};
use super::peers::Peer;
use super::publish::Publish;
use crate::address;
use crate::bulk::Transport;
use crate::control::{Greeting, LinkEvent};
use crate::event::{Event, LossEvidence};
use crate::handle::{Command, Settings};
use crate::jitter::Jitter;
use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER_MAX, GREETING_MS_MAX, LINK_EVENTS_MAX, OUTBOX_FRAMES_MAX,
    OUTBOX_MAX, PAUSE_MS, PAUSE_TOLD_MS_MIN, TICK_MS,
};
use crate::node_id::node_of;
use crate::options::Options;
use crate::refusals::Refusals;
use crate::registry::Shared;
use crate::targets::Targets;

/// The driver's ends of the channels to handles and consumer.
pub(crate) struct Channels {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) settings: watch::Receiver<Settings>,
}

/// What this node says of itself.
pub(super) struct Local {
    pub(super) node: NodeId,
    pub(super) boot: Boot,
    pub(super) seat: SeatId,
    pub(super) swarm: Option<SwarmId>,
    pub(super) numeric_class: String,
    pub(super) loopback_only: bool,
    /// Whether members are told of each other.
    pub(super) peer_exchange: bool,
    pub(super) publish: Publish,
    /// Where the swarm listens.
    pub(super) listening: Vec<Multiaddr>,
}

/// See the module.
pub(crate) struct Driver {
    pub(super) local: Local,
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) bulk: Arc<dyn Transport>,
    pub(super) shared: Arc<Shared>,
    pub(super) links: BTreeMap<ConnectionId, Link>,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) targets: Targets,
    pub(super) refusals: Refusals,
    pub(super) searches: Searches,
    /// When handles were last told who cannot be reached.
    pub(super) reported: Millis,
    /// Events that the consumer has not taken yet.
    pub(super) outbox: VecDeque<Event>,
    /// Cloned for the tasks of links.
    pub(super) link_sender: mpsc::Sender<LinkEvent>,
    link_events: mpsc::Receiver<LinkEvent>,
    channels: Channels,
    ticked: Millis,
}

impl Driver {
    pub(crate) fn new(
        options: &Options,
        swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        channels: Channels,
        bulk: Arc<dyn Transport>,
        publish: Publish,
    ) -> Self {
        let local = Local {
            node: options.identity.node(),
            boot: options.boot,
            seat: options.seat,
            swarm: options.swarm,
            numeric_class: options.numeric_class.clone(),
            loopback_only: options.loopback_only,
            peer_exchange: options.peer_exchange,
            publish,
            listening: Vec::new(),
        };
        let (link_sender, link_events) = mpsc::channel(LINK_EVENTS_MAX);
        let (now, jitter) = (shared.clock.now(), Jitter::of(local.node, local.boot));
        Self {
            local,
            swarm,
            bulk,
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            targets: Targets::new(jitter.clone()),
            refusals: Refusals::default(),
            searches: Searches::new(now, jitter),
            reported: now,
            outbox: VecDeque::new(),
            link_sender,
            link_events,
            channels,
            ticked: now,
            shared,
        }
    }

    /// Drives until a handle says stop, or handles or consumer are gone. Dropping the swarm closes everything.
    pub(crate) async fn run(mut self) {
        let mut ticks = interval(Duration::from_millis(TICK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let events = self.channels.events.clone();
        loop {
            if !self.deliver() {
                return;
            }
            let waiting = self.outbox.len();
            tokio::select! {
                permit = events.reserve(), if waiting > 0 => match (permit, self.outbox.pop_front()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    _ => return,
                },
                changed = self.channels.settings.changed() => {
                    let settings = *self.channels.settings.borrow_and_update();
                    if changed.is_err() || settings.stop {
                        return;
                    }
                    self.apply(settings);
                }
                Some(Command::Dial(text)) = self.channels.commands.recv() => {
                    if let Err(error) = self.keep_address(&text) {
                        tracing::warn!(address = text, %error, "address not usable");
                    }
                }
                event = self.swarm.select_next_some(), if waiting < OUTBOX_MAX => self.on_swarm_event(event),
                Some(event) = self.link_events.recv(), if waiting < OUTBOX_FRAMES_MAX => self.on_link_event(event),
                _ = ticks.tick(), if waiting < OUTBOX_MAX => self.tick(),
            }
        }
    }

    pub(crate) fn bulk_port(&self) -> u16 {
        self.bulk.port()
    }

    /// Gives events out as long as the consumer has room; false if it is gone.
    fn deliver(&mut self) -> bool {
        while let Some(event) = self.outbox.pop_front() {
            match self.channels.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.outbox.push_front(event);
                    return true;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        true
    }

    fn apply(&mut self, settings: Settings) {
        self.local.seat = settings.seat;
        match (self.local.swarm, settings.founded) {
            (None, Some(swarm)) => self.enter_swarm(swarm),
            (Some(ours), Some(founded)) if ours != founded => {
                tracing::warn!(%ours, %founded, "swarm not founded: this node is in one already");
            }
            _ => {}
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = self.shared.clock.now();
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                match node_of(&peer_id) {
                    Some(node) => self.on_connected(node, connection_id, &endpoint, now),
                    None => {
                        self.swarm.close_connection(connection_id);
                    }
                }
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.end_link(connection_id, LossEvidence::Closed)
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, &error, now);
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                self.shared.meters.connections_failed_inbound.one();
                tracing::debug!(from = %send_back_addr, %error, "inbound connection failed");
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                let is_published = self.local.publish.is_published(&address);
                tracing::info!(%address, told_to_others = is_published, "listening");
                if is_published || self.local.publish.is_given(&address) {
                    let full = address::full(&address, self.local.node);
                    self.outbox.push_back(Event::Listening { address: full });
                }
                self.local.listening.push(address);
                self.targets.network_changed(now);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.local.listening.retain(|listening| *listening != address);
                self.targets.network_changed(now);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener failed once"),
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => {
                tracing::error!(%error, "listener closed")
            }
            _ => {}
        }
    }

    fn on_connected(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Millis,
    ) {
        self.targets.reached(connection, node, now);
        let (dialled, remote) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (true, address),
            ConnectedPoint::Listener { send_back_addr, .. } => (false, send_back_addr),
        };
        let remote = address::split(remote).map_or_else(|_| remote.clone(), |(bare, _)| bare);
        tracing::debug!(peer = %node.short(), %remote, dialled, "connected");
        if !dialled {
            self.targets.seen(node, now);
        }
        // Of a peer that was never joined, all links together count for it.
        let before = self.links.values().find(|link| link.node == node).map(|link| Arc::clone(&link.meters));
        let meters = before.or_else(|| self.shared.peer_meters(node)).unwrap_or_default();
        self.links.insert(connection, Link::new(node, dialled, remote, meters, now));
    }

    /// Deadlines: silence, handshakes, redials, addresses to dial.
    fn tick(&mut self) {
        let now = self.shared.clock.now();
        let pause_ms = now.since(self.ticked);
        if pause_ms >= PAUSE_TOLD_MS_MIN {
            tracing::warn!(pause_ms, "this process did not run; silence is excused");
        }
        if pause_ms > PAUSE_MS {
            for link in self.links.values() {
                link.pulse.excuse(now);
            }
        }
        self.ticked = now;
        let overdue = |link: &Link| match link.stage {
            Stage::Up => link.pulse.is_silent(now).then_some(LossEvidence::Silent),
            Stage::Refused { close_at } => (close_at <= now).then_some(LossEvidence::Closed),
            _ => (now.since(link.since) >= GREETING_MS_MAX).then_some(LossEvidence::Closed),
        };
        let ends: Vec<(ConnectionId, LossEvidence)> =
            self.links.iter().filter_map(|(&connection, link)| Some((connection, overdue(link)?))).collect();
        for (connection, evidence) in ends {
            if self
                .links
                .get(&connection)
                .is_some_and(|link| !matches!(link.stage, Stage::Up | Stage::Refused { .. }))
            {
                self.shared.meters.hellos_missing.one();
            }
            self.end_link(connection, evidence);
        }
        self.redial_lost(now);
        self.search(now);
        self.dial_targets(now);
        self.report_unreached(now);
    }

    /// What this node says first on every stream.
    pub(super) fn greeting(&self) -> Greeting {
        let hello = Hello {
            version: PROTOCOL_VERSION,
            swarm: self.local.swarm,
            node: self.local.node,
            boot: self.local.boot,
            seat: self.local.seat,
            bulk_port: self.bulk.port(),
            numeric_class: self.local.numeric_class.clone(),
        };
        let published =
            self.local.listening.iter().filter(|address| self.local.publish.is_published(address));
        let addresses = published.map(ToString::to_string).filter(|text| text.len() <= ADDRESS_BYTES_MAX);
        Greeting {
            hello,
            port: self.local.listening.iter().find_map(address::port).unwrap_or(0),
            addresses: addresses.take(ADDRESSES_PER_PEER_MAX).collect(),
        }
    }
}
