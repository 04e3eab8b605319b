//! From a job's state to files for other programs.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorInfo};
use serde::Serialize;

use super::{
    CONFIG_FILE, MODEL_FILE, TENSORS_HASH_KEY, TOKENIZER_FILE, export_directory::ExportDirectory,
    export_facts::ExportFacts, model_config::config_json, portable_error::PortableError,
};
use crate::{
    data::{self, DataSet},
    parameter_layout::ParameterLayout,
    spec::JobSpec,
    state::{State, fingerprint},
};

/// The format starts its tensors at multiples of this.
const ALIGNMENT_BYTES: usize = 8;
const ELEMENT_BYTES: usize = size_of::<f32>();
/// Elements that are turned into bytes at once: 16 KiB stay in the first cache.
const WRITTEN_ELEMENTS: usize = 4096;

/// A model at one step of its job.
#[derive(Clone, Copy, Debug)]
pub struct ModelSnapshot<'a> {
    /// The job.
    pub spec: &'a JobSpec,
    /// What is known of its data.
    pub facts: ExportFacts,
    /// The parameters, in the order of the layout.
    pub parameters: &'a [f32],
    /// Updates that made them.
    pub step: u64,
    /// The digest of the state they come from.
    pub digest: Option<[u8; 32]>,
}

/// What an export wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedModel {
    /// The directory's `model.safetensors`.
    pub model: PathBuf,
    /// The directory's `config.json`.
    pub config: PathBuf,
    /// Parameters that were written.
    pub parameters: u64,
    /// Updates that made them.
    pub step: u64,
    /// Length of all files together.
    pub bytes: u64,
    /// What `config.json` does not tell and why, for people; `None` if it tells all.
    pub left_out: Option<String>,
}

/// Writes `model.safetensors` with PyTorch's names and shapes, `config.json`, and of a language model `tokenizer.json` to
/// `directory`, which is made if there is none. A directory that holds anything but an earlier export is refused unless `force`, which leaves other files as they
/// are. Each file appears under its name only when it is whole and on disk.
///
/// # Errors
/// A directory that is refused or cannot be written; parameters of another length than the model's. What was begun is
/// removed.
pub fn export_model(
    model: &ModelSnapshot<'_>,
    directory: &Path,
    force: bool,
) -> Result<ExportedModel, PortableError> {
    let layout = layout(model.spec, &model.facts)?;
    let (found, expected) = (model.parameters.len(), layout.elements());
    if found != expected {
        return Err(PortableError::Length { found, expected });
    }
    // Text is tokenised when it is opened, and sessions of this process share it; elsewhere a tokenizer costs its training.
    let data = if model.spec.data.is_text() { data::open(&model.spec.data).ok() } else { None };
    let tokenizer = data.as_ref().and_then(DataSet::tokenizer);
    let left_out = (model.spec.data.is_text() && tokenizer.is_none())
        .then(|| format!("{TOKENIZER_FILE} is not written: the job's data are not at hand, or name none"));
    let config = config_json(model, tokenizer)?;
    let header = header(model, &layout);
    let mut export = ExportDirectory::open(directory, force)?;
    let mut bytes = export.write(MODEL_FILE, |file| write_tensors(file, &header, model.parameters))?;
    bytes += export.write(CONFIG_FILE, |file| {
        file.write_all(&config)?;
        file.write_all(b"\n")
    })?;
    if let Some(tokenizer) = tokenizer {
        bytes += export.write(TOKENIZER_FILE, |file| file.write_all(tokenizer.json()))?;
    }
    let directory = export.finish()?;
    Ok(ExportedModel {
        model: directory.join(MODEL_FILE),
        config: directory.join(CONFIG_FILE),
        parameters: expected as u64,
        step: model.step,
        bytes,
        left_out,
    })
}

