//! How people and programs talk to a daemon: newline-delimited JSON over a unix socket.
//!
//! One request per line, `{"apiVersion":"traind/v1","kind":"JobShow","job":"lenet-digits"}`; one line answers it, but
//! for `JobFollow`, which is answered by a line per event until `Ended`, and `JobLogs`, `JobMetrics`, `Events` and
//! `NodeDrainFollow`, until `StreamEnd`. A refusal is a line of kind `Error`. The bytes of a model follow the line of
//! `JobSubmit` that announces them, the bytes of exported files the line of `CheckpointExport`.

pub mod api;
mod backend;
mod client;
mod conversation;
mod envelope;
mod select;
mod server;
mod transfer;

pub use backend::{ControlBackend, Export, FOLLOW_EVENTS_MAX, STREAM_ITEMS_MAX, StagedModel, Submission};
pub use client::{Client, ClientError, Download, EventStream, FollowStream};
pub use conversation::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};
pub use envelope::{API_VERSION, decode_line, encode_line};
pub use select::{select_job, select_node};
pub use server::{CONNECTIONS_MAX, ControlServer};
pub use transfer::{MODEL_BYTES_MAX, STAGED_MODEL_PREFIX};
