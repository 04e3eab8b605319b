//! Why a verb failed: what happened, why, what to do next, and the exit code.

use std::io;
use std::path::Path;

use crate::control::ClientError;
use crate::control::api::{ApiError, ErrorCode};
use crate::exit_code;

/// Why a verb failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The program's exit code.
    pub(super) code: u8,
    /// What happened.
    pub(super) message: String,
    /// The likely cause.
    pub(super) cause: Option<String>,
    /// What to do next.
    pub(super) next: Option<String>,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None, next: None }
    }

    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A refusal of the job file at `path`.
    pub(super) fn of_job_file(path: &Path, error: ClientError) -> Self {
        let ClientError::Refused(refusal) = error else { return error.into() };
        if refusal.code != ErrorCode::BadRequest {
            return refusal.into();
        }
        let mut message = refusal.message.as_str();
        let mut place = path.display().to_string();
        if let Some(line) = refusal.line {
            // The line stands behind the file's name, as compilers write it, not twice.
            message = message.strip_prefix(&format!("line {line}: ")).unwrap_or(message);
            place.push_str(&format!(":{line}"));
        }
        let key = refusal.key.iter().filter(|key| !message.contains(&format!("`{key}`")));
        let key: String = key.map(|key| format!(" `{key}`:")).collect();
        let message = format!("{place}:{key} {message}");
        Self { message, ..Self::from(refusal) }
    }

    /// Whether no daemon answers.
    pub(super) fn is_not_running(&self) -> bool {
        self.code == exit_code::NOT_RUNNING
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let code = match error.code {
            ErrorCode::BadRequest => exit_code::USAGE,
            ErrorCode::NoSuchObject => exit_code::NO_SUCH_OBJECT,
            ErrorCode::PermissionDenied => exit_code::PERMISSION,
            ErrorCode::TimedOut => exit_code::TIMED_OUT,
            ErrorCode::Refused | ErrorCode::Unavailable => exit_code::FAILED,
        };
        Self { code, message: error.message, cause: error.cause, next: error.next }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::NotRunning { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Self::new(exit_code::NOT_RUNNING, message)
                    .because(source.to_string())
                    .next("run trainctl as the daemon's user or a member of its group")
            }
            ClientError::NotRunning { source, .. } => Self::new(exit_code::NOT_RUNNING, message)
                .because(source.to_string())
                .next("start one with `traind`, name another with --socket PATH, or try `trainctl demo`"),
            ClientError::Closed { source, .. } => {
                let cause =
                    source.map_or_else(|| "it stopped or crashed".into(), |source| source.to_string());
                Self::new(exit_code::NOT_RUNNING, message).because(cause).next("see its log; trainctl status")
            }
            ClientError::Local { source, .. } => {
                Self::new(exit_code::FAILED, message).because(source.to_string())
            }
            ClientError::Malformed { .. } => Self::new(exit_code::FAILED, message)
                .because("trainctl and traind are of different versions")
                .next("compare `trainctl --version` and `traind --version`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_a_job_file_is_said_once() {
        let text = |refusal: ApiError| Failure::of_job_file(Path::new("j.toml"), refusal.into()).message;
        let bad = ApiError::bad_request;
        assert_eq!(
            text(bad("cannot be 0").at(Some(2), Some("steps".into()))),
            "j.toml:2: `steps`: cannot be 0"
        );
        assert_eq!(
            text(bad("line 2: `steps` is 0").at(Some(2), Some("steps".into()))),
            "j.toml:2: `steps` is 0"
        );
        assert_eq!(text(bad("line 2: `steps` is 0")), "j.toml: line 2: `steps` is 0");
        assert_eq!(text(ApiError::unavailable("no coordinator")), "no coordinator");
    }
}
