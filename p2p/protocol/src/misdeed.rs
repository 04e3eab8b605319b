//! What one member accuses another of: messages that no honest member sends, whatever was lost, late, repeated or overtaken.

use serde::{Deserialize, Serialize};

use crate::ids::Epoch;
use crate::view::Member;

/// What a member did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Misdeed {
    /// It sent a frame of the job that is no message, or names parts or micro-batches that the job does not have.
    Frame,
    /// It sent a sum that is none: another length than its part has, another encoding, values out of range.
    Contribution {
        /// The step.
        step: u64,
        /// The part.
        part: u32,
    },
    /// It sent a result that is none: another length than its part has, or values that are not finite.
    Result {
        /// The step.
        step: u64,
        /// The part.
        part: u32,
    },
    /// It sent, in one view, two different sums over the same micro-batches from the same state.
    TwoContributions {
        /// The step.
        step: u64,
        /// The part.
        part: u32,
    },
    /// It sent two different results of one part of one step, or another one than its own state has.
    TwoResults {
        /// The step.
        step: u64,
        /// The part.
        part: u32,
    },
    /// It spoke of a view far beyond the newest known one. A lie only if the council has not committed that view.
    Epoch {
        /// That view's.
        epoch: Epoch,
    },
    /// It sent many times more messages than a member has reason to.
    Flood,
}

impl Misdeed {
    /// In words, behind the name of who did it.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Frame => "sent bytes that are no message".to_owned(),
            Self::Contribution { step, part } => {
                format!("sent a malformed sum for part {part} of step {step}")
            }
            Self::Result { step, part } => format!("sent a malformed result of part {part} of step {step}"),
            Self::TwoContributions { step, part } => {
                format!("sent two different sums over the same micro-batches for part {part} of step {step}")
            }
            Self::TwoResults { step, part } => {
                format!("sent two different results of part {part} of step {step}")
            }
            Self::Epoch { epoch } => format!("spoke of view {}, which does not exist", epoch.count()),
            Self::Flood => "sent many times more messages than a member has reason to".to_owned(),
        }
    }
}

/// One member's word on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accusation {
    /// Whom it is about, in the tenure in which it happened.
    pub of: Member,
    /// What it did.
    pub misdeed: Misdeed,
    /// BLAKE3 of the bytes that show it, or of what stands for them.
    pub evidence: [u8; 32],
}
