//! Control streams: one long-lived stream per direction and connection, framed, the greeting first.

mod frame;
mod queue;
mod reader;
mod writer;

pub(crate) use frame::{Frame, Greeting, Heartbeat, KnownPeer};
pub(crate) use queue::{ControlSender, QueueError, queue};
pub(crate) use reader::{Incoming, LinkEnd, LinkEvent, Reader};
pub(crate) use writer::Writer;

#[cfg(test)]
mod tests;
