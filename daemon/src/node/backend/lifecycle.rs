//! Cancels, pauses and resumes jobs; drains nodes and lets this one leave.

use traind_actors::council::Published;
use traind_protocol::ids::{JobId, NodeId};
use traind_protocol::ledger::{DrainUntil, JobRecord, JobStatus, LedgerCommand};

use super::super::api_views::{self, NetworkFacts};
use super::super::drains;
use super::Backend;
use crate::control::api::{ApiError, NodeRef, Response};
use crate::control::select_node;

impl Backend {
    pub(super) async fn cancel(&self, job: JobId) -> Result<Response, ApiError> {
        self.open_job(job)?;
        let command = LedgerCommand::CancelJob { job, by: self.actors.node };
        let ended = move |published: &Published| {
            published.ledger.jobs.get(&job).is_none_or(|record| record.has_ended())
        };
        self.propose_until(command, ended).await?;
        Ok(Response::JobCancelled { job: job.to_hex() })
    }

    pub(super) async fn pause(&self, job: JobId) -> Result<Response, ApiError> {
        self.open_job(job)?;
        let command = LedgerCommand::PauseJob { job, by: self.actors.node };
        let asked = move |published: &Published| {
            published.ledger.jobs.get(&job).is_none_or(|record| {
                record.pausing.is_some()
                    || matches!(record.status, JobStatus::Paused { .. })
                    || record.has_ended()
            })
        };
        self.propose_until(command, asked).await?;
        Ok(Response::JobPausing { job: job.to_hex() })
    }

    pub(super) async fn resume(&self, job: JobId) -> Result<Response, ApiError> {
        let record = self.open_job(job)?;
        if record.pausing.is_none() && !matches!(record.status, JobStatus::Paused { .. }) {
            return Err(ApiError::refused("the job is not paused").next(format!("trainctl job show {job}")));
        }
        let command = LedgerCommand::ResumeJob { job, by: self.actors.node };
        let resumed = move |published: &Published| {
            published.ledger.jobs.get(&job).is_none_or(|record| {
                record.pausing.is_none() && !matches!(record.status, JobStatus::Paused { .. })
            })
        };
        self.propose_until(command, resumed).await?;
        Ok(Response::JobResumed { job: job.to_hex() })
    }

    /// The record of a job that has not ended.
    fn open_job(&self, job: JobId) -> Result<JobRecord, ApiError> {
        let record = self.published().ledger.jobs.get(&job).cloned();
        record.filter(|record| !record.has_ended()).ok_or_else(|| {
            ApiError::refused("the job has ended already").next(format!("trainctl job show {job}"))
        })
    }

    pub(super) async fn drain(
        &self,
        node: Option<String>,
        reason: String,
        until_restart: bool,
    ) -> Result<Response, ApiError> {
        let node = self.find_node(node.as_deref())?;
        let boot = self.published().ledger.nodes.get(&node).map(|record| record.boot);
        let until = match boot.filter(|_boot| until_restart) {
            Some(boot) => DrainUntil::Restart { boot },
            None => DrainUntil::Undrain,
        };
        let command = LedgerCommand::DrainNode { node, by: self.actors.node, reason, until };
        let is_drained = move |published: &Published| drains::is_asked(published, node);
        self.propose_until(command, is_drained).await?;
        self.node_detail(node)
    }

    pub(super) async fn undrain(&self, node: Option<String>) -> Result<Response, ApiError> {
        let node = self.find_node(node.as_deref())?;
        let command = LedgerCommand::UndrainNode { node, by: self.actors.node };
        self.propose_until(command, move |published| !drains::is_asked(published, node)).await?;
        self.node_detail(node)
    }

    /// Takes this node, which must be drained, out of the ledger; then the daemon stops.
    pub(super) async fn leave(&self) -> Result<Response, ApiError> {
        let node = self.actors.node;
        let published = self.published();
        if published.live.len() <= 1 && published.ledger.nodes.len() <= 1 {
            return Err(ApiError::refused("this node is the whole swarm, it cannot leave it")
                .next("systemctl stop traind, and remove its data directory to forget the swarm"));
        }
        if !drains::is_asked(&published, node) {
            return Err(
                ApiError::refused("this node still takes work").next("trainctl drain --self --reason TEXT")
            );
        }
        if let Some(waits_for) = drains::waits_for(&published, node).first() {
            return Err(ApiError::refused(format!("this node is not drained yet: it waits for {waits_for}"))
                .next("trainctl node show --self"));
        }
        // A node that the ledger does not know asks to be admitted; this one is not to.
        self.actors.stop_registering().await;
        let command = LedgerCommand::ForgetNode { node };
        let forgotten = move |published: &Published| !published.ledger.nodes.contains_key(&node);
        self.propose_until(command, forgotten).await?;
        Ok(Response::Left { node: NodeRef::from(node) })
    }

    pub(super) fn node_detail(&self, node: NodeId) -> Result<Response, ApiError> {
        let history = self.history.borrow().clone();
        let network = NetworkFacts {
            peers: self.network.peers(),
            counters: self.network.peer_counters(),
            unreached: self.network.unreached_peers(),
            listening: self.actors.reachability.borrow().listening.clone(),
        };
        let detail = api_views::node_detail(&self.published(), &history, &network, self.actors.node, node);
        detail
            .map(|detail| Response::NodeDetail(Box::new(detail)))
            .ok_or_else(|| ApiError::no_such_object("the node is not in the ledger").next("trainctl node ls"))
    }

    /// The node of that name, id or prefix of it; this one if none is named.
    pub(super) fn find_node(&self, selector: Option<&str>) -> Result<NodeId, ApiError> {
        let Some(selector) = selector else { return Ok(self.actors.node) };
        let published = self.published();
        let nodes: Vec<(String, String)> =
            published.ledger.nodes.keys().map(|node| (node.to_hex(), node.friendly_name())).collect();
        let id = select_node(selector, nodes.iter().map(|(id, name)| (id.as_str(), name.as_str())))?;
        NodeId::from_hex(id).ok_or_else(|| ApiError::no_such_object(format!("no node {selector:?}")))
    }
}
