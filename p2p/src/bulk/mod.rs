//! Bulk bytes: how frames of tensors travel from one node to another.
//!
//! [`Transport`] and [`Path`] are all that the rest of the crate knows of it; [`tls`] is the one there is. Each path
//! sends one way: a node opens its own path to each joined peer and reads those that peers opened to it.

mod caps;
mod frame;
mod listener;
mod queue;
mod sender;
mod throttle;
pub(crate) mod tls;
mod transport;

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;
use traind_protocol::ids::NodeId;
use traind_protocol::wire::data::DataFrame;

use crate::handle::SendError;
use crate::peer_meters::PeerMeters;

pub(crate) use caps::Caps;
pub(crate) use throttle::Throttle;
pub(crate) use transport::TlsTransport;

#[cfg(test)]
mod tests;

/// Where to open a path to.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// Who must answer.
    pub(crate) node: NodeId,
    /// Host name or IP.
    pub(crate) host: String,
    /// The port told in its hello.
    pub(crate) port: u16,
}

/// A way to move bulk bytes between joined peers.
pub(crate) trait Transport: Send + Sync + fmt::Debug {
    /// The port to tell in hellos.
    fn port(&self) -> u16;
    /// Opens a path, and opens it again whenever it breaks, until it is closed. What it sends is counted in `meters`.
    fn open(&self, to: Destination, meters: Arc<PeerMeters>) -> Arc<dyn Path>;
    /// Ends what `from` opened to us.
    fn cut(&self, from: NodeId);
}

/// A way to one peer.
pub(crate) trait Path: Send + Sync + fmt::Debug {
    /// Queues a frame. When the queue is full the path is reset, but for a background frame, which is refused.
    fn try_send(&self, frame: DataFrame) -> Result<(), SendError>;
    /// Told whenever there may be room for a background frame, or none will be taken any more.
    fn background_room(&self) -> Arc<Notify>;
    /// Drops what is queued and opens the path again.
    fn reset(&self);
    /// Ends the path for good.
    fn close(&self);
}
