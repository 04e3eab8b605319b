//! What travels between nodes. Sizes are checked before anything is allocated or decoded.

mod codec;
pub mod control;
pub mod data;
pub mod hello;
pub mod state_sample;
pub mod step_wait;

pub use codec::{DecodeError, decode, decode_first, encode};
