//! The actix shell: actors over the pure machines.
//!
//! Each actor receives, asks a pure machine, runs what it says, and answers; nothing over about a millisecond runs on
//! an arbiter. Threads: the council's, one per session and one for its trainer, the store's, one that routes frames.
//! Actors exchange messages only; what many want to see is published through watch channels.

pub mod checkpoints;
mod checks;
pub mod clock;
pub mod council;
pub mod data_sets;
pub mod fatal;
mod liveness;
pub mod network;
pub mod replicas;
pub mod session;
mod start;
pub mod transfer;

pub use start::{NodeActors, Parts, StartError, start};