/// [`export_model`] of the bytes that [`Session::state`](crate::Session::state) gave, without starting the job.
///
/// `facts` that are absent, or that lack the normalisation, are taken from the job's data if this machine has them. Without
/// them the model is exported all the same if `facts` tell its shape, and `left_out` says what is missing.
///
/// # Errors
/// As [`export_model`]; bytes that are no state of this job; no facts and no data.
pub fn export_state(
    spec: &JobSpec,
    state: &[u8],
    facts: Option<ExportFacts>,
    directory: &Path,
    force: bool,
) -> Result<ExportedModel, PortableError> {
    let (facts, left_out) = complete(spec, facts)?;
    let elements = layout(spec, &facts)?.elements();
    let decoded = State::decode(state, fingerprint(spec), elements, spec.kept_vectors());
    let decoded = decoded.map_err(PortableError::State)?;
    let digest = Some(*blake3::hash(state).as_bytes());
    let (parameters, step) = (decoded.tested(spec), decoded.step);
    let exported = export_model(&ModelSnapshot { spec, facts, parameters, step, digest }, directory, force)?;
    // Text has no normalisation to leave out.
    let left_out = if spec.data.is_text() { exported.left_out.clone() } else { left_out };
    Ok(ExportedModel { left_out, ..exported })
}

/// Where each parameter lies.
pub(super) fn layout(spec: &JobSpec, facts: &ExportFacts) -> Result<ParameterLayout, PortableError> {
    let declarations = spec.model.declarations(&facts.data_facts(&spec.model));
    declarations
        .map(|declarations| ParameterLayout::new(&declarations))
        .map_err(|error| PortableError::Model(Box::new(error)))
}

/// Adds to the facts what the data tell, and says what is left out.
fn complete(
    spec: &JobSpec,
    facts: Option<ExportFacts>,
) -> Result<(ExportFacts, Option<String>), PortableError> {
    let Some(facts) = facts else {
        let data = data::open(&spec.data).map_err(|error| PortableError::NoFacts(Box::new(error)))?;
        return Ok((ExportFacts::from(&data), None));
    };
    if facts.normalisation.is_some() {
        return Ok((facts, None));
    }
    let reason = match data::open(&spec.data) {
        Ok(data) => {
            let here = ExportFacts::from(&data);
            if (here.image_shape, here.classes) == (facts.image_shape, facts.classes) {
                return Ok((here, None));
            }
            "the data on this machine have another shape".to_owned()
        }
        Err(error) => {
            let causes =
                std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    };
    Ok((facts, Some(format!("the normalisation of the data is not in {CONFIG_FILE}: {reason}"))))
}

/// The file's header, tensors in the order of the layout; equal models have equal bytes.
fn header(model: &ModelSnapshot<'_>, layout: &ParameterLayout) -> Vec<u8> {
    #[derive(Serialize)]
    struct Header<'a> {
        #[serde(rename = "__metadata__")]
        metadata: BTreeMap<&'a str, String>,
        #[serde(flatten)]
        tensors: BTreeMap<&'a str, TensorInfo>,
    }
    let mut metadata = BTreeMap::from([
        ("format", "pt".to_owned()),
        ("traind_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("traind_job", model.spec.name.clone()),
        ("traind_step", model.step.to_string()),
    ]);
    if let Some(digest) = model.digest {
        metadata.insert("traind_digest", blake3::Hash::from(digest).to_hex().to_string());
    }
    metadata.insert(TENSORS_HASH_KEY, tensors_hash(model.parameters));
    let tensors = layout.places().iter().map(|place| {
        let data_offsets = (place.offset * ELEMENT_BYTES, place.range().end * ELEMENT_BYTES);
        (place.name.as_str(), TensorInfo { dtype: Dtype::F32, shape: place.shape.clone(), data_offsets })
    });
    let header = Header { metadata, tensors: tensors.collect() };
    let mut header = serde_json::to_vec(&header).expect("names and numbers always serialise");
    header.resize(header.len().next_multiple_of(ALIGNMENT_BYTES), b' ');
    header
}

/// BLAKE3 of the bytes that follow the header, in hexadecimal: the format itself would not notice another bit.
fn tensors_hash(parameters: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    write_values(&mut hasher, parameters).expect("hashing never fails");
    hasher.finalize().to_hex().to_string()
}

fn write_tensors(file: &mut dyn Write, header: &[u8], parameters: &[f32]) -> io::Result<()> {
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header)?;
    write_values(file, parameters)
}

fn write_values(file: &mut dyn Write, parameters: &[f32]) -> io::Result<()> {
    let mut bytes = [0; WRITTEN_ELEMENTS * ELEMENT_BYTES];
    for values in parameters.chunks(WRITTEN_ELEMENTS) {
        for (bytes, value) in bytes.chunks_exact_mut(ELEMENT_BYTES).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        file.write_all(&bytes[..values.len() * ELEMENT_BYTES])?;
    }
    Ok(())
}
