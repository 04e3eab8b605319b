//! A manifest: what some chunks are together, and which, in order. A file of two lines, JSON and the BLAKE3 of it, which is
//! the manifest's id. People can read it, and the index can be made from it.

use traind_protocol::ids::{Chain, ChunkId, Digest, JobId, ManifestId};

use crate::chunk_directory::{CHUNK_BYTES_MAX, chunk_id};
use crate::manifest_text;

/// Chunks of a manifest at most: states of 2 TiB.
pub const CHUNKS_PER_MANIFEST_MAX: usize = 1 << 19;
/// Bytes of a manifest at most: so many chunks, each of about 80 characters, and the facts of a data set.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// Bytes of a data set's name at most.
pub const DATA_SET_NAME_BYTES_MAX: usize = 128;
/// Bytes of a data set's facts at most: shapes, classes and where its parts begin.
pub const DATA_SET_FACTS_BYTES_MAX: usize = 4 << 20;

/// One chunk of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkRef {
    /// Its name.
    pub id: ChunkId,
    /// Bytes of its content: 1 to [`CHUNK_BYTES_MAX`].
    pub bytes: u32,
}

/// The state of a job that chunks hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateFacts {
    /// The job.
    pub job: JobId,
    /// Steps applied.
    pub step: u64,
    /// The chain after them.
    pub chain: Chain,
    /// The digest of the state.
    pub digest: Digest,
}

/// What the chunks of a manifest are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestBody {
    /// A checkpoint.
    Checkpoint(StateFacts),
    /// A state that a joiner fetches; no checkpoint, and not listed as one.
    JoinState(StateFacts),
    /// A data set in shards, one chunk or a run of chunks each.
    DataSet {
        /// What people call it.
        name: String,
        /// All else about it, as whoever cut it writes it. The store does not look inside.
        facts: String,
    },
}

/// The kinds of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManifestKind {
    /// [`ManifestBody::Checkpoint`].
    Checkpoint,
    /// [`ManifestBody::JoinState`].
    JoinState,
    /// [`ManifestBody::DataSet`].
    DataSet,
}

/// What chunks are, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What they are.
    pub body: ManifestBody,
    /// Their names in order. The same chunk may come more than once.
    pub chunks: Vec<ChunkRef>,
}

/// Why bytes are no manifest, or a manifest is none that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedManifest {
    /// Not two lines of JSON and its BLAKE3, or not with these fields.
    #[error("it is no manifest")]
    Text,
    /// More bytes or chunks than a manifest may have.
    #[error("it is too long")]
    TooLong,
    /// A chunk without content, with more than a chunk holds, or a state whose chunks before the last are not full.
    #[error("chunk {number} cannot have {bytes} bytes")]
    ChunkBytes {
        /// Which one, from 0.
        number: usize,
        /// What it claims.
        bytes: u32,
    },
    /// The whole is not the sum of the parts.
    #[error("it claims {claimed} bytes, its chunks have {found}")]
    Total {
        /// What it says.
        claimed: u64,
        /// What its chunks add up to.
        found: u64,
    },
    /// A name with other characters than letters, digits and `-_.`, none at all, or one that begins with a dot.
    #[error("the name of its data set is not one")]
    Name,
}

impl ManifestBody {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ManifestKind {
        match self {
            Self::Checkpoint(_) => ManifestKind::Checkpoint,
            Self::JoinState(_) => ManifestKind::JoinState,
            Self::DataSet { .. } => ManifestKind::DataSet,
        }
    }

    /// How the name of its file begins: for people, and to tell which one it was when its content is damaged.
    pub(crate) fn stem(&self) -> String {
        match self {
            Self::Checkpoint(facts) => format!("{}-{:020}", facts.job, facts.step),
            Self::JoinState(facts) => format!("join-{}-{:020}", facts.job, facts.step),
            Self::DataSet { name, .. } => format!("data-{name}"),
        }
    }
}

impl Manifest {
    /// Bytes of all chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
    }

    /// Its id and its text, as it is kept and sent.
    ///
    /// # Errors
    /// When a limit of this module is exceeded, or the lengths of the chunks of a state are not those of [`cut`].
    pub fn encode(&self) -> Result<(ManifestId, Vec<u8>), MalformedManifest> {
        self.check()?;
        let encoded = manifest_text::encode(self);
        if encoded.1.len() > MANIFEST_BYTES_MAX {
            return Err(MalformedManifest::TooLong);
        }
        Ok(encoded)
    }

    /// Reads what [`Self::encode`] gave, from a disk or a peer.
    ///
    /// # Errors
    /// When a single byte is another, or it claims what cannot be.
    pub fn decode(text: &[u8]) -> Result<(ManifestId, Self), MalformedManifest> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(MalformedManifest::TooLong);
        }
        let (id, manifest, claimed) = manifest_text::decode(text).ok_or(MalformedManifest::Text)?;
        manifest.check()?;
        let found = manifest.bytes();
        if claimed != found {
            return Err(MalformedManifest::Total { claimed, found });
        }
        Ok((id, manifest))
    }

    fn check(&self) -> Result<(), MalformedManifest> {
        if self.chunks.len() > CHUNKS_PER_MANIFEST_MAX {
            return Err(MalformedManifest::TooLong);
        }
        let is_state = match &self.body {
            ManifestBody::Checkpoint(_) | ManifestBody::JoinState(_) => true,
            ManifestBody::DataSet { name, facts } => {
                if facts.len() > DATA_SET_FACTS_BYTES_MAX {
                    return Err(MalformedManifest::TooLong);
                }
                if !is_data_set_name(name) {
                    return Err(MalformedManifest::Name);
                }
                false
            }
        };
        for (number, chunk) in self.chunks.iter().enumerate() {
            let is_last = number + 1 == self.chunks.len();
            let bytes = chunk.bytes as usize;
            if bytes == 0 || bytes > CHUNK_BYTES_MAX || (is_state && !is_last && bytes != CHUNK_BYTES_MAX) {
                return Err(MalformedManifest::ChunkBytes { number, bytes: chunk.bytes });
            }
        }
        Ok(())
    }
}

/// Whether a data set may be called so: the name becomes part of a file's.
#[must_use]
pub fn is_data_set_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.len() <= DATA_SET_NAME_BYTES_MAX
        && !name.starts_with('.')
        && name.bytes().all(is_allowed)
}

/// The chunks of a state, in order: all are full but the last. Nothing is written.
#[must_use]
pub fn cut(state: &[u8]) -> Vec<ChunkRef> {
    state.chunks(CHUNK_BYTES_MAX).map(chunk_ref).collect()
}

/// The reference to a chunk of this content, which is at most [`CHUNK_BYTES_MAX`] long.
pub(crate) fn chunk_ref(content: &[u8]) -> ChunkRef {
    let bytes = u32::try_from(content.len()).expect("a chunk is far below 4 GiB");
    ChunkRef { id: chunk_id(content), bytes }
}
