//! How people and programs talk to a daemon: newline-delimited JSON over a unix socket.
//!
//! One request per line, `{"apiVersion":"traind/v1","kind":"JobShow","job":"lenet-digits"}`; one line answers it, but
//! for `JobFollow`, which is answered by a line per event until `Ended`. A refusal is a line of kind `Error`.

pub mod api;
mod backend;
mod client;
mod envelope;
mod select;
mod server;

pub use backend::{ControlBackend, FOLLOW_EVENTS_MAX};
pub use client::{Client, ClientError, FollowStream};
pub use envelope::{API_VERSION, decode_line, encode_line};
pub use select::select_job;
pub use server::{CONNECTIONS_MAX, ControlServer, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};
