//! postcard with a size limit before and a remainder check after.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Bytes of a peer that are no message.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Longer than this kind of message may be.
    #[error("message of {bytes} bytes, {bytes_max} are allowed")]
    TooLong {
        /// Length found.
        bytes: usize,
        /// Length allowed.
        bytes_max: usize,
    },
    /// Not the encoding of such a message.
    #[error("bytes are no message of this protocol")]
    Malformed(#[source] postcard::Error),
    /// A message with something behind it.
    #[error("{bytes} bytes follow the message")]
    Remainder {
        /// Bytes left over.
        bytes: usize,
    },
    /// Decodes, but its fields contradict each other.
    #[error("message is not consistent: {what}")]
    Inconsistent {
        /// What does not fit.
        what: &'static str,
    },
}

/// The bytes of `message`.
///
/// # Panics
/// Never: the message types of this crate hold nothing that postcard refuses (no unsized sequence, no map of
/// unknown length), which the round-trip tests of each type show.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("message types of this crate hold nothing that postcard refuses")
}

/// The message in `bytes`.
///
/// # Errors
/// When `bytes` is longer than `bytes_max`, does not decode, or is followed by anything.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, DecodeError> {
    let (message, rest) = decode_first(bytes, bytes_max)?;
    if rest.is_empty() { Ok(message) } else { Err(DecodeError::Remainder { bytes: rest.len() }) }
}

/// The message at the start of `bytes`, and what follows it.
///
/// # Errors
/// When `bytes` is longer than `bytes_max` or does not start with such a message.
pub fn decode_first<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<(T, &[u8]), DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLong { bytes: bytes.len(), bytes_max });
    }
    postcard::take_from_bytes(bytes).map_err(DecodeError::Malformed)
}
