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
    compare(&file, layout)?;
    let mut parameters = vec![0.0; layout.elements()];
    for place in layout.places() {
        file.read(&place.name, &mut parameters[place.range()])?;
    }
    Ok(parameters)
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

/// Names and shapes on both sides, before any value is read.
fn compare(file: &TensorFile, layout: &ParameterLayout) -> Result<(), PortableError> {
    let needed = layout.places().iter().map(|place| place.name.clone());
    let mut names: Vec<String> = file.names().into_iter().chain(needed).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let place = layout.places().iter().find(|place| place.name == *name);
        let expected = place.map(|place| place.shape.clone());
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
