//! The network actor: passes what happens on the network to the council, and keeps what people want to know of it.
//!
//! Hears: the network's events, one at a time; while the council's queue is full the network waits. Frames of the data
//! connections do not come here: a thread takes them straight to the running session
//! and to the transfer thread.

mod frames;

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::{mpsc, watch};
use traind_p2p::{DataEvent, Event};
use traind_protocol::ids::SwarmId;
use traind_store::Store;

use crate::council::CouncilInbox;
use crate::session::{SessionInput, chain_of};
use crate::transfer::Transfers;

/// Where the swarm is kept in the store.
pub const SWARM_KEY: &str = "swarm";

/// Events that may wait for this actor. One, because the forwarder awaits each.
const NETWORK_MAILBOX_MAX: usize = 1;

/// What people and other parts of the daemon want to know of the network.
#[derive(Clone, Debug, Default)]
pub struct Reachability {
    /// Addresses that others can dial, with this node's id.
    pub listening: Vec<String>,
    /// A swarm that was taken over from a peer.
    pub adopted: Option<SwarmId>,
    /// Handshakes with peers of another swarm.
    pub swarms_refused: u64,
}

/// Passes network events on.
pub struct NetworkActor {
    council: mpsc::Sender<CouncilInbox>,
    store: Arc<Store>,
    reachability: watch::Sender<Reachability>,
}

impl NetworkActor {
    /// An actor that feeds `council`; the receiver sees addresses as they come.
    #[must_use]
    pub fn new(
        council: mpsc::Sender<CouncilInbox>,
        store: Arc<Store>,
    ) -> (Self, watch::Receiver<Reachability>) {
        let (reachability, seen) = watch::channel(Reachability::default());
        (Self { council, store, reachability }, seen)
    }

    /// Peers and the swarm are remembered on disk, for the next start.
    async fn remember(store: Arc<Store>, event: &Event) {
        let remembered = match event {
            Event::SwarmAdopted { swarm } => {
                let swarm = *swarm;
                tokio::task::spawn_blocking(move || store.put_local(SWARM_KEY, &swarm.0)).await
            }
            Event::PeerForgotten { address } => {
                let address = address.clone();
                tokio::task::spawn_blocking(move || store.forget_peer(&address)).await
            }
            Event::PeerJoined { address, .. } => {
                let address = address.clone();
                tokio::task::spawn_blocking(move || store.remember_peer(&address)).await
            }
            _ => return,
        };
        if let Ok(Err(error)) = remembered {
            tracing::warn!(error = chain_of(&error), "a peer or the swarm is not remembered");
        }
    }
}

impl Actor for NetworkActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(NETWORK_MAILBOX_MAX);
    }
}

/// Something happened on the network.
#[derive(Message)]
#[rtype(result = "()")]
struct NetworkEvent(Event);

impl Handler<NetworkEvent> for NetworkActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: NetworkEvent, _context: &mut Self::Context) -> Self::Result {
        self.reachability.send_if_modified(|known| note(known, &message.0));
        let (council, store) = (self.council.clone(), Arc::clone(&self.store));
        Box::pin(async move {
            let event = message.0.clone();
            // The council's thread ends only when the daemon stops.
            let _ = council.send(CouncilInbox::Network(message.0)).await;
            Self::remember(store, &event).await;
        })
    }
}

/// Is this actor there?
#[derive(Message)]
#[rtype(result = "()")]
pub struct PingNetwork;

impl Handler<PingNetwork> for NetworkActor {
    type Result = ();

    fn handle(&mut self, _message: PingNetwork, _context: &mut Self::Context) {}
}

fn note(known: &mut Reachability, event: &Event) -> bool {
    match event {
        Event::Listening { address } => known.listening.push(address.clone()),
        Event::SwarmAdopted { swarm } => known.adopted = Some(*swarm),
        Event::SwarmRefused { .. } => known.swarms_refused += 1,
        _ => return false,
    }
    true
}

/// Feeds the actor with the network's events, in order, for as long as both live.
pub async fn forward_events(mut events: mpsc::Receiver<Event>, actor: Addr<NetworkActor>) {
    while let Some(event) = events.recv().await {
        if actor.send(NetworkEvent(event)).await.is_err() {
            return;
        }
    }
}

/// Starts the thread that takes frames from the network to the running session and to the transfer thread.
///
/// # Errors
/// When the operating system gives no thread.
pub fn route_frames(
    data: mpsc::Receiver<DataEvent>,
    session: watch::Receiver<Option<mpsc::Sender<SessionInput>>>,
    transfers: Transfers,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("frames".to_owned())
        .spawn(move || frames::route(data, &session, &transfers))
        .map(|_thread| ())
}
