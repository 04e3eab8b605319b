//! `trainctl` against a server whose answers are known, and `traind` as far as it goes without a network.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod daemon;
mod fake;
mod protocol;
mod refusals;
mod verbs;
