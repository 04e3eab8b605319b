//! A directory for daemons of the moment, which goes when they have gone.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::failure::Failure;
use crate::exit_code;
use crate::settings::SOCKET_PATH_BYTES_MAX;

/// Room that a node's directory and socket need behind the scratch directory's own path, bytes.
const SOCKET_TAIL_BYTES: usize = "/traind-demo-XXXXXX/single/control.sock".len();

/// A directory that is removed when this is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// Makes one where temporary files go, or in `/tmp` where that path is too long for a socket below it.
    pub(super) fn new(is_kept: bool) -> Result<Self, Failure> {
        let usual = std::env::temp_dir();
        let fits = usual.as_os_str().len() + SOCKET_TAIL_BYTES <= SOCKET_PATH_BYTES_MAX;
        let parent = if fits { usual } else { "/tmp".into() };
        let made = tempfile::Builder::new()
            .prefix("traind-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent);
        let directory = made.map_err(|error| {
            let message = format!("cannot make a temporary directory in {}", parent.display());
            Failure::new(exit_code::FAILED, message).because(error.to_string())
        })?;
        let path = directory.path().to_owned();
        if is_kept {
            let path = directory.keep();
            return Ok(Self { directory: None, path });
        }
        Ok(Self { directory: Some(directory), path })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.directory.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_users_alone_and_goes_unless_it_is_kept() {
        let scratch = Scratch::new(false).unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(scratch);
        assert!(!path.exists());
        let kept = Scratch::new(true).unwrap();
        let path = kept.path().to_owned();
        drop(kept);
        assert!(path.exists());
        std::fs::remove_dir(path).unwrap();
    }
}
