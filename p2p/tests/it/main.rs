//! The network over real loopback sockets: every node has its own threads, one test has its own process.

// Shared functions of tests, which clippy does not know to be tests.
#![allow(clippy::unwrap_used)]

mod bulk;
mod child;
mod kademlia;
mod kit;
mod membership;
mod misbehaviour;
mod restart;
mod unreached;
mod upload;
