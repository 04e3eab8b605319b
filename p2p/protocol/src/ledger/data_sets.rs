//! Data sets: which chunks have which name, and who holds them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::limits::{DATA_SET_NAME_BYTES_MAX, DATA_SET_TEXT_BYTES_MAX, DATA_SETS_MAX};
use super::{JobRecord, Ledger, Rejected};
use crate::ids::{ManifestId, NodeId};

/// How job files refer to a data set instead of a path: `set:NAME`, or `set:NAME/FILE` for one file of it.
pub const SET_PREFIX: &str = "set:";

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetRecord {
    /// Its manifest: the chunks and what is in them.
    pub manifest: ManifestId,
    /// Its kind, as `idx` or `csv`.
    pub kind: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Samples to train on; zero where nobody counted.
    pub training: u64,
    /// Samples held out for the test.
    pub held_out: u64,
    /// Where it was added.
    pub added_by: NodeId,
    /// Nodes that hold all of it, whose word this is.
    pub holders: BTreeSet<NodeId>,
}

impl Ledger {
    /// Data sets that a job refers to, in the order of their names.
    #[must_use]
    pub fn data_sets_of(&self, job: &JobRecord) -> BTreeSet<String> {
        set_names(&job.spec_toml)
    }

    /// The job that keeps a data set from being removed, if there is one.
    #[must_use]
    pub fn user_of(&self, name: &str) -> Option<&JobRecord> {
        let mut open = self.jobs.values().filter(|job| !job.has_ended());
        open.find(|job| set_names(&job.spec_toml).contains(name))
    }

    pub(super) fn add_data_set(&mut self, name: String, record: DataSetRecord) -> Result<(), Rejected> {
        let refuse = |what| Err(Rejected::DataSetRefused { name: name.clone(), what });
        if !is_set_name(&name) || record.kind.len() > DATA_SET_TEXT_BYTES_MAX {
            return refuse("its name or kind is not one");
        }
        if !self.nodes.contains_key(&record.added_by) {
            return Err(Rejected::NodeNotRegistered { node: record.added_by });
        }
        if !record.holders.iter().eq([&record.added_by]) {
            return refuse("its holder is not the node that adds it");
        }
        match self.data_sets.get(&name) {
            // The same again, as after a lost answer; who holds it meanwhile stays.
            Some(known) if known.manifest == record.manifest => return Ok(()),
            Some(_) => return refuse("there is another of this name"),
            None if self.data_sets.len() >= DATA_SETS_MAX => {
                return Err(Rejected::LimitReached { what: "data sets", max: DATA_SETS_MAX });
            }
            None => {}
        }
        self.data_sets.insert(name, record);
        Ok(())
    }

    pub(super) fn remove_data_set(&mut self, name: &str) -> Result<(), Rejected> {
        if self.user_of(name).is_some() {
            let what = "a job that has not ended needs it";
            return Err(Rejected::DataSetRefused { name: name.to_owned(), what });
        }
        // One that is gone is what was asked for.
        self.data_sets.remove(name);
        Ok(())
    }

    pub(super) fn note_data_holder(
        &mut self,
        name: &str,
        manifest: ManifestId,
        node: NodeId,
        holds: bool,
    ) -> Result<(), Rejected> {
        if !self.nodes.contains_key(&node) {
            return Err(Rejected::NodeNotRegistered { node });
        }
        match self.data_sets.get_mut(name).filter(|record| record.manifest == manifest) {
            Some(record) if holds => record.holders.insert(node),
            // Two that make room at a time: the second one keeps it.
            Some(record) if record.holders.iter().eq([&node]) => {
                let what = "no other node holds it";
                return Err(Rejected::DataSetRefused { name: name.to_owned(), what });
            }
            Some(record) => record.holders.remove(&node),
            None => {
                let what = "there is none of this name and content";
                return Err(Rejected::DataSetRefused { name: name.to_owned(), what });
            }
        };
        Ok(())
    }
}

/// Whether a data set may be called so: letters, digits and `-_.`, not beginning with a dot.
#[must_use]
pub fn is_set_name(name: &str) -> bool {
    (1..=DATA_SET_NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(is_name_byte)
}

/// Names of the data sets that a job's text refers to: whatever stands in a string that begins with [`SET_PREFIX`].
#[must_use]
pub fn set_names(spec_toml: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for quote in ['"', '\''] {
        let beginning = format!("{quote}{SET_PREFIX}");
        for rest in spec_toml.split(beginning.as_str()).skip(1) {
            let name: String = rest
                .chars()
                .take_while(|character| character.is_ascii() && is_name_byte(*character as u8))
                .collect();
            if is_set_name(&name) {
                names.insert(name);
            }
        }
    }
    names
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}
