//! The libp2p swarm and the task that drives it.

mod behaviour;
mod build;
mod control_stream;
mod dialling;
mod discreet;
mod driver;
mod link;
mod links;
mod peers;

pub(crate) use build::build;
pub(crate) use driver::{Channels, Driver};
