//! Reads a job file and refuses a bad one before any daemon is asked or started for it. The daemon checks it again.

use std::io::Read as _;
use std::path::Path;

use traind_training::JobSpec;

use super::failure::Failure;
use crate::control::api::ApiError;
use crate::exit_code;

/// Longest job file, bytes: some dozens of keys and comments stay far below; the control socket takes twice as much.
pub(super) const JOB_FILE_BYTES_MAX: u64 = 64 << 10;

/// A job file that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JobFile {
    /// As it is sent to the daemon.
    pub(super) text: String,
    /// What it says.
    pub(super) spec: JobSpec,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<JobFile, Failure> {
    let bad = |message: String| Failure::new(exit_code::USAGE, format!("{}{message}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(JOB_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            Failure::new(exit_code::USAGE, format!("cannot read {}", path.display()))
                .because(error.to_string())
                .next("docs/jobs.md explains job files; configs/jobs has examples")
        })?;
    if bytes.len() as u64 > JOB_FILE_BYTES_MAX {
        return Err(bad(format!(" is longer than {JOB_FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| bad(": not UTF-8".into()))?;
    if let Err(error) = toml::de::DeTable::parse(&text) {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
        let cause = text.lines().nth(line - 1).unwrap_or_default().trim().to_owned();
        return Err(bad(format!(":{line}: not TOML: {}", error.message()))
            .because(cause)
            .next("docs/jobs.md"));
    }
    match JobSpec::parse(&text) {
        Ok(spec) => Ok(JobFile { text, spec }),
        Err(error) => Err(Failure::of_job_file(path, ApiError::of_job_file(&error).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_files_are_refused_with_their_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.toml");
        let refusal = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err()
        };
        let broken = refusal(b"name = \"a\"\nsteps = = 3\n");
        assert_eq!(broken.code, exit_code::USAGE);
        assert!(broken.message.contains("job.toml:2: not TOML: "), "{}", broken.message);
        assert_eq!(broken.cause.as_deref(), Some("steps = = 3"));
        assert!(refusal(b"\xff").message.ends_with("job.toml: not UTF-8"));
        assert!(refusal(&vec![b'#'; 1 << 17]).message.contains("longer than 65536 bytes"));
        assert!(read(&directory.path().join("none.toml")).unwrap_err().message.starts_with("cannot read"));
        let missing = refusal(b"name = \"a\"\nsteps = 3\nmodel = \"lenet\"\n");
        assert_eq!(missing.code, exit_code::USAGE);
        assert!(missing.message.contains("job.toml:1: `data` is missing"), "{}", missing.message);
        let good = "name = \"a\"\nsteps = 3\nmodel = \"lenet\"\ndata = \"digits\"\n";
        std::fs::write(&path, good).unwrap();
        let job = read(&path).unwrap();
        assert_eq!((job.text.as_str(), job.spec.steps), (good, 3));
    }
}
