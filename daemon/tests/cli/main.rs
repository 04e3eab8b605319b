//! `trainctl` against a server whose answers are known, and `traind` as far as it goes without a network.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;
mod daemon;
mod data;
mod fake;
mod hub;
mod jobs;
mod protocol;
mod refusals;
mod snapshots;
mod transfer;
mod verbs;
