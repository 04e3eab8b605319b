//! What one member of the newest view has reported in its tenure.

use std::collections::BTreeMap;

use super::limits::APPLIED_HISTORY_MAX;
use crate::ids::{Boot, Chain, Epoch, Millis};
use crate::wire::step_wait::StepWait;

/// A state that a member had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AppliedStep {
    /// The newest view in which the member said so.
    pub(super) epoch: Epoch,
    /// Chain of the state.
    pub(super) chain: Chain,
}

/// A member and the latest states that it had, by steps applied.
#[derive(Clone, Debug)]
pub(super) struct MemberReports {
    pub(super) boot: Boot,
    pub(super) tenure: Epoch,
    /// At most [`APPLIED_HISTORY_MAX`], the newest.
    pub(super) applied: BTreeMap<u64, AppliedStep>,
    /// When the newest step was reported.
    pub(super) advanced_at: Millis,
    /// When anything was heard of it.
    pub(super) heard_at: Millis,
    /// What it said last that it lacks, in which view, and when.
    pub(super) wait: Option<(Millis, Epoch, StepWait)>,
}

impl MemberReports {
    pub(super) fn new(now: Millis, boot: Boot, tenure: Epoch) -> Self {
        Self { boot, tenure, applied: BTreeMap::new(), advanced_at: now, heard_at: now, wait: None }
    }

    /// The latest number of steps applied.
    pub(super) fn step(&self) -> Option<u64> {
        self.applied.last_key_value().map(|(step, _)| *step)
    }

    /// The chain that the member had after `step` steps.
    pub(super) fn chain(&self, step: u64) -> Option<Chain> {
        self.applied.get(&step).map(|applied| applied.chain)
    }

    /// Takes note of a state. `false` if the member had said otherwise of the same step.
    pub(super) fn record(&mut self, now: Millis, step: u64, applied: AppliedStep) -> bool {
        if self.step().is_none_or(|known| known < step) {
            self.advanced_at = now;
        }
        if let Some(known) = self.applied.get_mut(&step) {
            if known.chain != applied.chain {
                return false;
            }
            known.epoch = known.epoch.max(applied.epoch);
            return true;
        }
        self.applied.insert(step, applied);
        if self.applied.len() > APPLIED_HISTORY_MAX {
            self.applied.pop_first();
        }
        true
    }
}
