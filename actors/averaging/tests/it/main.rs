//! Tests of the public face: exactness, accuracy, hostile bytes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accurate;
mod exact;
mod hostile;
mod seeded;
