//! Tests of the public face of the store.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod checkpoints;
mod chunks;
mod council;
mod damage;
mod data_dir;
mod fixture;
mod local;
mod migration;
mod scrub;
