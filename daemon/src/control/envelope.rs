//! Lines of JSON with a version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of requests, answers and events.
pub const API_VERSION: &str = "traind/v1";

#[derive(Serialize)]
struct Outgoing<'a, T> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct Incoming<T> {
    #[serde(flatten)]
    body: T,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "apiVersion")]
    api_version: String,
}

/// One line, with its version and its line end.
///
/// # Errors
/// When `body` is not a map with a `kind`, which no type of the control API is.
pub fn encode_line<T: Serialize>(body: &T) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string(&Outgoing { api_version: API_VERSION, body })? + "\n")
}

/// Reads one line.
///
/// # Errors
/// In words, when it is no JSON, of another version, or of an unknown kind.
pub fn decode_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let header: Header =
        serde_json::from_slice(line).map_err(|error| format!("not a request or answer: {error}"))?;
    if header.api_version != API_VERSION {
        return Err(format!("apiVersion {:?} is not {API_VERSION:?}", header.api_version));
    }
    let message: Incoming<T> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok(message.body)
}
