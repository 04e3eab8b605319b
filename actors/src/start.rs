//! Starts the actors of one node and stops them in reverse.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use traind_p2p::{DataEvent, Event};
use traind_protocol::ids::{Boot, Life, NodeId, SwarmId};
use traind_protocol::ledger::{JobStatus, LedgerCommand};
use traind_protocol::succession::QuorumLossPolicy;
use traind_protocol::wire::control::Registration;
use traind_store::Store;

use crate::checkpoints::{Checkpoints, KeepCheckpoints, RestingCheckpoints};
use crate::checks::{CheckParts, Checks};
use crate::clock::Clock;
use crate::council::{
    COUNCIL_INBOX_MAX, CouncilActor, CouncilError, CouncilInbox, CouncilParts, CouncilView, Propose,
    Published, StopCouncil, StopRegistering,
};
use crate::data_sets::{DataSetParts, DataSets, folder_of};
use crate::fatal::Fatal;
use crate::network::{NetworkActor, Reachability, forward_events, route_frames};
use crate::replicas::{self, ReplicaParts, Verdicts};
use crate::session::{
    DescribeSession, LedgerPublished, SessionDescription, SessionParts, Sessions, StopSession,
};
use crate::transfer::{TransferParts, Transfers};

/// What the composition root has opened before the actors start.
pub struct Parts {
    /// This process.
    pub me: Life,
    /// What this node tells when it registers.
    pub registration: Registration,
    /// The swarm to found, for the first node of one.
    pub found: Option<SwarmId>,
    /// What this node does where a majority of its council is lost.
    pub on_quorum_loss: QuorumLossPolicy,
    /// The network.
    pub network: traind_p2p::Handle,
    /// Its events.
    pub events: mpsc::Receiver<Event>,
    /// Its frames.
    pub data: mpsc::Receiver<DataEvent>,
    /// The store.
    pub store: Arc<Store>,
    /// Bytes that a job may take on this node; `None` is no limit.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of the disk that data sets may take; `None` is no limit.
    pub data_set_bytes_max: Option<u64>,
    /// Least time that a micro-batch takes on this node; zero is no rest.
    pub microbatch_time_min: Duration,
    /// No byte is sent that only saves time: what is sent costs.
    pub spares_upload: bool,
    /// How the daemon learns that it cannot go on.
    pub fatal: Fatal,
}

