//! Transfers between nodes of one process, over real connections.

mod cases;
pub(crate) mod node;
mod states;
