//! How the body of a chunk lies in its file: as it is, or compressed.

use std::io::Read;

use crate::chunk_directory::CHUNK_BYTES_MAX;

/// Level of zstd: the fastest of the library's positive ones. Weights are noise below their exponents, and more effort
/// gains next to nothing on them.
const ZSTD_LEVEL: i32 = 1;

/// Whether new chunks are compressed. Either kind is read whatever this says, and names are of the content, so nodes with
/// different settings share chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// With zstd, where that makes the file shorter.
    Zstd,
}

/// The form of one chunk's file, told by the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkForm {
    /// The content.
    Plain,
    /// One frame of zstd.
    Zstd,
}

impl ChunkForm {
    /// Both, the one that is read without work first.
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Zstd];

    /// What follows the id in the file's name. `zstd -d` reads the second kind, too.
    pub(crate) const fn ending(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Zstd => ".zst",
        }
    }

    /// The content of a file; `None` if it is not of this form or longer than a chunk may be.
    pub(crate) fn content(self, file: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Plain => Some(file),
            Self::Zstd => {
                let mut content = Vec::new();
                // A frame may claim any length: what it gives is bounded while it is read.
                zstd::stream::read::Decoder::new(file.as_slice())
                    .ok()?
                    .take(CHUNK_BYTES_MAX as u64 + 1)
                    .read_to_end(&mut content)
                    .ok()?;
                (content.len() <= CHUNK_BYTES_MAX).then_some(content)
            }
        }
    }
}

impl Compression {
    /// The file of a chunk: compressed only if that is wanted and shorter.
    pub(crate) fn file(self, content: &[u8]) -> (ChunkForm, Option<Vec<u8>>) {
        match self {
            Self::None => (ChunkForm::Plain, None),
            Self::Zstd => match zstd::bulk::compress(content, ZSTD_LEVEL) {
                Ok(packed) if packed.len() < content.len() => (ChunkForm::Zstd, Some(packed)),
                _ => (ChunkForm::Plain, None),
            },
        }
    }
}
