//! The libp2p swarm and the task that drives it.

mod behaviour;
mod build;
mod control_stream;
mod dialling;
mod discovery;
mod discreet;
mod driver;
mod kademlia;
mod link;
mod links;
mod peers;
mod publish;

pub(crate) use build::build;
pub(crate) use driver::{Channels, Driver};
pub(crate) use publish::Publish;
