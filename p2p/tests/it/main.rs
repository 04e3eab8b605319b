//! The network over real loopback sockets: every node has its own threads, one test has its own process.

mod bulk;
mod child;
mod kit;
mod membership;
mod misbehaviour;
mod restart;
