//! From files of other programs to a job's state.

use std::path::Path;

use safetensors::Dtype;

use super::{
    MODEL_FILE,
    export::layout,
    export_facts::ExportFacts,
    portable_error::{PortableError, Problem},
    tensor_file::TensorFile,
};
use crate::{
    data, parameter_layout::ParameterLayout, session::state_at_start, spec::JobSpec,
    training_error::TrainingError,
};

/// Names of a model in a directory that are not read.
const PICKLE_FILES: [&str; 2] = ["pytorch_model.bin", "model.pt"];

/// What the names of GPT-2's parameters begin with.
const PREFIX: &str = "transformer.";
/// The tables of embeddings of language models.
const TABLES: [&str; 2] = ["model.embed_tokens.weight", "transformer.wte.weight"];
/// The last projection.
const HEAD: &str = "lm_head.weight";
/// Ends of names of tensors that follow from the model's shape.
const BUFFERS: [&str; 3] = [".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"];

/// Reads the parameters of a model from a safetensors file, or from the `model.safetensors` of a directory, in the order of
/// the layout. Values of 16 and 64 bits become 32-bit floats.
///
/// # Errors
/// A file that cannot be read or is none; a header that lies; a tensor that is missing or of another shape or type, or that
/// the model does not have: the first in the order of the names; a value that is not finite.
pub fn import_parameters(layout: &ParameterLayout, from: &Path) -> Result<Vec<f32>, PortableError> {
    let path = if from.is_dir() { from.join(MODEL_FILE) } else { from.to_owned() };
    refuse_pickle(from)?;
    let mut file = TensorFile::open(&path)?;
    file.verify_hash()?;
    compare(&file, layout)?;
    let mut parameters = vec![0.0; layout.elements()];
    for place in layout.places() {
        let name = file_name(&file, &place.name).to_owned();
        file.read(&name, &mut parameters[place.range()])?;
    }
    Ok(parameters)
}

/// Looks at a model whose job is not known: a header that is true, tensors as they were written where the header has their
/// hash, and values that are finite.
///
/// # Errors
/// As [`import_parameters`], but for what only a job tells.
pub fn verify_model(from: &Path) -> Result<(), PortableError> {
    let path = if from.is_dir() { from.join(MODEL_FILE) } else { from.to_owned() };
    refuse_pickle(from)?;
    let mut file = TensorFile::open(&path)?;
    file.verify_hash()?;
    for name in file.names() {
        let elements = file.info(&name).map_or(0, |info| info.shape.iter().product());
        file.read(&name, &mut vec![0.0; elements])?;
    }
    Ok(())
}

/// Refuses a directory that holds a model in a form that is not read, and none in one that is.
///
/// # Errors
/// [`PortableError::NotSafetensors`] with the reason.
pub fn refuse_pickle(directory: &Path) -> Result<(), PortableError> {
    if directory.join(MODEL_FILE).exists() {
        return Ok(());
    }
    match PICKLE_FILES.iter().map(|name| directory.join(name)).find(|path| path.exists()) {
        Some(path) => Err(PortableError::NotSafetensors { path, is_pickle: true }),
        None => Ok(()),
    }
}

/// The bytes that [`Session::state`](crate::Session::state) of this job has before its first step, but with the parameters of
/// a file: what a session continues from with [`Session::restore`](crate::Session::restore).
///
/// # Errors
/// As [`import_parameters`], and as the job's data and model when a session starts.
pub fn initial_state(spec: &JobSpec, from: &Path) -> Result<Vec<u8>, TrainingError> {
    let data = data::open(&spec.data)?;
    let import = |source| TrainingError::Import(Box::new(source));
    let layout = layout(spec, &ExportFacts::from(&data)).map_err(import)?;
    let parameters = import_parameters(&layout, from).map_err(import)?;
    let state = state_at_start(spec, parameters);
    let mut bytes = Vec::new();
    state.encode(|piece| bytes.extend_from_slice(piece));
    Ok(bytes)
}

/// The name that a parameter has in the file: some files of GPT-2 leave out what all names begin with.
fn file_name<'a>(file: &TensorFile, name: &'a str) -> &'a str {
    match name.strip_prefix(PREFIX) {
        Some(short) if file.info(name).is_none() && file.info(short).is_some() => short,
        _ => name,
    }
}

/// Whether a tensor of a file is no parameter: masks and frequencies that `transformers` once saved, or the last projection again
/// where it is the embedding.
fn is_no_parameter(layout: &ParameterLayout, name: &str) -> bool {
    let is_language = TABLES.iter().any(|table| layout.place(table).is_some());
    is_language
        && (BUFFERS.iter().any(|buffer| name.ends_with(buffer))
            || name == HEAD && layout.place(HEAD).is_none())
}

/// Names and shapes on both sides, before any value is read.
fn compare(file: &TensorFile, layout: &ParameterLayout) -> Result<(), PortableError> {
    let needed: Vec<(&str, &str)> =
        layout.places().iter().map(|place| (file_name(file, &place.name), place.name.as_str())).collect();
    let there = file.names();
    let there = there.iter().map(String::as_str).filter(|name| !is_no_parameter(layout, name));
    let mut names: Vec<&str> = there.chain(needed.iter().map(|(name, _)| *name)).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let place = needed.iter().find(|(found, _)| *found == name);
        let expected = place.and_then(|(_, own)| layout.place(own)).map(|place| place.shape.clone());
        let problem = match (file.info(name), expected) {
            (None, None) => continue,
            (None, Some(expected)) => Problem::Missing { expected },
            (Some(info), None) => Problem::Unknown { found: info.shape.clone() },
            (Some(info), Some(expected)) if info.shape != expected => {
                Problem::Shape { found: info.shape.clone(), expected }
            }
            (Some(info), Some(_)) => match info.dtype {
                Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16 => continue,
                other => Problem::Type { found: format!("{other:?}") },
            },
        };
        return Err(file.refuse(name, problem));
    }
    Ok(())
}
