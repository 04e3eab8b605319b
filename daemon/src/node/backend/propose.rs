//! Changes of the ledger that a user asks for.

use std::time::Duration;

use traind_actors::council::Published;
use traind_protocol::ledger::LedgerCommand;

use super::Backend;
use crate::control::api::ApiError;

/// A proposal that the ledger does not show after this long is made again: it may have been lost with a coordinator.
const PROPOSE_AGAIN_MS: u64 = 500;

/// How long a change of the ledger may take before the user is told that there is no coordinator.
const PROPOSE_WAIT_MAX: Duration = Duration::from_secs(15);

impl Backend {
    /// Proposes until the ledger shows it: a proposal can be lost, its command can be applied twice without harm.
    ///
    /// # Errors
    /// When the ledger does not show it in time, with the likely cause.
    pub(in crate::node) async fn propose_until(
        &self,
        command: LedgerCommand,
        shown: impl Fn(&Published) -> bool,
    ) -> Result<(), ApiError> {
        let mut published = self.actors.view.published.clone();
        let proposing = async {
            loop {
                self.actors.propose(command.clone()).await;
                let seen = published.wait_for(|published| shown(published));
                if tokio::time::timeout(Duration::from_millis(PROPOSE_AGAIN_MS), seen).await.is_ok() {
                    return;
                }
            }
        };
        tokio::time::timeout(PROPOSE_WAIT_MAX, proposing).await.map_err(|_elapsed| {
            let has_swarm = self.facts.swarm.is_some() || self.actors.reachability.borrow().adopted.is_some();
            let cause = match self.published().coordinator {
                Some(node) => format!("the coordinator {} does not commit it", node.friendly_name()),
                None if has_swarm => {
                    "no coordinator is elected: less than a majority of the council can be reached".to_owned()
                }
                None => "this node belongs to no swarm yet: none of its peers answers".to_owned(),
            };
            ApiError::unavailable("the ledger did not take the change in time")
                .because(cause)
                .next("trainctl status")
        })
    }
}
