//! Transfers between nodes of one process, over real connections.

mod cases;
mod node;
