//! What a node keeps on disk: checkpoints, the council's log, and small values that outlive the process.
//!
//! Bodies of checkpoints are files named by their BLAKE3, each checkpoint has a manifest file, and sled holds what must
//! be transactional and small. Order makes it whole or absent: chunks (fdatasync, rename, fsync of the directory),
//! then the manifest, then the index; for deletion the manifest, the index, then the chunks. The index of checkpoints
//! is rebuilt from manifests whenever it differs from them. The council's log exists only in sled; a number beside it
//! tells when it went missing or back in time, and then the store refuses to open.
//!
//! Everything is synchronous and durable when it returns. Use it from a thread of its own.

mod checkpoint_record;
mod checkpoints;
mod chunk_directory;
mod council_log;
mod data_dir;
mod durable_file;
mod index;
mod local_values;
mod manifest;
mod pieces;
mod sequence_file;
mod store;
mod store_error;

pub use checkpoint_record::CheckpointRecord;
pub use chunk_directory::CHUNK_BYTES_MAX;
pub use council_log::{COUNCIL_VALUE_BYTES_MAX, CouncilLog};
pub use data_dir::{DataDir, FORMAT_VERSION};
pub use local_values::{ADDRESS_BYTES_MAX, LOCAL_KEY_BYTES_MAX, LOCAL_VALUE_BYTES_MAX, PEERS_REMEMBERED_MAX};
pub use store::Store;
pub use store_error::{Damage, StoreError};
pub use traind_protocol::council::{CouncilRecord, RecoveredCouncil};
