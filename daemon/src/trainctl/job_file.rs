//! Reads a job file and refuses what is no TOML; what its keys mean is the daemon's to check.

use std::io::Read as _;
use std::path::Path;

use super::failure::Failure;
use crate::exit_code;

/// Longest job file, bytes: some dozens of keys and comments stay far below; the control socket takes twice as much.
pub(super) const JOB_FILE_BYTES_MAX: u64 = 64 << 10;

/// The file's text.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
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
    Ok(text)
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
        std::fs::write(&path, "name = \"a\"").unwrap();
        assert_eq!(read(&path).unwrap(), "name = \"a\"");
    }
}
