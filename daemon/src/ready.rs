//! One line of JSON that tells a parent process that the daemon is ready, and where.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::settings::ReadyTargets;

/// What a parent needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyLine {
    /// The control socket, which answers from now on.
    pub socket: PathBuf,
    /// An address that peers on this machine can dial, with the port that the system chose.
    pub address: String,
    /// The node id, in hexadecimal.
    pub node: String,
}

/// Writes the line to every target, once the control socket answers and the listener has its port.
///
/// # Errors
/// When a target cannot be written; the parent would wait for ever, so the daemon should stop.
pub fn announce(targets: &ReadyTargets, line: &ReadyLine) -> anyhow::Result<()> {
    let text = format!("{}\n", serde_json::to_string(line)?);
    if targets.stdout {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.context("writing to the standard output")?;
    }
    if let Some(descriptor) = targets.descriptor {
        // Opening its path gives a file of our own for an inherited descriptor, without unsafe code.
        let opened = OpenOptions::new().write(true).open(format!("/dev/fd/{descriptor}"));
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("writing to descriptor {descriptor}"))?;
    }
    if let Some(path) = &targets.file {
        write_whole(path, &text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Under another name first, so that nobody reads half a line.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn the_line_reaches_descriptor_and_file() {
        let line = ReadyLine {
            socket: "/run/c.sock".into(),
            address: "/ip4/127.0.0.1/tcp/9".into(),
            node: "ab".into(),
        };
        let directory = tempfile::tempdir().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let targets = ReadyTargets {
            stdout: false,
            descriptor: Some(u32::try_from(writer.as_raw_fd()).unwrap()),
            file: Some(directory.path().join("ready")),
        };
        announce(&targets, &line).unwrap();
        drop(writer);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(
            text,
            "{\"socket\":\"/run/c.sock\",\"address\":\"/ip4/127.0.0.1/tcp/9\",\"node\":\"ab\"}\n"
        );
        assert_eq!(std::fs::read_to_string(directory.path().join("ready")).unwrap(), text);
        assert_eq!(serde_json::from_str::<ReadyLine>(&text).unwrap(), line);
    }

    #[test]
    fn a_target_that_cannot_be_written_is_an_error() {
        let line = ReadyLine { socket: "s".into(), address: "a".into(), node: "n".into() };
        let targets = ReadyTargets { file: Some("/nonexistent/ready".into()), ..ReadyTargets::default() };
        assert_eq!(announce(&targets, &line).unwrap_err().to_string(), "writing /nonexistent/ready");
    }
}
