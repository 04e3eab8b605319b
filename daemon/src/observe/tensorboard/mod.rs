//! Event files for TensorBoard.
//!
//! A file is a sequence of records (TensorFlow's `TFRecord`: length, masked CRC-32C of the length, data, masked CRC-32C of
//! the data), each an `Event` in protobuf. The few fields that are used are encoded by hand: see `event`.

mod event;
mod writer;

pub use writer::TensorboardWriter;
