//! The node's Ed25519 key, made on first start, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use libp2p::identity::{Keypair, ed25519};
use thiserror::Error;
use traind_protocol::ids::NodeId;

/// Length of the secret key, bytes; the file holds nothing else.
const SECRET_BYTES: usize = 32;
/// Mode of the file.
const MODE: u32 = 0o600;
/// Mode bits that let anyone else at the file.
const MODE_OTHERS: u32 = 0o077;

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Others may read or write the file.
    #[error(
        "permissions {mode:04o} for '{}' are too open: the identity must not be accessible by others \
         (`chmod 600 '{}'` mends it; if others could read it, remove the file to get a new identity)",
        path.display(), path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may put another file in its place.
    #[error(
        "permissions {mode:04o} for the directory '{}' are too open: others could put another identity there \
         (`chmod go-w '{}'` mends it)",
        path.display(), path.display()
    )]
    FolderTooOpen {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not 32 bytes.
    #[error("'{}' is not an identity: {bytes} bytes, 32 are expected", path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Bytes found, at most 33.
        bytes: usize,
    },
    /// The file could not be read.
    #[error("read identity '{}'", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The file could not be written.
    #[error("write identity '{}'", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The bytes are no Ed25519 secret key.
    #[error("decode identity")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Mode bits that let others replace files of a directory.
const MODE_OTHERS_WRITE: u32 = 0o022;
/// Mode bit that keeps them from doing so all the same, as in /tmp.
const MODE_STICKY: u32 = 0o1000;

/// A node's secret key.
#[derive(Clone)]
pub struct Identity {
    keypair: Keypair,
    node: NodeId,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Identity {
    /// The key in the file `path`; if there is no such file, a new key, written there with mode 0600.
    ///
    /// # Errors
    /// When the file is accessible by others, is not 32 bytes, or cannot be read or written; when others may write to
    /// its directory.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        check_folder(path)?;
        match File::open(path) {
            Ok(file) => load(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
            Err(source) => Err(IdentityError::Read { path: path.to_owned(), source }),
        }
    }

    /// The public key.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    fn from_secret(secret: [u8; SECRET_BYTES]) -> Result<Self, IdentityError> {
        let keypair =
            Keypair::ed25519_from_bytes(secret).map_err(|error| IdentityError::Decode(error.into()))?;
        let public =
            keypair.public().try_into_ed25519().map_err(|error| IdentityError::Decode(error.into()))?;
        Ok(Self { node: NodeId(public.to_bytes()), keypair })
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn check_folder(path: &Path) -> Result<(), IdentityError> {
    let folder = folder_of(path);
    let metadata = fs::metadata(folder);
    let metadata = metadata.map_err(|source| IdentityError::Read { path: folder.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & MODE_OTHERS_WRITE != 0 && mode & MODE_STICKY == 0 {
        return Err(IdentityError::FolderTooOpen { path: folder.to_owned(), mode });
    }
    Ok(())
}

fn load(path: &Path, file: File) -> Result<Identity, IdentityError> {
    let failed = |source| IdentityError::Read { path: path.to_owned(), source };
    // Of the open file, so that nobody can swap it in between.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & MODE_OTHERS != 0 {
        return Err(IdentityError::TooOpen { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let length = bytes.len();
    let secret: [u8; SECRET_BYTES] =
        bytes.try_into().map_err(|_| IdentityError::WrongLength { path: path.to_owned(), bytes: length })?;
    Identity::from_secret(secret)
}

/// Written beside and linked into place, so that a crash leaves a whole key or none and nobody's key is overwritten.
fn create(path: &Path) -> Result<Identity, IdentityError> {
    let failed = |source| IdentityError::Write { path: path.to_owned(), source };
    let identity = Identity::from_secret(
        ed25519::SecretKey::generate()
            .as_ref()
            .try_into()
            .map_err(|_| IdentityError::WrongLength { path: path.to_owned(), bytes: 0 })?,
    )?;
    let keypair =
        identity.keypair.clone().try_into_ed25519().map_err(|error| IdentityError::Decode(error.into()))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written =
        OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside).and_then(|mut file| {
            file.write_all(keypair.secret().as_ref())?;
            file.sync_all()?;
            fs::hard_link(&beside, path)?;
            File::open(folder_of(path))?.sync_all()
        });
    let removed = fs::remove_file(&beside);
    written.and(removed).map_err(failed)?;
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_with_mode_0600() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let made = Identity::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Identity::load_or_create(&path).unwrap().node(), made.node());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            let words = error.to_string();
            assert!(words.contains(&format!("permissions {mode:04o}")), "{words}");
            assert!(words.contains(&format!("chmod 600 '{}'", path.display())), "{words}");
        }
    }

    #[test]
    fn a_directory_where_others_can_replace_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::load_or_create(&path).unwrap();
        let with_mode = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            Identity::load_or_create(&path)
        };
        for mode in [0o702, 0o720, 0o777] {
            let words = with_mode(mode).unwrap_err().to_string();
            assert!(words.contains("chmod go-w") && words.contains(&format!("{mode:04o}")), "{words}");
        }
        for mode in [0o700, 0o755, 0o1777] {
            with_mode(mode).unwrap();
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        fs::write(&path, [1u8; 31]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(error, IdentityError::WrongLength { bytes: 31, .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), [1u8; 31]);
    }
}
