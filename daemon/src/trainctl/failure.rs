//! Why a verb failed: what happened, why, what to do next, and the exit code.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::socket;
use crate::control::api::{ApiError, ErrorCode};
use crate::control::{ClientError, encode_line};
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
    /// What kind of refusal it was, if the daemon refused.
    pub(super) refusal: Option<ErrorCode>,
}

/// A failure as programs read it: an [`ApiError`] with the exit code.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "Error")]
struct FailureObject<'a> {
    code: Word,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    exit_code: u8,
}

/// What kind of failure.
#[derive(Serialize)]
#[serde(untagged)]
enum Word {
    OfDaemon(ErrorCode),
    OfProgram(&'static str),
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None, next: None, refusal: None }
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

    /// As a line of JSON.
    pub(super) fn to_json(&self) -> String {
        let object = FailureObject {
            code: self.word(),
            message: &self.message,
            cause: self.cause.as_deref(),
            next: self.next.as_deref(),
            exit_code: self.code,
        };
        // A map with a kind always becomes a line.
        encode_line(&object).unwrap_or_default()
    }

    fn word(&self) -> Word {
        if let Some(refusal) = self.refusal {
            return Word::OfDaemon(refusal);
        }
        Word::OfProgram(match self.code {
            exit_code::USAGE => "bad_request",
            exit_code::NOT_RUNNING => "not_running",
            exit_code::NO_SUCH_OBJECT => "no_such_object",
            exit_code::PERMISSION => "permission_denied",
            exit_code::TIMED_OUT => "timed_out",
            exit_code::JOB_FAILED => "job_failed",
            exit_code::INTERRUPTED => "interrupted",
            exit_code::TERMINATED => "terminated",
            _ => "failed",
        })
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
        let refusal = Some(error.code);
        Self { code, message: error.message, cause: error.cause, next: error.next, refusal }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::NotRunning { source, socket }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                let denied = socket::explain_denied(&socket);
                Self::new(exit_code::PERMISSION, format!("no permission to talk to {}", socket.display()))
                    .because(denied.cause)
                    .next(denied.next)
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
                .next("trainctl version"),
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

    #[test]
    fn programs_read_an_object_with_the_daemons_word_or_one_for_the_exit_code() {
        let of_daemon = Failure::from(ApiError::unavailable("no coordinator").next("trainctl status"));
        assert_eq!(
            of_daemon.to_json(),
            concat!(
                r#"{"apiVersion":"traind/v1","kind":"Error","code":"unavailable","message":"no coordinator","#,
                r#""next":"trainctl status","exit_code":1}"#,
                "\n"
            )
        );
        let own = Failure::new(exit_code::TIMED_OUT, "late").because("slow");
        assert_eq!(
            own.to_json(),
            concat!(
                r#"{"apiVersion":"traind/v1","kind":"Error","code":"timed_out","message":"late","cause":"slow","#,
                r#""exit_code":6}"#,
                "\n"
            )
        );
    }
}
