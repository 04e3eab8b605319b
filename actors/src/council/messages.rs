//! What the council's driver is told.

use actix::prelude::*;
use tokio::sync::oneshot;
use traind_p2p::Event;
use traind_protocol::ledger::LedgerCommand;
use traind_protocol::wire::control::{JobCheck, Report};

/// Inputs that may wait for the council's thread. The network waits while it is full.
pub const COUNCIL_INBOX_MAX: usize = 1024;

/// Inputs of the council's thread.
#[derive(Debug)]
pub enum CouncilInbox {
    /// Something happened on the network.
    Network(Event),
    /// This node's own session reports; goes to the coordinator, which may be this node.
    LocalReport(Report),
    /// Whether this node can run a job; goes to the coordinator like a report.
    LocalCheck(JobCheck),
    /// This node leaves for good: it no longer asks to be in the ledger.
    StopRegistering,
    /// Somebody on this node wants the ledger changed. May be lost; whoever asked looks at the ledger and asks again.
    Propose(LedgerCommand),
    /// Are you there? The council's thread answers in its turn.
    Ping(oneshot::Sender<()>),
    /// The daemon stops.
    Stop,
}

/// Changes the ledger. `false` when the council is too busy to take it now.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct Propose(pub LedgerCommand);

/// Is the council's thread there? The answer comes when it has worked off what waits before it.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct PingCouncil;

/// This node is about to be forgotten by the ledger and must not ask to be admitted again.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct StopRegistering;
