//! Everything that decides the future of a job, and its bytes.

use serde::Serialize;
use thiserror::Error;

use crate::{
    parameter_layout::ParameterLayout,
    spec::{BatchSpec, DataSpec, JobSpec, ModelSpec, OptimiserSpec, STEPS},
};

const MAGIC: [u8; 8] = *b"TRNDSTAT";
/// Of the format below; another one is refused.
const VERSION: u32 = 1;
/// Magic, version, fingerprint, step, elements.
const HEADER_BYTES: usize = 8 + 4 + FINGERPRINT_BYTES + 8 + 8;
const FINGERPRINT_BYTES: usize = 32;
/// Parameters and velocities.
const BUFFERS: usize = 2;
const ELEMENT_BYTES: usize = 4;
/// Elements that are turned into bytes at once: 16 KiB stay in the first cache.
const ENCODED_ELEMENTS: usize = 4096;

/// Step, parameters and velocities. Its bytes, little-endian: magic, version u32, fingerprint, step u64, elements u64,
/// the parameters f32, the velocities f32, both in the order of the layout.
pub(crate) struct State {
    pub(crate) fingerprint: [u8; FINGERPRINT_BYTES],
    pub(crate) step: u64,
    pub(crate) parameters: Vec<f32>,
    pub(crate) velocities: Vec<f32>,
}

/// Why bytes are no state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// Another number of bytes than a state of this job has.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The bytes do not begin as a state does.
    #[error("the bytes are no state")]
    Magic,
    /// A format that this program does not read.
    #[error("format version {found}, this program reads {VERSION}")]
    Version {
        /// The version in the bytes.
        found: u32,
    },
    /// The state of a job with another model, data set, seed, batch or optimiser.
    #[error("the state belongs to another job")]
    AnotherJob,
    /// A step or a number of elements that no state of this job has.
    #[error("the header contradicts the job")]
    Header,
    /// A parameter or velocity that is infinite or NaN.
    #[error("value {index} is not finite")]
    NotFinite {
        /// Its index, parameters first.
        index: usize,
    },
}

impl State {
    /// Gives the bytes piece by piece.
    pub(crate) fn encode(&self, mut write: impl FnMut(&[u8])) {
        write(&MAGIC);
        write(&VERSION.to_le_bytes());
        write(&self.fingerprint);
        write(&self.step.to_le_bytes());
        write(&(self.parameters.len() as u64).to_le_bytes());
        let mut bytes = [0; ENCODED_ELEMENTS * ELEMENT_BYTES];
        for values in [&self.parameters, &self.velocities] {
            for values in values.chunks(ENCODED_ELEMENTS) {
                for (bytes, value) in bytes.chunks_exact_mut(ELEMENT_BYTES).zip(values) {
                    bytes.copy_from_slice(&value.to_le_bytes());
                }
                write(&bytes[..values.len() * ELEMENT_BYTES]);
            }
        }
    }

    /// Reads what [`Self::encode`] gave for a job with this fingerprint and so many elements.
    pub(crate) fn decode(
        bytes: &[u8],
        fingerprint: [u8; FINGERPRINT_BYTES],
        elements: usize,
    ) -> Result<Self, StateError> {
        let expected = encoded_bytes(elements);
        let length = StateError::Length { found: bytes.len(), expected };
        let (magic, rest) = bytes.split_first_chunk().ok_or_else(|| length.clone())?;
        if *magic != MAGIC {
            return Err(StateError::Magic);
        }
        let (version, rest) = rest.split_first_chunk().ok_or_else(|| length.clone())?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err(StateError::Version { found: u32::from_le_bytes(*version) });
        }
        let (found_fingerprint, rest) = rest.split_first_chunk().ok_or_else(|| length.clone())?;
        if *found_fingerprint != fingerprint {
            return Err(StateError::AnotherJob);
        }
        if bytes.len() != expected {
            return Err(length);
        }
        let (step, rest) = rest.split_first_chunk().ok_or_else(|| length.clone())?;
        let (found_elements, rest) = rest.split_first_chunk().ok_or(length)?;
        let step = u64::from_le_bytes(*step);
        if u64::from_le_bytes(*found_elements) != elements as u64 || step >= STEPS.end {
            return Err(StateError::Header);
        }
        let (values, _) = rest.as_chunks::<ELEMENT_BYTES>();
        let mut parameters: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if let Some(index) = parameters.iter().position(|value| !value.is_finite()) {
            return Err(StateError::NotFinite { index });
        }
        let velocities = parameters.split_off(elements);
        Ok(Self { fingerprint, step, parameters, velocities })
    }
}

/// Length of a state with so many elements.
pub(crate) fn encoded_bytes(elements: usize) -> usize {
    HEADER_BYTES + BUFFERS * ELEMENT_BYTES * elements
}

/// Length of [`Session::state`](crate::Session::state) for this job, in bytes, without starting it.
#[must_use]
pub fn state_bytes(spec: &JobSpec) -> u64 {
    encoded_bytes(ParameterLayout::new(&spec.model.declarations()).elements()) as u64
}

/// BLAKE3 of all that decides numbers: a state may continue under another name, with other limits, for more steps, but not
/// with another model, data set, seed, batch or optimiser.
pub(crate) fn fingerprint(spec: &JobSpec) -> [u8; FINGERPRINT_BYTES] {
    #[derive(Serialize)]
    struct Decisive<'a> {
        seed: u64,
        model: ModelSpec,
        data: &'a DataSpec,
        batch: BatchSpec,
        optimiser: &'a OptimiserSpec,
    }
    let JobSpec { seed, model, ref data, batch, ref optimiser, .. } = *spec;
    let text = toml::to_string(&Decisive { seed, model, data, batch, optimiser })
        .expect("numbers and names always serialise");
    *blake3::hash(text.as_bytes()).as_bytes()
}
