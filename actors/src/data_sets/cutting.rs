//! Cutting files into chunks, between samples where these can be told.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use traind_store::{CHUNK_BYTES_MAX, ChunkLease, ChunkRef, Chunks};

use super::DataSetError;
use super::facts::{FILES_MAX, FileFacts};

/// Bytes of an IDX header at most: a magic number and 255 dimensions.
const IDX_HEADER_BYTES_MAX: usize = 4 + 4 * 255;

/// How a file is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Behind the last whole line.
    Lines,
    /// Behind the last whole item.
    Items { header_bytes: usize, item_bytes: usize },
    /// Anywhere.
    Bytes,
}

/// The files below `path`, or `path` itself: their names with slashes, sorted.
pub(super) fn files_of(path: &Path) -> Result<(bool, Vec<(String, PathBuf)>), DataSetError> {
    let metadata = fs::metadata(path).map_err(DataSetError::file("read", path))?;
    if metadata.is_file() {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| DataSetError::NoFile { path: path.to_path_buf() })?;
        return Ok((false, vec![(name.to_owned(), path.to_path_buf())]));
    }
    if !metadata.is_dir() {
        return Err(DataSetError::NoFile { path: path.to_path_buf() });
    }
    let mut files = Vec::new();
    collect(path, "", &mut files)?;
    files.sort();
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(DataSetError::Files { files: files.len(), files_max: FILES_MAX });
    }
    Ok((true, files))
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), DataSetError> {
    for entry in fs::read_dir(folder).map_err(DataSetError::file("list", folder))? {
        let path = entry.map_err(DataSetError::file("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).map(|name| format!("{prefix}{name}"));
        let name = name.ok_or_else(|| DataSetError::NoFile { path: path.clone() })?;
        // Links to files are followed, links to folders are not: they may lead round.
        let is_link = fs::symlink_metadata(&path).map_err(DataSetError::file("read", &path))?.is_symlink();
        let metadata = fs::metadata(&path).map_err(DataSetError::file("read", &path))?;
        if metadata.is_file() {
            files.push((name, path));
        } else if metadata.is_dir() && !is_link {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            return Err(DataSetError::NoFile { path });
        }
        if files.len() > FILES_MAX {
            return Err(DataSetError::Files { files: files.len(), files_max: FILES_MAX });
        }
    }
    Ok(())
}

/// Puts a file into the store, chunk by chunk.
pub(super) fn cut_file(
    chunks: &Chunks,
    lease: &mut ChunkLease,
    kind: &str,
    (name, path): &(String, PathBuf),
    list: &mut Vec<ChunkRef>,
) -> Result<FileFacts, DataSetError> {
    let read = |source| DataSetError::File { operation: "read", path: path.clone(), source };
    let mut file = File::open(path).map_err(read)?;
    let mut window = Vec::new();
    let mut facts = FileFacts { name: name.clone(), bytes: 0, shards: Vec::new() };
    let mut cut = None;
    loop {
        fill(&mut file, &mut window).map_err(read)?;
        if window.is_empty() {
            return Ok(facts);
        }
        let how = *cut.get_or_insert_with(|| how(kind, name, &window));
        let (length, samples) = piece(how, &window, facts.bytes);
        list.push(chunks.put(lease, &window[..length])?);
        facts.bytes += length as u64;
        facts.shards.push(samples);
        window.drain(..length);
    }
}

/// Reads until the window is a full chunk, or the file ends.
fn fill(file: &mut File, window: &mut Vec<u8>) -> std::io::Result<()> {
    let mut rest = vec![0; CHUNK_BYTES_MAX - window.len()];
    let mut filled = 0;
    while filled < rest.len() {
        match file.read(&mut rest[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    window.extend_from_slice(&rest[..filled]);
    Ok(())
}

fn how(kind: &str, name: &str, beginning: &[u8]) -> Cut {
    if name.ends_with(".gz") {
        return Cut::Bytes;
    }
    match kind {
        "csv" | "jsonl" | "text" => Cut::Lines,
        "idx" => idx(beginning).unwrap_or(Cut::Bytes),
        _ => Cut::Bytes,
    }
}

/// The header of an IDX file of bytes: two zeros, 8, the number of dimensions, each as a big-endian `u32`; the first counts
/// items.
fn idx(beginning: &[u8]) -> Option<Cut> {
    let [0, 0, 8, dimensions, ..] = *beginning else { return None };
    let header_bytes = 4 + 4 * usize::from(dimensions);
    let sizes = beginning.get(4..header_bytes.min(IDX_HEADER_BYTES_MAX))?;
    let mut item_bytes = 1usize;
    for size in sizes.chunks_exact(4).skip(1) {
        item_bytes = item_bytes.checked_mul(u32::from_be_bytes(size.try_into().ok()?) as usize)?;
    }
    (item_bytes > 0 && header_bytes + item_bytes <= CHUNK_BYTES_MAX)
        .then_some(Cut::Items { header_bytes, item_bytes })
}

/// How much of a window that begins at `offset` of its file is the next chunk, and how many samples are in it.
fn piece(how: Cut, window: &[u8], offset: u64) -> (usize, Option<u64>) {
    let is_end = window.len() < CHUNK_BYTES_MAX;
    match how {
        Cut::Bytes => (window.len(), None),
        Cut::Lines => {
            let last_end = window.iter().rposition(|byte| *byte == b'\n').map(|last| last + 1);
            let length = if is_end { window.len() } else { last_end.unwrap_or(window.len()) };
            let piece = &window[..length];
            let lines = piece.iter().filter(|byte| **byte == b'\n').count();
            // The last line of a file may lack its end.
            let open = usize::from(is_end && !piece.ends_with(b"\n"));
            (length, Some((lines + open) as u64))
        }
        Cut::Items { header_bytes, item_bytes } => {
            let header = if offset == 0 { header_bytes } else { 0 };
            let items = window.len().saturating_sub(header) / item_bytes;
            let length = if is_end { window.len() } else { header + items * item_bytes };
            (length, Some(items as u64))
        }
    }
}
