//! Messages as frames: a postcard header that says what the payload is, and the payload, never copied.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::arrival::Arrival;
use super::message::{Standing, SyncBody, SyncMessage};
use super::state_offer::{OFFER_CHUNKS_MAX, StateOffer};
use crate::ids::{Boot, Chain, Epoch, Incarnation, JobId};
use crate::index_set::IndexSet;
use crate::wire::data::{DATA_HEADER_BYTES_MAX, DataFrame, FrameKind};
use crate::wire::{DecodeError, decode, encode};

/// What a job allows in its messages.
#[derive(Clone, Copy, Debug)]
pub struct SyncLimits {
    /// Micro-batches of a step.
    pub microbatches: u32,
    /// Parts of the gradient.
    pub parts: u32,
    /// Longest payload, bytes.
    pub payload_bytes_max: usize,
    /// Longest state with the results of a step, bytes: a joiner keeps so much in memory.
    pub state_bytes_max: u64,
}

/// Bytes of a chunk and of a length in an offer's list, at most.
const LISTED_CHUNK_BYTES_MAX: usize = 32 + 5;
const LISTED_LENGTH_BYTES_MAX: usize = 5;

/// Bytes of the rest of an offer, at most: step, two chains, three counts.
const OFFER_HEAD_BYTES_MAX: usize = 10 + 64 + 3 * 5;

#[derive(Serialize, Deserialize)]
struct Header {
    job: JobId,
    incarnation: Incarnation,
    epoch: Epoch,
    boot: Boot,
    body: BodyHeader,
}

#[derive(Serialize, Deserialize)]
enum BodyHeader {
    State { standing: Standing, fresh: bool, awaits: Arrival },
    Contribution { step: u64, base: Chain, part: u32, microbatches: IndexSet, more: bool },
    Result { step: u64, base: Chain, part: u32 },
    NeedContribution { step: u64, part: u32, microbatches: IndexSet },
    NeedResult { step: u64, part: u32 },
    NeedSnapshot,
    Offer,
}

impl SyncMessage {
    /// The frame of this message.
    #[must_use]
    pub fn encode(&self) -> DataFrame {
        let (body, payload) = match &self.body {
            SyncBody::State { standing, fresh, awaits } => {
                let standing = standing.clone();
                (BodyHeader::State { standing, fresh: *fresh, awaits: *awaits }, Vec::new())
            }
            SyncBody::Contribution { step, base, part, microbatches, sum, more } => {
                let (microbatches, more) = (microbatches.clone(), *more);
                let header =
                    BodyHeader::Contribution { step: *step, base: *base, part: *part, microbatches, more };
                (header, vec![sum.clone()])
            }
            SyncBody::Result { step, base, part, result } => {
                (BodyHeader::Result { step: *step, base: *base, part: *part }, vec![result.clone()])
            }
            SyncBody::NeedContribution { step, part, microbatches } => {
                let microbatches = microbatches.clone();
                (BodyHeader::NeedContribution { step: *step, part: *part, microbatches }, Vec::new())
            }
            SyncBody::NeedResult { step, part } => {
                (BodyHeader::NeedResult { step: *step, part: *part }, Vec::new())
            }
            SyncBody::NeedSnapshot => (BodyHeader::NeedSnapshot, Vec::new()),
            SyncBody::Offer { offer } => (BodyHeader::Offer, vec![encode(offer).into()]),
        };
        let header =
            Header { job: self.job, incarnation: self.incarnation, epoch: self.epoch, boot: self.boot, body };
        let payload = payload.into_iter().filter(|piece: &Bytes| !piece.is_empty()).collect();
        DataFrame { kind: FrameKind::Sync, header: encode(&header).into(), payload }
    }

    /// The job a frame is for, to find its limits before the rest is decoded.
    #[must_use]
    pub fn job_of(header: &[u8]) -> Option<JobId> {
        header.first_chunk().copied().map(JobId)
    }

