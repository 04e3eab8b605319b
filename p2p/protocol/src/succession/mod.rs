//! What becomes of a swarm whose council lost its majority: who founds the next council and when, which of two councils
//! goes on where they meet, and when a node turns to another one. Pure functions and one small machine; docs/protocol.md
//! has the rules.

pub mod limits;
mod meeting;
mod policy;
mod quorum_watch;
#[cfg(test)]
mod tests;

pub use meeting::{gives_way, turns};
pub use policy::QuorumLossPolicy;
pub use quorum_watch::{QuorumFacts, QuorumVerdict, QuorumWatch, Seen};
