//! Whether every actor and the threads behind them still answer: what a watchdog is fed on.

use std::future::Future;
use std::time::Duration;

use crate::checkpoints::PingStore;
use crate::council::PingCouncil;
use crate::network::PingNetwork;
use crate::session::DescribeSession;
use crate::start::NodeActors;

impl NodeActors {
    /// Asks every actor, and through them their threads; names those that did not answer within `patience`.
    pub async fn unanswered(&self, patience: Duration) -> Vec<&'static str> {
        let (council, store, network, session) = tokio::join!(
            answers(patience, async { self.council.send(PingCouncil).await.unwrap_or(false) }),
            answers(patience, async { self.checkpoints.send(PingStore).await.unwrap_or(false) }),
            answers(patience, async { self.network.send(PingNetwork).await.is_ok() }),
            // Without a session the actor itself answers, with one its thread does.
            answers(patience, async { self.sessions.send(DescribeSession).await.is_ok() }),
        );
        [("council", council), ("store", store), ("network", network), ("session", session)]
            .into_iter()
            .filter_map(|(name, answered)| (!answered).then_some(name))
            .collect()
    }
}

async fn answers(patience: Duration, asked: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(patience, asked).await.unwrap_or(false)
}
