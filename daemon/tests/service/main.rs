//! `traind` as a service: what systemd is told and tells, how it stops, and the files that install it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod daemon;
mod life;
mod packaging;
mod settings;
