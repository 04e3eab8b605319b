//! A data directory of an older format becomes one of the present.
//!
//! From [`FORMAT_VERSION_MIN`] on, formats differ in what the ledger's entries look like, and in nothing else. A ledger that this
//! program cannot read is set aside as it is, and the node begins without one, as a new one does; its key, its checkpoints, its
//! data sets, what is pinned and the peers it knows stay. Where that is cut short it begins again: the format file is
//! written last, and what was set aside is never touched again.

use std::fs;
use std::path::PathBuf;

use crate::checkpoints::PIN;
use crate::data_dir::DataDir;
use crate::local_values::{PEERS, local_key};
use crate::records::{Records, open_read_only};
use crate::{StoreError, durable_file};

/// The oldest format that becomes the present one. States of those before have another form, too.
pub(crate) const FORMAT_VERSION_MIN: u32 = 3;

/// Local values that outlive the ledger: which swarm this node belongs to.
const KEPT_VALUES: [&str; 1] = ["swarm"];

/// Sets the ledger of a directory of format `version` aside. The caller writes the new format afterwards.
///
/// # Errors
/// When the old records are damaged, or the disk fails; then the directory is still of the old format.
pub(crate) fn migrate(data_dir: &DataDir, version: u32) -> Result<(), StoreError> {
    let (records, sequence) = (data_dir.records_path(), data_dir.sequence_path());
    let aside = |path: &PathBuf| path.with_extension(format!("format-{version}"));
    let (old_records, old_sequence) = (aside(&records), aside(&sequence));
    // The number that tells of lost records first: without it they are read as they are.
    for (path, old) in [(&sequence, &old_sequence), (&records, &old_records)] {
        if !path.exists() {
            continue;
        }
        if !old.exists() {
            fs::rename(path, old).map_err(StoreError::file("set aside", path))?;
        } else if path.is_dir() {
            // What was begun when this was cut short.
            fs::remove_dir_all(path).map_err(StoreError::file("remove", path))?;
        } else {
            durable_file::remove(path)?;
        }
    }
    durable_file::sync_directory(data_dir.path())?;
    if old_records.exists() {
        keep(&Records::open(data_dir)?, &open_read_only(&old_records)?)?;
    }
    tracing::warn!(
        ledger = %old_records.display(),
        "the data directory was of format {version}, whose ledger this traind does not read: it is set aside, and this node begins \
         without one; checkpoints, data sets and the node's key stay"
    );
    Ok(())
}

/// Copies what stays.
fn keep(new: &Records, old: &sled::Db) -> Result<(), StoreError> {
    let failed = |error| StoreError::index("read the records of the older format")(error);
    let records = old.open_tree("records").map_err(failed)?;
    let prefixes = KEPT_VALUES.iter().map(|key| local_key(key)).chain([PIN.to_vec()]);
    let kept: Vec<_> =
        prefixes.flat_map(|prefix| records.scan_prefix(prefix)).collect::<Result<_, _>>().map_err(failed)?;
    new.record(|_| {
        let mut batch = sled::Batch::default();
        kept.into_iter().for_each(|(key, value)| batch.insert(key, value));
        Ok(batch)
    })?;
    let peers = new.tree(PEERS)?;
    for peer in &old.open_tree(PEERS).map_err(failed)? {
        let (address, met) = peer.map_err(failed)?;
        peers.insert(address, met).map_err(StoreError::index("keep a peer"))?;
    }
    new.flush()
}
