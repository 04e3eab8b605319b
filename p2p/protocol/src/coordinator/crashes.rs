//! Members whose processes die again and again. Each death costs the others a view and work that is computed again, so a node
//! that crashes often in a row is taken back later each time, until a step that it worked on is stable.
//!
//! A coordinator counts for itself and writes nothing down: what a new one forgets costs the job at most
//! [`CRASHES_FREE`] more views, while counts in the ledger would cost an entry for each crash and each recovery.

use std::collections::BTreeMap;

use super::drains::has_work;
use super::limits::{CRASHED_RETRY_MS, CRASHED_RETRY_MS_MAX, CRASHES_FREE};
use super::machine::{Coordinator, Pass};
use crate::ids::{Boot, Life, NodeId};
use crate::ledger::JobRecord;
use crate::view::View;

/// The members' crashes while this coordinator was in office, at most one entry per registered node.
pub(super) type Crashes = BTreeMap<NodeId, CrashRow>;

/// What a node's processes have done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CrashRow {
    /// Crashes without a stable step of its own in between.
    in_a_row: u32,
    /// The process that crashed last.
    crashed: Option<Boot>,
    /// The process that works now, and the stable steps when it began.
    works: Option<(Boot, u64)>,
}

impl Coordinator {
    /// Forgets the crashes of members whose work has become part of a stable step.
    pub(super) fn note_work(&mut self, pass: &Pass<'_>, job: &JobRecord, view: &View) {
        self.crashes.retain(|node, _| pass.ledger.nodes.contains_key(node));
        let Some(stable) = self.reports.as_ref().map(|reports| reports.stable.0) else { return };
        for member in view.members.iter().filter(|member| job.is_synced(member) && has_work(view, member)) {
            let Some(row) = self.crashes.get_mut(&member.node) else { continue };
            let since = match row.works {
                Some((boot, since)) if boot == member.boot => since,
                _ => stable,
            };
            row.works = Some((member.boot, since));
            // The step in flight when it began may have had all its work from others.
            if stable >= since + 2 {
                row.in_a_row = 0;
            }
        }
    }

    /// Counts the end of a member's process, once, and lets its node wait if it was one too many.
    pub(super) fn crashed(&mut self, pass: &Pass<'_>, life: Life) {
        let row = self.crashes.entry(life.node).or_default();
        if row.crashed == Some(life.boot) {
            return;
        }
        row.crashed = Some(life.boot);
        row.in_a_row = row.in_a_row.saturating_add(1);
        if let Some(doublings) = row.in_a_row.checked_sub(CRASHES_FREE + 1) {
            let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
            let delay_ms = CRASHED_RETRY_MS.saturating_mul(factor).min(CRASHED_RETRY_MS_MAX);
            let why = format!("crashed {} times in a row", row.in_a_row);
            self.admissions.refuse_crashed(life.node, pass.now, delay_ms, why);
        }
    }
}