    /// The message in a frame. Its bytes are slices of `payload`.
    ///
    /// # Errors
    /// When the frame is no message, or names parts, micro-batches or lengths that the job does not have.
    pub fn decode(header: &[u8], payload: Bytes, limits: &SyncLimits) -> Result<Self, DecodeError> {
        if payload.len() > limits.payload_bytes_max {
            return Err(DecodeError::TooLong { bytes: payload.len(), bytes_max: limits.payload_bytes_max });
        }
        let header: Header = decode(header, DATA_HEADER_BYTES_MAX)?;
        check(&header.body, payload.len(), limits)?;
        let Header { job, incarnation, epoch, boot, body } = header;
        let body = match body {
            BodyHeader::State { standing, fresh, awaits } => SyncBody::State { standing, fresh, awaits },
            BodyHeader::Contribution { step, base, part, microbatches, more } => {
                SyncBody::Contribution { step, base, part, microbatches, sum: payload, more }
            }
            BodyHeader::Result { step, base, part } => SyncBody::Result { step, base, part, result: payload },
            BodyHeader::NeedContribution { step, part, microbatches } => {
                SyncBody::NeedContribution { step, part, microbatches }
            }
            BodyHeader::NeedResult { step, part } => SyncBody::NeedResult { step, part },
            BodyHeader::NeedSnapshot => SyncBody::NeedSnapshot,
            BodyHeader::Offer => SyncBody::Offer { offer: decode_offer(&payload, limits)? },
        };
        Ok(Self { job, incarnation, epoch, boot, body })
    }
}

fn check(body: &BodyHeader, payload_bytes: usize, limits: &SyncLimits) -> Result<(), DecodeError> {
    let require = |holds, what| if holds { Ok(()) } else { Err(DecodeError::Inconsistent { what }) };
    let part_exists = |part: &u32| require(*part < limits.parts, "part");
    let set_exists = |set: &IndexSet| require(set.is_valid(limits.microbatches), "micro-batches");
    match body {
        BodyHeader::State { standing, .. } => {
            if let Some(entry) = &standing.entry {
                for set in [&entry.computed, &entry.computing, &entry.summed, &entry.failed] {
                    set_exists(set)?;
                }
            }
            require(standing.held.is_valid(limits.parts), "parts held")?;
            require(payload_bytes == 0, "payload of a state")
        }
        BodyHeader::Contribution { part, microbatches, .. } => {
            part_exists(part)?;
            set_exists(microbatches)?;
            require(microbatches.is_empty() == (payload_bytes == 0), "sum of no micro-batch")
        }
        BodyHeader::Result { part, .. } => part_exists(part),
        BodyHeader::NeedContribution { part, microbatches, .. } => {
            part_exists(part)?;
            set_exists(microbatches)?;
            require(!microbatches.is_empty(), "need of no micro-batch")?;
            require(payload_bytes == 0, "payload of a need")
        }
        BodyHeader::NeedResult { part, .. } => {
            part_exists(part)?;
            require(payload_bytes == 0, "payload of a need")
        }
        BodyHeader::NeedSnapshot => require(payload_bytes == 0, "payload of a need"),
        // Its payload is checked where it is read.
        BodyHeader::Offer => Ok(()),
    }
}

/// The offer in this payload, if the job can have such a state.
fn decode_offer(payload: &[u8], limits: &SyncLimits) -> Result<StateOffer, DecodeError> {
    let bytes_max = OFFER_HEAD_BYTES_MAX
        + OFFER_CHUNKS_MAX * LISTED_CHUNK_BYTES_MAX
        + limits.parts as usize * LISTED_LENGTH_BYTES_MAX;
    let offer: StateOffer = decode(payload, bytes_max)?;
    if offer.is_possible(limits.parts, limits.state_bytes_max) {
        Ok(offer)
    } else {
        Err(DecodeError::Inconsistent { what: "offer of a state" })
    }
}
