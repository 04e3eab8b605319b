//! Adding a data set: its files are checked as a job would read them, then cut.

use std::path::Path;

use traind_protocol::ids::ManifestId;
use traind_store::{Chunks, Manifest, ManifestBody, is_data_set_name};
use traind_training::{DataSpec, JobSpec};

use super::DataSetError;
use super::cutting::{cut_file, files_of};
use super::facts::SetFacts;
use crate::session::chain_of;

/// How the files of a new data set are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetForm {
    /// `idx`, `csv`, `model` or `files`; by the path if absent.
    pub kind: Option<String>,
    /// Which column of a table is the class.
    pub label: Option<String>,
    /// Whether the first line of a table names the columns.
    pub header: bool,
}

/// A data set that was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutSet {
    /// Its manifest.
    pub manifest: ManifestId,
    /// What it is.
    pub facts: SetFacts,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Checks and cuts what is at `path`; its manifest is in the store when this returns.
pub(super) fn add(chunks: &Chunks, name: &str, path: &Path, form: &SetForm) -> Result<CutSet, DataSetError> {
    if !is_data_set_name(name) {
        return Err(DataSetError::Name { name: name.to_owned() });
    }
    let (is_folder, files) = files_of(path)?;
    let kind = form.kind.clone().unwrap_or_else(|| guess(path, is_folder).to_owned());
    let counts = check(&kind, path, form)?;
    let mut lease = chunks.lease();
    let mut list = Vec::new();
    let cut = files.iter().map(|file| cut_file(chunks, &mut lease, &kind, file, &mut list)).collect();
    let cut: Vec<_> = match cut {
        Ok(cut) => cut,
        Err(error) => {
            // For want of space, most likely: what was taken is given back.
            if let Err(error) = chunks.abandon(lease) {
                tracing::warn!(%error, "chunks of a data set that was not added are left until the next start");
            }
            return Err(error);
        }
    };
    let facts = SetFacts::new(&kind, is_folder, counts, cut);
    let body = ManifestBody::DataSet { name: name.to_owned(), facts: facts.to_text() };
    let manifest = Manifest { body, chunks: list };
    let bytes = manifest.bytes();
    let manifest = chunks.put_manifest(&manifest)?;
    Ok(CutSet { manifest, facts, bytes })
}

fn guess(path: &Path, is_folder: bool) -> &'static str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(name);
    match name.rsplit_once('.') {
        _ if is_folder => "idx",
        Some((_, "csv")) => "csv",
        _ => "files",
    }
}

/// Samples to train on and held out, as a job on these files would count them.
fn check(kind: &str, path: &Path, form: &SetForm) -> Result<(u64, u64), DataSetError> {
    let refused = |reason: String| DataSetError::Refused { reason };
    let mut data = format!("[data]\nkind = {kind:?}\npath = \"/\"\n");
    match kind {
        "files" => return Ok((0, 0)),
        "model" => {
            let verified = traind_training::verify_model(path);
            return verified.map(|()| (0, 0)).map_err(|error| refused(chain_of(&error)));
        }
        "csv" => {
            data += &format!("header = {}\n", form.header);
            if let Some(label) = &form.label {
                data += &format!("label = {label:?}\n");
            }
        }
        _ => {}
    }
    let text = format!("name = \"data\"\nsteps = 1\nmodel = {{ kind = \"mlp\", hidden = [1] }}\n{data}");
    let mut spec = JobSpec::parse(&text).map_err(|error| refused(error.to_string()))?;
    match &mut spec.data {
        DataSpec::Idx { path: of } => *of = path.to_path_buf(),
        DataSpec::Csv(csv) => csv.path = path.to_path_buf(),
        _ => return Err(refused(format!("data of kind {kind:?} is added as \"files\""))),
    }
    let summary = traind_training::check_data(&spec).map_err(|error| refused(chain_of(&error)))?;
    Ok((summary.training, summary.held_out))
}
