//! An ordered leave: before the daemon stops, others take over what this node does, so that nobody loses or redoes work.

use std::future::Future;
use std::time::Duration;

use traind_actors::NodeActors;
use traind_protocol::ledger::{DrainUntil, LedgerCommand};

use super::drains;
use crate::stop_signal::StopSignal;

/// Why the ledger says that this node drains.
const REASON: &str = "the daemon was asked to stop";

/// The wish is said again this often until the ledger shows it: it may be lost with a coordinator.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Without a coordinator for this long there is nobody who could hand anything over: an election takes a tenth of it.
const COORDINATOR_WAIT_MAX: Duration = Duration::from_secs(5);

/// How a leave ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nothing of this node is needed any more.
    Done,
    /// It stops with this unfinished.
    CutShort {
        /// What cut it short.
        by: &'static str,
        /// What it still waited for.
        waits_for: Vec<String>,
    },
}

/// Hands over what this node does; at most `patience` long, and not when it is to stop at once.
pub(super) async fn leave(actors: &NodeActors, patience: Duration, stop: &mut StopSignal) -> Leave {
    let published = actors.view.published.clone();
    let is_member = published.borrow().ledger.nodes.contains_key(&actors.node);
    if !is_member {
        return Leave::Done;
    }
    let cut_short = tokio::select! {
        () = hand_over(actors) => return Leave::Done,
        () = without_coordinator(actors) => "no coordinator is elected",
        () = tokio::time::sleep(patience) => "stop.drain_timeout has passed",
        () = stop.at_once() => "it is to stop at once",
    };
    let waits_for = drains::waits_for(&published.borrow(), actors.node);
    Leave::CutShort { by: cut_short, waits_for }
}

async fn hand_over(actors: &NodeActors) {
    let (node, boot, mut published) = (actors.node, actors.boot, actors.view.published.clone());
    loop {
        let reason = REASON.to_owned();
        let command =
            LedgerCommand::DrainNode { node, by: node, reason, until: DrainUntil::Restart { boot } };
        actors.propose(command).await;
        let asked = published.wait_for(|published| drains::is_asked(published, node));
        if tokio::time::timeout(ASK_AGAIN, asked).await.is_ok() {
            break;
        }
    }
    tracing::info!("handing over work before the daemon stops");
    // An error means that the council has ended: nothing more will change.
    let _ = published.wait_for(|published| drains::waits_for(published, node).is_empty()).await;
}

/// Ends when there was no coordinator for a while.
async fn without_coordinator(actors: &NodeActors) {
    let mut published = actors.view.published.clone();
    loop {
        let gone = published.wait_for(|published| published.coordinator.is_none()).await.is_ok();
        if !gone || !is_back(published.wait_for(|published| published.coordinator.is_some())).await {
            return;
        }
    }
}

async fn is_back<T, E>(coordinator: impl Future<Output = Result<T, E>>) -> bool {
    tokio::time::timeout(COORDINATOR_WAIT_MAX, coordinator).await.is_ok_and(|known| known.is_ok())
}
