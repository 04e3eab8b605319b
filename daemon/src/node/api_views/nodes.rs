//! Nodes as rows and in detail.

use std::collections::BTreeSet;

use traind_actors::council::Published;
use traind_p2p::{PeerCounters, PeerSnapshot, UnreachedPeer};
use traind_protocol::ids::NodeId;
use traind_protocol::ledger::{Drain as LedgerDrain, DrainUntil, JobRecord};

use super::super::drains;
use super::super::history::History;
use crate::control::api::{CouncilRole, Drain, NodeDetail, NodeRole, NodeRow};

/// All nodes of the ledger, sorted by name.
pub(in crate::node) fn nodes(
    published: &Published,
    history: &History,
    peers: &[PeerSnapshot],
    me: NodeId,
) -> Vec<NodeRow> {
    let running = published.ledger.running_job();
    let past = running.map(|record| history.job(record.id)).unwrap_or_default();
    let mut rows: Vec<NodeRow> = published
        .ledger
        .nodes
        .values()
        .map(|record| {
            let node = record.node;
            let work = past.work.get(&(node, record.boot)).copied().unwrap_or_default();
            let peer = peers.iter().find(|peer| peer.node == node);
            let member =
                running.and_then(|job| job.view.as_ref()).and_then(|view| view.member(record.life()));
            let is_in_council = |seats: &BTreeSet<_>| seats.contains(&record.seat);
            NodeRow {
                name: node.friendly_name(),
                id: node.to_hex(),
                role: role(
                    published,
                    running,
                    node,
                    member.is_some_and(|member| running.is_some_and(|job| job.is_synced(member))),
                ),
                council: match (is_in_council(&published.voters), is_in_council(&published.learners)) {
                    (true, _) => CouncilRole::Voter,
                    (false, true) => CouncilRole::Learner,
                    (false, false) => CouncilRole::None,
                },
                in_view: member.is_some(),
                seat: record.seat.0,
                boot: record.boot.0,
                address: peer.map(|peer| peer.address.clone()),
                numeric_class: record.numeric_class.clone(),
                device: record.device.clone(),
                job_step: member.is_some().then_some(past.stable_step),
                microbatches_computed: work.microbatches_computed,
                exchange_bytes_sent: work.exchange_bytes_sent,
                last_heard_ms: peer.filter(|_peer| node != me).map(|peer| peer.heartbeat_age_ms),
                version: Some(record.version.clone()),
                drain: record.drain.as_ref().map(|asked| drain(published, node, asked)),
                kept_out: running.and_then(|_| history.kept_out(node)),
            }
        })
        .collect();
    rows.sort_by(|one, two| one.name.cmp(&two.name));
    rows
}

fn role(published: &Published, running: Option<&JobRecord>, node: NodeId, is_synced: bool) -> NodeRole {
    if !published.live.contains(&node) {
        return NodeRole::Down;
    }
    if published.coordinator == Some(node) {
        return NodeRole::Coordinator;
    }
    match running.and_then(|job| job.view.as_ref()) {
        None => NodeRole::Idle,
        Some(view) if view.member_on(node).is_none() => NodeRole::Spare,
        Some(_) if is_synced => NodeRole::Member,
        Some(_) => NodeRole::Joining,
    }
}

fn drain(published: &Published, node: NodeId, asked: &LedgerDrain) -> Drain {
    let waits_for = drains::waits_for(published, node);
    Drain {
        by: asked.by.into(),
        reason: asked.reason.clone(),
        until_restart: matches!(asked.until, DrainUntil::Restart { .. }),
        drained: waits_for.is_empty(),
        waits_for,
    }
}

/// What this node's network knows of others.
pub(in crate::node) struct NetworkFacts {
    /// Peers that are joined.
    pub(in crate::node) peers: Vec<PeerSnapshot>,
    /// Counters by peer.
    pub(in crate::node) counters: Vec<PeerCounters>,
    /// Peers that cannot be reached.
    pub(in crate::node) unreached: Vec<UnreachedPeer>,
    /// Addresses that this node listens on.
    pub(in crate::node) listening: Vec<String>,
}

/// Everything about one node; `None` if the ledger does not know it.
pub(in crate::node) fn node_detail(
    published: &Published,
    history: &History,
    network: &NetworkFacts,
    me: NodeId,
    node: NodeId,
) -> Option<NodeDetail> {
    let record = published.ledger.nodes.get(&node)?;
    let row =
        nodes(published, history, &network.peers, me).into_iter().find(|row| row.id == node.to_hex())?;
    let counters = network.counters.iter().find(|counters| counters.node == node);
    let unreached: Vec<&UnreachedPeer> =
        network.unreached.iter().filter(|peer| peer.node == Some(node)).collect();
    let known = row.address.iter().chain(unreached.iter().map(|peer| &peer.address));
    Some(NodeDetail {
        this_node: node == me,
        threads: Some(record.threads),
        rtt_ms: counters.and_then(|counters| counters.rtt_us).map(|micros| micros.div_ceil(1000)),
        bytes_received: counters.map(|peer| peer.control_bytes_received + peer.data_bytes_received),
        bytes_sent: counters.map(|peer| peer.control_bytes_sent + peer.data_bytes_sent),
        addresses: if node == me { network.listening.clone() } else { known.cloned().collect() },
        last_error: unreached.first().map(|peer| peer.error.clone()),
        row,
    })
}
