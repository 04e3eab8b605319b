//! How this daemon is.

use std::collections::BTreeMap;

use traind_actors::council::Published;

use super::super::api_views;
use super::Backend;
use crate::control::api::Status;

impl Backend {
    pub(super) fn status(&self, published: &Published) -> Status {
        let history = self.history.borrow().clone();
        let reachability = self.actors.reachability.borrow().clone();
        let counters = self.network.counters();
        let mut status = api_views::status(published, &history, self.actors.node);
        status.swarm = self.facts.swarm.or(reachability.adopted).map(|swarm| swarm.to_hex());
        status.device.clone_from(&self.device);
        status.threads = u32::try_from(self.facts.threads).unwrap_or(u32::MAX);
        status.numeric_class.clone_from(&self.facts.numeric_class);
        status.addresses = reachability.listening;
        // As it is reached from anywhere, not only from where the daemon was started.
        let data_dir = std::path::absolute(&self.data_dir).unwrap_or_else(|_| self.data_dir.clone());
        status.data_dir = data_dir.display().to_string();
        status.uptime_ms = u64::try_from(self.facts.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        status.counters = [
            ("data_payload_bytes_sent", counters.data_payload_bytes_sent),
            ("data_frames_sent", counters.data_frames_sent),
            ("data_resets_full", counters.data_resets_full),
            ("data_handshakes_refused", counters.data_handshakes_refused),
            ("data_violations", counters.data_violations),
            ("control_violations", counters.control_violations),
            ("connections_failed_inbound", counters.connections_failed_inbound),
            ("swarms_refused", counters.hellos_refused_swarm),
            ("peers_joined", counters.peers_joined),
            ("peers_lost", counters.peers_lost),
            ("ledger_commands_rejected", published.ledger.rejections_total),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
        status
    }
}
