//! Tokenizers that were trained before, on disk: a job that starts again need not train its own anew.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{PoisonError, RwLock},
};

/// Most tokenizers that are kept; beyond it nothing new is.
const TOKENIZERS_MAX: usize = 64;
/// Longest file that is read back, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Length of the hash before a file's contents.
const HASH_BYTES: usize = 32;

static DIRECTORY: RwLock<Option<PathBuf>> = RwLock::new(None);

/// Where tokenizers that jobs train are kept from now on; it is made when the first is. Without one they are trained whenever a
/// job starts, to the same bytes.
pub fn set_tokenizer_cache(directory: &Path) {
    *DIRECTORY.write().unwrap_or_else(PoisonError::into_inner) = Some(directory.to_owned());
}

fn place(key: &blake3::Hash) -> Option<PathBuf> {
    let directory = DIRECTORY.read().unwrap_or_else(PoisonError::into_inner);
    directory.as_ref().map(|directory| directory.join(format!("{}.bpe", key.to_hex())))
}

/// What was kept under `key`, unless it is damaged.
pub(super) fn load(key: &blake3::Hash) -> Option<Vec<u8>> {
    read(&place(key)?)
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let is_short = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= FILE_BYTES_MAX);
    let mut bytes = fs::read(path).ok().filter(|_| is_short)?;
    let hash = *bytes.first_chunk::<HASH_BYTES>()?;
    bytes.drain(..HASH_BYTES);
    (blake3::hash(&bytes) == blake3::Hash::from(hash)).then_some(bytes)
}

/// Keeps `json` under `key`. A disk that refuses costs only time later.
pub(super) fn keep(key: &blake3::Hash, json: &[u8]) {
    let _ = place(key).map(|path| write(&path, json));
}

fn write(path: &Path, json: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.count() >= TOKENIZERS_MAX {
        return Ok(());
    }
    let unfinished = path.with_extension(process::id().to_string());
    fs::write(&unfinished, [blake3::hash(json).as_bytes(), json].concat())?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_damage_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/a.bpe");
        assert_eq!(read(&path), None);
        write(&path, b"{}").unwrap();
        assert_eq!(read(&path).as_deref(), Some(b"{}".as_slice()));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), None);
        fs::write(&path, b"short").unwrap();
        assert_eq!(read(&path), None);
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        for index in 0..=TOKENIZERS_MAX {
            write(&directory.path().join(format!("{index}.bpe")), b"{}").unwrap();
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), TOKENIZERS_MAX);
    }
}
