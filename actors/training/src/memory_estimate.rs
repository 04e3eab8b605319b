//! What a job takes, before it is started.

use crate::{
    data_facts::DataFacts, parameter_layout::ParameterLayout, session::EVALUATION_SAMPLES, spec::JobSpec,
    state::encoded_bytes, training_error::TrainingError,
};

const ELEMENT_BYTES: u64 = 4;
/// Copies of the parameters: in the state and as the tensor library's variables.
const PARAMETER_COPIES: u64 = 2;
/// Gradients that exist at once: the backward pass's, and the flat one it is copied to.
const GRADIENT_COPIES: u64 = 2;
/// What a node holds of the gradients it exchanges, in f32 a parameter: the sum of contributions (8 bytes), one
/// contribution that is being made and one that is on its way (4 bytes each).
const EXCHANGE_COPIES: u64 = 4;

/// Length of [`Session::state`](crate::Session::state) for this job on such data, in bytes, without starting it.
///
/// # Errors
/// When the model does not take such data or has too many parameters.
pub fn state_bytes(spec: &JobSpec, data: &DataFacts) -> Result<u64, TrainingError> {
    Ok(encoded_bytes(elements(spec, data)?, spec.kept_vectors()) as u64)
}

/// About how much memory a node needs for this job on such data, in bytes, beside the program itself: parameters, moments,
/// gradients, contributions on their way, the data, and the activations of the largest batch that is computed at once. True to
/// a factor of two; an encoded state, for what is saved or sent, comes on top, with [`state_bytes`].
///
/// # Errors
/// As [`state_bytes`].
pub fn memory_estimate_bytes(spec: &JobSpec, data: &DataFacts) -> Result<u64, TrainingError> {
    let moments = spec.kept_vectors() as u64;
    let copies = PARAMETER_COPIES + moments + GRADIENT_COPIES + EXCHANGE_COPIES;
    let samples = u64::from(spec.batch.micro_batch_size).max(EVALUATION_SAMPLES as u64);
    let activations = samples * spec.model.activation_elements(data);
    Ok((elements(spec, data)? as u64 * copies + activations) * ELEMENT_BYTES + data.bytes)
}

fn elements(spec: &JobSpec, data: &DataFacts) -> Result<usize, TrainingError> {
    Ok(ParameterLayout::new(&spec.model.declarations(data)?).elements())
}