/// Why the actors did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The council.
    #[error("starting the council")]
    Council(#[from] CouncilError),
    /// A thread.
    #[error("starting a thread")]
    Thread(#[source] std::io::Error),
}

/// The running actors of one node.
#[derive(Clone)]
pub struct NodeActors {
    /// This node.
    pub node: NodeId,
    /// The nonce of this process.
    pub boot: Boot,
    /// Ledger, council and progress, to watch.
    pub view: CouncilView,
    /// The clock that everything published is told by.
    pub clock: Clock,
    /// Addresses, to watch.
    pub reachability: watch::Receiver<Reachability>,
    /// Chunks from and to other nodes.
    pub transfers: Transfers,
    /// Data sets of the swarm on this node.
    pub data_sets: DataSets,
    pub(crate) council: Addr<CouncilActor>,
    pub(crate) sessions: Addr<Sessions>,
    pub(crate) checkpoints: Addr<Checkpoints>,
    pub(crate) network: Addr<NetworkActor>,
}

/// Starts all actors on the current actix system.
///
/// # Errors
/// When the council's log cannot be taken up or a thread cannot be started.
pub fn start(parts: Parts) -> Result<NodeActors, StartError> {
    let clock = Clock::start();
    let (inbox, inputs) = mpsc::channel(COUNCIL_INBOX_MAX);
    let council_parts = CouncilParts {
        me: parts.me,
        registration: parts.registration.clone(),
        found: parts.found,
        on_quorum_loss: parts.on_quorum_loss,
        clock,
        network: parts.network.clone(),
        store: Arc::clone(&parts.store),
        fatal: parts.fatal.clone(),
    };
    let (council, view) = CouncilActor::open(council_parts, inbox.clone(), inputs)?;
    let council = council.start();
    let checkpoints = Checkpoints::new(Arc::clone(&parts.store)).map_err(StartError::Thread)?.start();
    let (network, reachability) = NetworkActor::new(inbox.clone(), Arc::clone(&parts.store));
    let (transfers, data_sets) = start_transfers(&parts, clock, &view, &inbox).map_err(StartError::Thread)?;
    let (store, device) = (Arc::clone(&parts.store), parts.registration.device.clone());
    let (frames, frames_seen) = watch::channel(None);
    let sessions = Sessions::new(SessionParts {
        me: parts.me,
        device: parts.registration.device,
        memory_bytes_max: parts.memory_bytes_max,
        microbatch_time_min: parts.microbatch_time_min,
        spares_upload: parts.spares_upload,
        clock,
        network: parts.network,
        council: inbox.clone(),
        checkpoints: checkpoints.clone(),
        store: parts.store,
        transfers: transfers.clone(),
        data_sets: data_sets.clone(),
        frames,
        fatal: parts.fatal,
    })
    .start();
    let checks = Checks::new(CheckParts {
        me: parts.me,
        device,
        memory_bytes_max: parts.memory_bytes_max,
        data_sets: data_sets.clone(),
        council: inbox,
        sessions: sessions.clone(),
    })
    .start();
    let network = network.start();
    actix::spawn(forward_events(parts.events, network.clone()));
    route_frames(parts.data, frames_seen, transfers.clone()).map_err(StartError::Thread)?;
    let followers = (sessions.clone(), checks, checkpoints.clone(), data_sets.clone());
    let resting = RestingCheckpoints::new(store);
    actix::spawn(follow_ledger(view.published.clone(), followers, resting));
    let Life { node, boot } = parts.me;
    Ok(NodeActors {
        node,
        boot,
        view,
        clock,
        reachability,
        transfers,
        data_sets,
        council,
        sessions,
        checkpoints,
        network,
    })
}

/// What moves chunks, what keeps copies of checkpoints and what makes data sets of them.
fn start_transfers(
    parts: &Parts,
    clock: Clock,
    view: &CouncilView,
    council: &mpsc::Sender<CouncilInbox>,
) -> std::io::Result<(Transfers, DataSets)> {
    let chunks = parts.store.chunks();
    let verdicts = Verdicts::new(parts.me.node);
    let transfers = Transfers::start(TransferParts {
        node: parts.me.node,
        clock,
        network: parts.network.clone(),
        chunks: Arc::clone(chunks),
        verdicts: verdicts.clone(),
    })?;
    replicas::start(ReplicaParts {
        node: parts.me.node,
        store: Arc::clone(&parts.store),
        transfers: transfers.clone(),
        published: view.published.clone(),
        council: council.clone(),
        verdicts,
    });
    let data_sets = DataSets::new(DataSetParts {
        node: parts.me.node,
        folder: folder_of(parts.store.path()),
        bytes_max: parts.data_set_bytes_max,
        chunks: Arc::clone(chunks),
        transfers: transfers.clone(),
        published: view.published.clone(),
        council: council.clone(),
    });
    Ok((transfers, data_sets))
}

/// Tells the actors that act on the ledger whenever it changed.
async fn follow_ledger(
    mut published: watch::Receiver<Arc<Published>>,
    followers: (Addr<Sessions>, Addr<Checks>, Addr<Checkpoints>, DataSets),
    mut resting: RestingCheckpoints,
) {
    let (sessions, checks, checkpoints, data_sets) = followers;
    loop {
        let now = published.borrow_and_update().clone();
        for job in now.ledger.jobs.values().filter(|job| job.status == JobStatus::Running) {
            // Left out when the store is busy: the next change of the ledger asks again.
            let _ = checkpoints.try_send(KeepCheckpoints::of(&now.ledger, job));
        }
        resting.follow(&now.ledger);
        data_sets.follow(&now.ledger);
        // Left out when it has much to do: the next change of the ledger tells the same and more.
        let _ = checks.try_send(LedgerPublished(Arc::clone(&now)));
        if sessions.send(LedgerPublished(now)).await.is_err() || published.changed().await.is_err() {
            return;
        }
    }
}

impl NodeActors {
    /// Puts a change to the council. It may be lost: look at the ledger and ask again.
    pub async fn propose(&self, command: LedgerCommand) -> bool {
        self.council.send(Propose(command)).await.unwrap_or(false)
    }

    /// This node is about to leave for good: it no longer asks to be in the ledger.
    pub async fn stop_registering(&self) {
        // A council that is gone registers no more.
        let _ = self.council.send(StopRegistering).await;
    }

    /// What the session of this node is doing, if it has one.
    pub async fn describe_session(&self) -> Option<SessionDescription> {
        self.sessions.send(DescribeSession).await.ok().flatten()
    }

    /// Stops sessions, then the council. The network is the composition root's to stop.
    pub async fn stop(&self) {
        // An actor that is gone has nothing left to stop.
        let _ = self.sessions.send(StopSession).await;
        let _ = self.council.send(StopCouncil).await;
    }
}
