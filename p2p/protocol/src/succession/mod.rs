//! What becomes of a swarm whose council lost its majority: who founds the next council and when, which of two councils
//! goes on where they meet, and when a node turns to another one. Pure functions and one small machine; docs/protocol.md
//! has the rules.

mod input_output;
mod legacy;
pub mod limits;
mod machine;
mod meeting;
mod policy;
mod prospect;
mod quorum_watch;
#[cfg(test)]
mod tests;

pub use input_output::{Own, SuccessionInput, SuccessionOptions, SuccessionOutput, Successor};
pub use legacy::Legacy;
pub use machine::Succession;
pub use meeting::{gives_way, turns};
pub use policy::QuorumLossPolicy;
pub use quorum_watch::{QuorumFacts, QuorumVerdict, QuorumWatch, Seen};
