//! Adding a data set: its files are checked as a job would read them, then cut.

use std::path::{Path, PathBuf};

use traind_protocol::ids::ManifestId;
use traind_store::{Chunks, Manifest, ManifestBody, is_data_set_name};
use traind_training::{DataSpec, JobSpec};

use super::DataSetError;
use super::cutting::{cut_file, files_of};
use super::facts::SetFacts;
use super::images;
use crate::session::chain_of;

/// The kind of a folder of pictures, which becomes IDX files.
const IMAGES: &str = "images";

/// How the files of a new data set are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetForm {
    /// `idx`, `csv`, `text`, `jsonl`, `images`, `model` or `files`; by the path if absent.
    pub kind: Option<String>,
    /// Which column of a table is the class.
    pub label: Option<String>,
    /// Whether the first line of a table names the columns.
    pub header: bool,
    /// Which field of each line of a JSONL file is the text; `text` if absent.
    pub field: Option<String>,
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

/// Bytes of all files at `path`.
pub(super) fn bytes_of(path: &Path) -> Result<u64, DataSetError> {
    let (_is_folder, files) = files_of(path)?;
    let length = |(_, path): &(String, PathBuf)| {
        std::fs::metadata(path).map(|metadata| metadata.len()).map_err(DataSetError::file("read", path))
    };
    files.iter().map(length).sum()
}

/// How the names of folders begin, in the data directory, that hold pictures while they become a set.
pub const CONVERTED_PREFIX: &str = "images-";

/// Checks and cuts what is at `path`; its manifest is in the store when this returns.
pub(super) fn add(chunks: &Chunks, name: &str, path: &Path, form: &SetForm) -> Result<CutSet, DataSetError> {
    if !is_data_set_name(name) {
        return Err(DataSetError::Name { name: name.to_owned() });
    }
    let (is_folder, files) = files_of(path)?;
    let kind = form.kind.clone().unwrap_or_else(|| guess(path, is_folder, &files).to_owned());
    if kind == IMAGES {
        // Removed when this is done: what is cut of it is kept.
        let folder = tempfile::Builder::new().prefix(CONVERTED_PREFIX).tempdir_in(chunks.path());
        let folder = folder.map_err(DataSetError::file("make a folder in", chunks.path()))?;
        images::convert(path, folder.path())?;
        let form = SetForm { kind: Some("idx".to_owned()), ..SetForm::default() };
        return add(chunks, name, folder.path(), &form);
    }
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

fn guess(path: &Path, is_folder: bool, files: &[(String, PathBuf)]) -> &'static str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(name);
    match name.rsplit_once('.') {
        _ if is_folder && files.iter().all(|(name, _)| is_picture(name)) => IMAGES,
        _ if is_folder => "idx",
        Some((_, "csv")) => "csv",
        Some((_, "jsonl")) => "jsonl",
        Some((_, "txt")) => "text",
        _ => "files",
    }
}

fn is_picture(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    name.contains('/') && ending.is_some_and(|ending| ["png", "pgm", "ppm"].contains(&ending.as_str()))
}

/// Documents, each looked at; how they become samples is the job's to say.
fn documents(kind: &str, path: &Path, form: &SetForm) -> Result<u64, DataSetError> {
    let field = (kind == "jsonl").then(|| form.field.as_deref().unwrap_or("text"));
    let (_is_folder, files) = files_of(path)?;
    let count = |(_, path): &(String, PathBuf)| {
        let counted = traind_training::check_documents(path, field);
        counted.map_err(|error| DataSetError::Refused { reason: chain_of(&error) })
    };
    files.iter().map(count).sum()
}

/// Samples to train on and held out, as a job on these files would count them.
fn check(kind: &str, path: &Path, form: &SetForm) -> Result<(u64, u64), DataSetError> {
    let refused = |reason: String| DataSetError::Refused { reason };
    let mut data = format!("[data]\nkind = {kind:?}\npath = \"/\"\n");
    match kind {
        "files" => return Ok((0, 0)),
        "text" | "jsonl" => return Ok((documents(kind, path, form)?, 0)),
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
