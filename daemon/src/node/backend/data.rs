//! Data sets: adds, lists, verifies and removes them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use traind_actors::data_sets::{DataSetError, FileFacts, SetForm};
use traind_actors::session::chain_of;
use traind_protocol::ledger::{DataSetRecord, LedgerCommand, set_names};

use super::Backend;
use crate::control::api::{ApiError, DataDetail, DataFile, DataRow, DataVerified, NodeRef, Response};

impl Backend {
    pub(super) fn data_list(&self) -> Response {
        let published = self.published();
        let data = published.ledger.data_sets.iter().map(|(name, record)| row(name, record)).collect();
        Response::DataList { data }
    }

    pub(super) async fn data_add(
        &self,
        name: String,
        path: String,
        form: SetForm,
    ) -> Result<Response, ApiError> {
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err(ApiError::bad_request(
                "the path of a data set is absolute, on the node that is asked",
            ));
        }
        let known = self.published().ledger.data_sets.get(&name).map(|record| record.manifest);
        let cut =
            self.actors.data_sets.cut(name.clone(), path, form).await.map_err(|error| refusal(&error))?;
        if known.is_some_and(|known| known != cut.manifest) {
            self.actors.data_sets.discard(cut.manifest).await;
            return Err(ApiError::refused(format!("there is another data set {name:?}"))
                .next(format!("trainctl data rm {name}")));
        }
        let manifest = cut.manifest;
        let record = DataSetRecord {
            manifest,
            kind: cut.facts.kind,
            bytes: cut.bytes,
            training: cut.facts.training,
            held_out: cut.facts.held_out,
            added_by: self.actors.node,
            holders: BTreeSet::from([self.actors.node]),
        };
        let command = LedgerCommand::AddDataSet { name: name.clone(), record };
        if let Err(full) = self.check_room(&command, "trainctl data ls; trainctl data rm NAME makes room") {
            self.actors.data_sets.discard(manifest).await;
            return Err(full);
        }
        let added = name.clone();
        self.propose_until(command, move |published| {
            published.ledger.data_sets.get(&added).is_some_and(|record| record.manifest == manifest)
        })
        .await?;
        self.data_row(&name).map(Response::DataAdded)
    }

    pub(super) async fn data_show(&self, name: String) -> Result<Response, ApiError> {
        let published = self.published();
        let record = published.ledger.data_sets.get(&name).ok_or_else(|| unknown(&name))?;
        let sets = &self.actors.data_sets;
        // A node that has nothing of it yet knows no files.
        let (files, local) = match sets.facts(record.manifest).await {
            Ok((facts, is_whole)) => (facts.files.iter().map(file).collect(), is_whole),
            Err(_) => (Vec::new(), false),
        };
        let open = published.ledger.jobs.values().filter(|job| !job.has_ended());
        let jobs = open.filter(|job| set_names(&job.spec_toml).contains(&name)).map(|job| job.name.clone());
        Ok(Response::DataDetail(DataDetail {
            row: row(&name, record),
            added_by: record.added_by.into(),
            local,
            bytes_fetched: sets.bytes_fetched(record.manifest),
            files,
            jobs: jobs.collect(),
        }))
    }

    pub(super) async fn data_verify(&self, name: String) -> Result<Response, ApiError> {
        let manifest = self.published().ledger.data_sets.get(&name).ok_or_else(|| unknown(&name))?.manifest;
        let verified = self.actors.data_sets.verify(manifest).await;
        let (chunks, damaged) =
            verified.map_err(|error| refusal(&error).next(format!("trainctl data show {name}")))?;
        let damaged = damaged.iter().map(|chunk| chunk.to_hex()).collect();
        Ok(Response::DataVerified(DataVerified { name, chunks, damaged }))
    }

    pub(super) async fn data_remove(&self, name: String) -> Result<Response, ApiError> {
        let published = self.published();
        if !published.ledger.data_sets.contains_key(&name) {
            return Err(unknown(&name));
        }
        if let Some(job) = published.ledger.user_of(&name) {
            return Err(ApiError::refused(format!("job {} needs data set {name:?}", job.name))
                .next(format!("trainctl job cancel {}", job.id)));
        }
        let gone = name.clone();
        let command = LedgerCommand::RemoveDataSet { name: name.clone() };
        self.propose_until(command, move |published| !published.ledger.data_sets.contains_key(&gone)).await?;
        Ok(Response::DataRemoved { name })
    }

    /// Waits until the data sets that a job names are on this node.
    pub(super) async fn ensure_sets(&self, spec_toml: &str) -> Result<(), ApiError> {
        for name in set_names(spec_toml) {
            self.ensure_set(&name).await?;
        }
        Ok(())
    }

    /// Waits until a data set is on this node, and says where.
    pub(super) async fn ensure_set(&self, name: &str) -> Result<PathBuf, ApiError> {
        self.actors.data_sets.ensure(name).await.map_err(|error| match error {
            DataSetError::Unknown { .. } => unknown(name),
            error => refusal(&error),
        })
    }

    fn data_row(&self, name: &str) -> Result<DataRow, ApiError> {
        self.published()
            .ledger
            .data_sets
            .get(name)
            .map(|record| row(name, record))
            .ok_or_else(|| unknown(name))
    }
}

fn row(name: &str, record: &DataSetRecord) -> DataRow {
    DataRow {
        name: name.to_owned(),
        set_kind: record.kind.clone(),
        bytes: record.bytes,
        training: record.training,
        held_out: record.held_out,
        manifest: record.manifest.to_hex(),
        holders: record.holders.iter().copied().map(NodeRef::from).collect(),
    }
}

fn file(facts: &FileFacts) -> DataFile {
    DataFile {
        name: facts.name.clone(),
        bytes: facts.bytes,
        shards: facts.shards.len() as u64,
        samples: facts.shards.iter().copied().sum(),
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::no_such_object(format!("no data set {name:?}")).next("trainctl data ls")
}

fn refusal(error: &DataSetError) -> ApiError {
    let words = std::error::Error::source(error).map(chain_of);
    let refused = match error {
        DataSetError::Store(_) | DataSetError::Fetch(_) | DataSetError::Panicked => {
            ApiError::unavailable(error.to_string()).next("trainctl status")
        }
        _ => ApiError::bad_request(error.to_string())
            .next("mend what is named, and run the same command again"),
    };
    match words {
        Some(words) => refused.because(words),
        None => refused,
    }
}
