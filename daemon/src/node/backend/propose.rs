//! Changes of the ledger that a user asks for.

use std::time::Duration;

use traind_actors::council::Published;
use traind_protocol::ledger::{Ledger, LedgerCommand, Rejected};

use super::Backend;
use crate::control::api::ApiError;

/// A proposal that the ledger does not show after this long is made again: it may have been lost with a coordinator.
const PROPOSE_AGAIN_MS: u64 = 500;

/// How long a change of the ledger may take before the user is told that there is no coordinator.
const PROPOSE_WAIT_MAX: Duration = Duration::from_secs(15);

impl Backend {
    /// The ledger as a command would make it.
    ///
    /// # Errors
    /// Why the ledger refuses it.
    pub(super) fn ledger_with(&self, command: &LedgerCommand) -> Result<Ledger, Rejected> {
        let mut ledger = self.published().ledger.clone();
        ledger.apply_command(u64::MAX, command.clone()).map(|()| ledger)
    }

    /// Refuses a change beyond a limit of the ledger at once: it would be committed again and again in vain. What else speaks
    /// against it may be over when it is committed, as where this node is about to be registered.
    ///
    /// # Errors
    /// When there is no room, with `next` to make some.
    pub(super) fn check_room(&self, command: &LedgerCommand, next: &str) -> Result<(), ApiError> {
        match self.ledger_with(command) {
            Err(full @ Rejected::LimitReached { .. }) => Err(ApiError::refused(full.to_string()).next(next)),
            _ => Ok(()),
        }
    }

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
        let refusable = command.clone();
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
            // What the ledger refuses is committed and changes nothing.
            if let Err(rejected) = self.ledger_with(&refusable) {
                return ApiError::refused(rejected.to_string()).next("trainctl status");
            }
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
