//! A checkpoint or a data set out of another data directory, or a copy of one.

use std::fs;
use std::path::Path;

use traind_protocol::ids::ManifestId;

use crate::chunk_directory::{CHUNK_BYTES_MAX, file_name};
use crate::chunk_form::ChunkForm;
use crate::chunks::Chunks;
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};
use crate::{Damage, StoreError, durable_file};

/// Reads a manifest out of another data directory; no link is followed.
///
/// # Errors
/// [`StoreError::Damaged`] if it is missing; [`StoreError::NotAFile`]; [`StoreError::MalformedManifest`]; the file system's.
pub fn read_manifest_file(path: &Path) -> Result<(ManifestId, Manifest), StoreError> {
    check_plain(path)?;
    let text = durable_file::read(path, MANIFEST_BYTES_MAX as u64)?.ok_or_else(|| missing(path))?;
    Manifest::decode(&text).map_err(StoreError::malformed("import"))
}

impl Chunks {
    /// Takes over what the manifest file at `manifest` names, with chunks from the folder `chunks`. Every byte is verified;
    /// only plain files in that folder are read, whatever the manifest says, and no link is followed. Cut short, it goes on
    /// where it was when it is called again.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the file that is missing or not what it should be; [`StoreError::MalformedManifest`];
    /// [`StoreError::NoSpace`]; the file system's. The manifest then counts as one that is still fetched.
    pub fn import(&self, manifest: &Path, chunks: &Path) -> Result<ManifestId, StoreError> {
        let (id, decoded) = read_manifest_file(manifest)?;
        self.begin_manifest(&decoded)?;
        for chunk in self.missing_chunks(id)? {
            let content = read_outside(chunks, chunk)?;
            // The manifest that was begun names it: no lease is needed for longer.
            self.put_named(&mut self.lease(), chunk.id, &content)?;
        }
        self.finish_manifest(id)?;
        Ok(id)
    }
}

fn read_outside(folder: &Path, chunk: crate::ChunkRef) -> Result<Vec<u8>, StoreError> {
    for form in ChunkForm::ALL {
        // A chunk's name has 64 hexadecimal digits: it leads nowhere else.
        let path = folder.join(file_name(chunk.id, form));
        if fs::symlink_metadata(&path).is_err() {
            continue;
        }
        check_plain(&path)?;
        let bytes = durable_file::read(&path, CHUNK_BYTES_MAX as u64)?.ok_or_else(|| missing(&path))?;
        let content = form.content(bytes);
        let damaged = |damage| StoreError::Damaged { object: path.clone(), damage };
        let content = content.ok_or_else(|| damaged(Damage::Content))?;
        if content.len() as u64 != u64::from(chunk.bytes) {
            let (expected, found) = (u64::from(chunk.bytes), content.len() as u64);
            return Err(damaged(Damage::Length { expected, found }));
        }
        if crate::chunk_id(&content) != chunk.id {
            return Err(damaged(Damage::Content));
        }
        return Ok(content);
    }
    Err(missing(&folder.join(file_name(chunk.id, ChunkForm::Plain))))
}

/// No link, no pipe, no device.
fn check_plain(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(StoreError::NotAFile { path: path.to_path_buf() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing(path)),
        Err(error) => Err(StoreError::file("read", path)(error)),
    }
}

fn missing(path: &Path) -> StoreError {
    StoreError::Damaged { object: path.to_path_buf(), damage: Damage::Missing }
}
