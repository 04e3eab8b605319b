//! sled, opened small, and made durable in truth.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::data_dir::DataDir;
use crate::sequence_file::{SequenceFile, Witness};
use crate::{StoreError, durable_file};

/// Bytes of pages that sled keeps in memory: the records of a node are a few hundred kilobytes.
const CACHE_BYTES: u64 = 4 << 20;

/// Key of the number of the last record.
const SEQUENCE_KEY: &[u8] = b"q";

/// The database of a node. Its tree of records holds what exists nowhere else; all other trees can be rebuilt.
pub(crate) struct Records {
    db: sled::Db,
    records: sled::Tree,
    /// sled's own file, for fdatasync: on Linux its flush calls `sync_file_range`, which leaves the size of the file
    /// and the cache of the disk behind.
    file: File,
    path: PathBuf,
    sequence: Mutex<(SequenceFile, u64)>,
}

impl Records {
    /// Opens the index, or makes it.
    ///
    /// A damaged index that holds no records is moved aside and begun anew. One with records is refused.
    pub(crate) fn open(data_dir: &DataDir) -> Result<Self, StoreError> {
        let path = data_dir.records_path();
        let (sequence_file, witness) = SequenceFile::open(&data_dir.sequence_path())?;
        let expected = match witness {
            Witness::None => 0,
            Witness::Unreadable => 1,
            Witness::Acknowledged(sequence) => sequence,
        };
        if witness != Witness::None && !path.join("db").exists() {
            return Err(StoreError::RecordsLost { path, expected, found: 0 });
        }
        let db = match open_database(&path) {
            Err(Unopened::Damaged(reason)) if witness == Witness::None => {
                let aside = move_aside(&path)?;
                tracing::warn!(
                    reason,
                    aside = %aside.display(),
                    "the records were damaged and moved aside; there were none to lose"
                );
                open_database(&path)
            }
            other => other,
        };
        let db = db.map_err(|unopened| match unopened {
            Unopened::Damaged(reason) => {
                tracing::error!(reason, path = %path.display(), "the records are damaged");
                StoreError::RecordsLost { path: path.clone(), expected, found: 0 }
            }
            Unopened::Failed(source) => StoreError::Index { operation: "open", source: Box::new(source) },
        })?;
        let records = db.open_tree("records").map_err(StoreError::index("open the records"))?;
        let file = File::open(path.join("db")).map_err(StoreError::file("open", path.join("db")))?;
        let found = read_sequence(&records)?;
        if found < expected {
            return Err(StoreError::RecordsLost { path, expected, found });
        }
        let index = Self { db, records, file, path, sequence: Mutex::new((sequence_file, found)) };
        index.flush()?;
        durable_file::sync_directory(&index.path)?;
        if witness != Witness::None {
            // A lagging or unreadable witness catches up.
            index.sequence().0.acknowledge(found)?;
        }
        Ok(index)
    }

    pub(crate) fn tree(&self, name: &'static str) -> Result<sled::Tree, StoreError> {
        self.db.open_tree(name).map_err(StoreError::index("open a tree"))
    }

    /// The records, for reading.
    pub(crate) fn tree_of_records(&self) -> &sled::Tree {
        &self.records
    }

    /// Applies `batch` to the records, as a whole or not at all. It is durable when this returns.
    ///
    /// `make` reads the records and makes the batch under the same lock, so two callers cannot mix.
    pub(crate) fn record(
        &self,
        make: impl FnOnce(&sled::Tree) -> Result<sled::Batch, StoreError>,
    ) -> Result<(), StoreError> {
        let mut guard = self.sequence();
        let (file, sequence) = &mut *guard;
        file.create()?;
        let mut batch = make(&self.records)?;
        let next = *sequence + 1;
        batch.insert(SEQUENCE_KEY, &next.to_be_bytes());
        self.records.apply_batch(batch).map_err(StoreError::index("write records"))?;
        *sequence = next;
        self.flush()?;
        file.acknowledge(next)
    }

    /// Makes everything written so far durable.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(StoreError::index("flush"))?;
        self.file.sync_data().map_err(StoreError::file("sync", &self.path))
    }

    fn sequence(&self) -> MutexGuard<'_, (SequenceFile, u64)> {
        // The number is assigned after its batch is applied, so a panic leaves it true.
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why sled did not open.
enum Unopened {
    /// What is on disk makes no sense to it.
    Damaged(String),
    /// Anything else: no space, no permission, still in use.
    Failed(sled::Error),
}

/// Opens the database of records that are set aside, to read them.
///
/// # Errors
/// When it is damaged, or the disk fails.
pub(crate) fn open_read_only(path: &Path) -> Result<sled::Db, StoreError> {
    open_database(path).map_err(|unopened| match unopened {
        Unopened::Damaged(reason) => {
            StoreError::RecordDamaged { what: format!("{}: {reason}", path.display()) }
        }
        Unopened::Failed(source) => StoreError::Index { operation: "open", source: Box::new(source) },
    })
}

fn open_database(path: &Path) -> Result<sled::Db, Unopened> {
    durable_file::wait_for_database(path).map_err(|error| Unopened::Failed(sled::Error::Io(error)))?;
    // No thread that flushes now and then: whoever writes flushes, and then it must be done.
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error @ (sled::Error::Corruption { .. } | sled::Error::ReportableBug(_)))) => {
            Err(Unopened::Damaged(error.to_string()))
        }
        Ok(Err(error)) => Err(Unopened::Failed(error)),
        // sled asserts on some damage instead of reporting it.
        Err(_) => Err(Unopened::Damaged("sled panicked".into())),
    }
}

fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let aside = (1u32..)
        .map(|number| path.with_extension(format!("damaged-{number}")))
        .find(|aside| !aside.exists())
        .expect("a directory holds fewer than 2^32 names");
    fs::rename(path, &aside).map_err(StoreError::file("move aside", path))?;
    Ok(aside)
}

fn read_sequence(records: &sled::Tree) -> Result<u64, StoreError> {
    match records.get(SEQUENCE_KEY).map_err(StoreError::index("read the sequence"))? {
        None => Ok(0),
        Some(bytes) => <[u8; 8]>::try_from(&*bytes)
            .map(u64::from_be_bytes)
            .map_err(|_| StoreError::RecordDamaged { what: "the sequence".into() }),
    }
}
