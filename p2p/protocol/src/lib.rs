//! What nodes decide together: ids, wire types, council, views, the sync step.
//!
//! Sans-IO: no socket, no clock, no randomness. Every machine is `step(now, input, &mut outputs)`; its driver runs the
//! outputs in order and makes each `Persist` durable before any `Send` behind it.

pub mod coordinator;
pub mod council;
pub mod ids;
pub mod index_set;
pub mod invariants;
pub mod ledger;
pub mod misdeed;
pub mod numbers;
mod rendezvous;
pub mod replicas;
pub mod replicated;
pub mod succession;
pub mod sync;
pub mod transfer;
pub mod view;
pub mod wire;
