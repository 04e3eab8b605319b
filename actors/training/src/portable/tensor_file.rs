//! Reads safetensors files of anybody. The header is a claim: nothing is allocated or sliced by it before it was
//! compared with the file's length.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};

use super::{
    TENSORS_HASH_KEY,
    portable_error::{PortableError, Problem},
};

/// Longest header, in bytes: some ten thousand tensors. The format allows 100 MB, which would cost several times as much
/// memory to read.
const HEADER_BYTES_MAX: u64 = 4 << 20;
/// The header's length comes first, little-endian.
const LENGTH_BYTES: u64 = 8;
/// Bytes that are hashed at once.
const HASHED_BYTES: usize = 64 << 10;
/// Beginnings of files that `torch.save` writes: a zip archive, or, before PyTorch 1.6, a pickle of protocol 2 to 5.
const PICKLES: [&[u8]; 5] = [b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"];
/// Names that such files usually have.
const PICKLE_EXTENSIONS: [&str; 6] = ["pt", "pth", "bin", "ckpt", "pkl", "pickle"];

/// An open safetensors file whose header was found to be true.
pub(super) struct TensorFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl TensorFile {
    /// Opens a file and checks its header against its length.
    pub(super) fn open(path: &Path) -> Result<Self, PortableError> {
        let (mut file, length) = open_regular(path).map_err(|source| failed("open", path, source))?;
        let header = read_header(&mut file, path, length)?;
        let wrong = |reason: &str| header_error(path, reason.to_owned(), None);
        let metadata = serde_json::from_slice::<Metadata>(&header).map_err(|source| {
            let reason = "it is no description of tensors that follow each other without gaps".to_owned();
            header_error(path, reason, Some(source))
        })?;
        let data_start = LENGTH_BYTES + header.len() as u64;
        let data_bytes = length - data_start;
        if metadata.data_len() as u64 != data_bytes {
            let declared = metadata.data_len();
            return Err(wrong(&format!(
                "it declares {declared} bytes of tensors, the file holds {data_bytes}"
            )));
        }
        Ok(Self { path: path.to_owned(), file, metadata, data_start })
    }

    /// Compares the tensors with the hash that the header has of them, if it has one.
    pub(super) fn verify_hash(&mut self) -> Result<(), PortableError> {
        let claimed =
            self.metadata.metadata().as_ref().and_then(|words| words.get(TENSORS_HASH_KEY).cloned());
        let Some(claimed) = claimed else { return Ok(()) };
        let mut hasher = blake3::Hasher::new();
        let hashed = self.file.seek(SeekFrom::Start(self.data_start)).and_then(|_| {
            let mut bytes = vec![0; HASHED_BYTES];
            loop {
                match self.file.read(&mut bytes)? {
                    0 => return Ok(()),
                    count => hasher.update(&bytes[..count]),
                };
            }
        });
        hashed.map_err(|source| failed("read", &self.path, source))?;
        if hasher.finalize().to_hex().as_str() == claimed {
            return Ok(());
        }
        let reason = "the tensors are not those that were written: their BLAKE3 is another".to_owned();
        Err(header_error(&self.path, reason, None))
    }

    /// What the header tells of a tensor.
    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// All names, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort_unstable();
        names
    }

    /// An error at a tensor.
    pub(super) fn refuse(&self, name: &str, problem: Problem) -> PortableError {
        PortableError::Tensor { path: self.path.clone(), name: name.to_owned(), problem }
    }

    /// Reads a tensor into `out`, which has as many elements.
    pub(super) fn read(&mut self, name: &str, out: &mut [f32]) -> Result<(), PortableError> {
        let info = self.info(name).expect("the caller found it");
        let (start, end) = info.data_offsets;
        let dtype = info.dtype;
        let mut bytes = vec![0; end - start];
        let read = self
            .file
            .seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|source| failed("read", &self.path, source))?;
        let bad = match dtype {
            Dtype::F32 => convert(&bytes, out, |bytes| f64::from(f32::from_le_bytes(bytes))),
            Dtype::F64 => convert(&bytes, out, f64::from_le_bytes),
            Dtype::F16 => convert(&bytes, out, |bytes| f16::from_le_bytes(bytes).to_f64()),
            Dtype::BF16 => convert(&bytes, out, |bytes| bf16::from_le_bytes(bytes).to_f64()),
            other => return Err(self.refuse(name, Problem::Type { found: format!("{other:?}") })),
        };
        match bad {
            None => Ok(()),
            Some((index, is_cast)) => Err(self.refuse(name, Problem::NotFinite { index, is_cast })),
        }
    }
}

/// Turns each `N` bytes into a value, exactly or rounded once; the first that is not finite, and whether it was before it was
/// rounded.
fn convert<const N: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn([u8; N]) -> f64,
) -> Option<(usize, bool)> {
    let (values, _) = bytes.as_chunks();
    for (index, (value, out)) in values.iter().zip(out).enumerate() {
        let value = decode(*value);
        *out = value as f32;
        if !out.is_finite() {
            return Some((index, value.is_finite()));
        }
    }
    None
}

/// A file and its length. A pipe is refused: it would block whoever opens it, perhaps for ever.
fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn read_header(file: &mut File, path: &Path, length: u64) -> Result<Vec<u8>, PortableError> {
    let mut start = Vec::new();
    file.take(LENGTH_BYTES).read_to_end(&mut start).map_err(|source| failed("read", path, source))?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_pickle =
        PICKLES.iter().any(|magic| start.starts_with(magic)) || PICKLE_EXTENSIONS.contains(&extension);
    let not_safetensors = || PortableError::NotSafetensors { path: path.to_owned(), is_pickle };
    let Some(header_bytes) = start.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Err(not_safetensors());
    };
    if is_pickle {
        return Err(not_safetensors());
    }
    let refuse = |reason: String| Err(header_error(path, reason, None));
    if header_bytes > length - LENGTH_BYTES {
        return refuse(format!("it claims {header_bytes} bytes, the file has {length}"));
    }
    if header_bytes > HEADER_BYTES_MAX {
        return refuse(format!("it claims {header_bytes} bytes, at most {HEADER_BYTES_MAX} are read"));
    }
    let mut header = Vec::new();
    file.take(header_bytes).read_to_end(&mut header).map_err(|source| failed("read", path, source))?;
    if header.len() as u64 == header_bytes {
        Ok(header)
    } else {
        refuse("the file became shorter".to_owned())
    }
}

fn header_error(path: &Path, reason: String, source: Option<serde_json::Error>) -> PortableError {
    let source = source.map(|source| Box::new(source) as Box<_>);
    PortableError::Header { path: path.to_owned(), reason, source }
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> PortableError {
    PortableError::Io { operation, path: path.to_owned(), source }
}
