//! Everything that decides the future of a job, and its bytes.

use serde::Serialize;
use thiserror::Error;

use crate::{
    shared_vectors::SharedVectors,
    spec::{
        BatchSpec, DataSpec, DecaySpec, EmaSpec, JobSpec, ModelSpec, OptimiserSpec, PrecisionSpec, STEPS,
        ScheduleSpec,
    },
};

// Numbers are saved and hashed where they lie.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "numbers of a state are little-endian, as those of the processor"
);

const MAGIC: [u8; 8] = *b"TRNDSTAT";
/// Of the format below; another one is refused.
const VERSION: u32 = 2;
/// Magic, version, fingerprint, step, elements.
pub(crate) const HEADER_BYTES: usize = 8 + 4 + FINGERPRINT_BYTES + 8 + 8;
const FINGERPRINT_BYTES: usize = 32;
const ELEMENT_BYTES: usize = 4;

/// Step, parameters and moments. Its bytes, little-endian: magic, version u32, fingerprint, step u64, elements u64,
/// the parameters f32, then each moment f32, all in the order of the layout. The optimiser counts no updates of its own: the
/// step is their number.
pub(crate) struct State {
    pub(crate) fingerprint: [u8; FINGERPRINT_BYTES],
    pub(crate) step: u64,
    pub(crate) vectors: SharedVectors,
    /// Whether all numbers are known to be of moderate size; a consequence of them, for speed, and no part of the bytes.
    pub(crate) moderate: bool,
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
    /// A parameter or moment that is infinite or NaN.
    #[error("value {index} is not finite")]
    NotFinite {
        /// Its index, parameters first.
        index: usize,
    },
}

impl State {
    /// What is tested and exported: the average, if the job has one, the parameters otherwise.
    pub(crate) fn tested(&self, spec: &JobSpec) -> &[f32] {
        match spec.ema {
            Some(_) => &self.vectors.moments[self.vectors.moments.len() - self.vectors.parameters.len()..],
            None => &self.vectors.parameters,
        }
    }

    /// What its bytes begin with.
    pub(crate) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let mut rest = &mut header[..];
        for field in [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &self.fingerprint,
            &self.step.to_le_bytes(),
            &(self.vectors.parameters.len() as u64).to_le_bytes(),
        ] {
            let (place, after) = rest.split_at_mut(field.len());
            place.copy_from_slice(field);
            rest = after;
        }
        header
    }

    /// Gives the bytes piece by piece.
    pub(crate) fn encode(&self, mut write: impl FnMut(&[u8])) {
        write(&self.header());
        for values in [&self.vectors.parameters, &self.vectors.moments] {
            write(bytemuck::cast_slice(values));
        }
    }

    /// Reads what [`Self::encode`] gave for a job with this fingerprint, so many elements and so many moments.
    pub(crate) fn decode(
        bytes: &[u8],
        fingerprint: [u8; FINGERPRINT_BYTES],
        elements: usize,
        moments: usize,
    ) -> Result<Self, StateError> {
        let expected = encoded_bytes(elements, moments);
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
        let is_bad = |bytes: &[u8; ELEMENT_BYTES]| !f32::from_le_bytes(*bytes).is_finite();
        if let Some(index) = values.iter().position(is_bad) {
            return Err(StateError::NotFinite { index });
        }
        let (parameters, moments) = values.split_at(elements);
        let decoded =
            |values: &[[u8; ELEMENT_BYTES]]| values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let (parameters, moments) = (decoded(parameters), decoded(moments));
        Ok(Self { fingerprint, step, vectors: SharedVectors::new(parameters, moments), moderate: false })
    }
}

/// Length of a state with so many elements and moments.
pub(crate) fn encoded_bytes(elements: usize, moments: usize) -> usize {
    HEADER_BYTES + (1 + moments) * ELEMENT_BYTES * elements
}

/// BLAKE3 of all that decides numbers: a state may continue under another name, with other limits, but not with another
/// model, data set, seed, batch, optimiser or schedule. It may continue for more steps, too, unless the schedule is stretched
/// over them.
pub(crate) fn fingerprint(spec: &JobSpec) -> [u8; FINGERPRINT_BYTES] {
    #[derive(Serialize)]
    struct Decisive<'a> {
        seed: u64,
        schedule_steps: u64,
        model: &'a ModelSpec,
        data: &'a DataSpec,
        batch: &'a BatchSpec,
        optimiser: &'a OptimiserSpec,
        schedule: &'a ScheduleSpec,
        #[serde(skip_serializing_if = "Option::is_none")]
        weight_decay_of: Option<DecaySpec>,
        #[serde(skip_serializing_if = "Option::is_none")]
        precision: Option<PrecisionSpec>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ema: Option<EmaSpec>,
    }
    let JobSpec {
        seed,
        steps,
        model,
        data,
        data_declared,
        batch,
        optimiser,
        schedule,
        weight_decay_of,
        precision,
        ema,
        ..
    } = spec;
    let schedule_steps = if schedule.depends_on_steps() { *steps } else { 0 };
    // What was not there once is left out where it decides nothing: states of older jobs stay theirs.
    let decisive = Decisive {
        seed: *seed,
        schedule_steps,
        model,
        data: data_declared.as_ref().unwrap_or(data),
        batch,
        optimiser,
        schedule,
        weight_decay_of: Some(*weight_decay_of).filter(|decay| *decay != DecaySpec::All),
        precision: Some(*precision).filter(|precision| *precision != PrecisionSpec::Float32),
        ema: *ema,
    };
    let text = toml::to_string(&decisive).expect("numbers, names and lists always serialise");
    *blake3::hash(text.as_bytes()).as_bytes()
}
