//! A refusal: what happened, why probably, what to do next.

use std::fmt;

use serde::{Deserialize, Serialize};
use traind_training::SpecError;

/// What kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request or the job file is wrong; asking again will not help.
    BadRequest,
    /// No such job or node.
    NoSuchObject,
    /// The request is well-formed, but the state of things forbids it.
    Refused,
    /// Not now, as when no coordinator is elected.
    Unavailable,
    /// Whoever asks may not.
    PermissionDenied,
    /// What was waited for did not happen in time.
    TimedOut,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// What happened: lowercase, no full stop.
    pub message: String,
    /// The likely cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// A command or an action that may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// For a bad job file: the line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// For a bad job file: the key, with dots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl ApiError {
    /// A refusal without cause, next step or place.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None, next: None, line: None, key: None }
    }

    /// The request or the job file is wrong.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// No such job or node.
    #[must_use]
    pub fn no_such_object(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NoSuchObject, message)
    }

    /// Forbidden by the state of things.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Refused, message)
    }

    /// Not now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// The job file is wrong.
    #[must_use]
    pub fn of_job_file(error: &SpecError) -> Self {
        let key = (!error.key.is_empty()).then(|| error.key.clone());
        Self::bad_request(error.to_string())
            .next("docs/jobs.md explains every key")
            .at(u32::try_from(error.line).ok(), key)
    }

    /// Adds the likely cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// Adds the place in the job file.
    #[must_use]
    pub fn at(mut self, line: Option<u32>, key: Option<String>) -> Self {
        (self.line, self.key) = (line, key);
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}
