//! What a node keeps on disk: checkpoints, the council's log, and small values that outlive the process.
//!
//! Bodies of checkpoints, data sets and joiners' states are chunks, files named by their BLAKE3; manifest files say what
//! some chunks are together. Order makes it whole or absent: chunks (fdatasync, rename, fsync of the directory), then the
//! manifest, then the index; for deletion the manifest, the index, then the chunks.
//!
//! sled holds what must be transactional and small, in two databases. The index of chunks counts references; it is
//! rebuilt from manifests whenever it differs from them. The records (the council's log, pins, local values) exist only
//! there; a number beside them tells when they went missing or back in time, and then the store refuses to open.
//!
//! Everything is synchronous and durable when it returns. Use it from a thread of its own.

mod checkpoint_record;
mod checkpoints;
mod chunk_directory;
mod chunk_form;
mod chunk_index;
mod chunks;
mod chunks_manifests;
mod council_log;
mod cut_chunks;
mod data_dir;
mod direct_file;
mod durable_file;
mod free_space;
mod idle_store;
mod import;
mod lease;
mod local_values;
mod manifest;
mod manifest_directory;
mod manifest_text;
mod migration;
mod options;
mod pieces;
mod records;
mod scrub;
mod sequence_file;
mod store;
mod store_error;

pub use checkpoint_record::CheckpointRecord;
pub use chunk_directory::{CHUNK_BYTES_MAX, chunk_id};
pub use chunk_form::Compression;
pub use chunks::{Chunks, DamageListener};
pub use chunks_manifests::{Collected, ManifestRecord};
pub use council_log::{COUNCIL_VALUE_BYTES_MAX, CouncilLog};
pub use cut_chunks::cut_chunks;
pub use data_dir::{DataDir, FORMAT_VERSION};
pub use idle_store::IdleStore;
pub use import::read_manifest_file;
pub use lease::ChunkLease;
pub use local_values::{ADDRESS_BYTES_MAX, LOCAL_KEY_BYTES_MAX, LOCAL_VALUE_BYTES_MAX, PEERS_REMEMBERED_MAX};
pub use manifest::{
    CHUNKS_PER_MANIFEST_MAX, ChunkRef, DATA_SET_FACTS_BYTES_MAX, DATA_SET_NAME_BYTES_MAX, MANIFEST_BYTES_MAX,
    MalformedManifest, Manifest, ManifestBody, ManifestKind, StateFacts, cut, is_data_set_name,
};
pub use options::{RESERVE_BYTES, StoreOptions};
pub use scrub::{DAMAGE_NAMED_MAX, DamagedObject, ScrubbedChunk, StoreStatus, Verified, VerifyProgress};
pub use store::Store;
pub use store_error::{Damage, StoreError};
pub use traind_protocol::council::{CouncilRecord, RecoveredCouncil};
