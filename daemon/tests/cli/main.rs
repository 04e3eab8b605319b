//! `trainctl` against a server whose answers are known, and `traind` as far as it goes without a network.

mod daemon;
mod fake;
mod protocol;
mod refusals;
mod verbs;
