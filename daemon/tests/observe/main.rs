//! What can be seen of a daemon from outside, read by readers of the tests' own.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod curves;
mod documents;
mod event_file;
mod exposition;
mod http;
mod metrics;
mod points;
mod recording;
mod scraping;
mod strictness;
