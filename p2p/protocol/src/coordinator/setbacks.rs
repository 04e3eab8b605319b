//! Members that cost the others a view again and again, by dying or by holding up a step. Each time work is computed again, so
//! their nodes are taken back later each time, until they have worked well for a while.
//!
//! A coordinator counts for itself and writes nothing down: what a new one forgets costs the job a few views more, while counts
//! in the ledger would cost an entry for each setback and each recovery.

use std::collections::BTreeMap;

use super::drains::has_work;
use super::limits::{
    CRASHED_RETRY_MS, CRASHED_RETRY_MS_MAX, CRASHES_FREE, STRAGGLED_FORGOTTEN_MS, STRAGGLED_RETRY_MS,
    STRAGGLED_RETRY_MS_MAX,
};
use super::machine::{Coordinator, Pass};
use crate::ids::{Boot, Epoch, Millis, NodeId};
use crate::ledger::JobRecord;
use crate::view::{Member, View};

/// What a setback of one kind costs the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackOff {
    /// So many in a row cost nothing.
    free: u32,
    /// The first delay, ms; each that follows is twice as long.
    retry_ms: u64,
    retry_ms_max: u64,
    /// Besides a stable step of its own, it must have worked for so long, ms, before its setbacks are forgotten.
    forgotten_ms: u64,
}

/// For processes that die.
pub(super) const CRASHES: BackOff = BackOff {
    free: CRASHES_FREE,
    retry_ms: CRASHED_RETRY_MS,
    retry_ms_max: CRASHED_RETRY_MS_MAX,
    forgotten_ms: 0,
};

/// For members that hold up a step.
pub(super) const STRAGGLERS: BackOff = BackOff {
    free: 0,
    retry_ms: STRAGGLED_RETRY_MS,
    retry_ms_max: STRAGGLED_RETRY_MS_MAX,
    forgotten_ms: STRAGGLED_FORGOTTEN_MS,
};

/// Setbacks of one kind while this coordinator was in office, at most one entry per registered node.
#[derive(Debug)]
pub(super) struct Setbacks {
    back_off: BackOff,
    rows: BTreeMap<NodeId, Row>,
}

/// One node's.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// Setbacks without good work in between.
    in_a_row: u32,
    /// Process and tenure of the last one.
    last: Option<(Boot, Epoch)>,
    /// Process and tenure that work now, the stable steps when they began, and when that was.
    works: Option<(Boot, Epoch, u64, Millis)>,
}

impl Setbacks {
    pub(super) fn new(back_off: BackOff) -> Self {
        Self { back_off, rows: BTreeMap::new() }
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Whether anything still speaks against `node`.
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.rows.get(&node).is_some_and(|row| row.in_a_row > 0)
    }

    /// Counts a setback of a member, once in its tenure. How many in a row there are now, and how long its node has to wait, ms.
    pub(super) fn count(&mut self, member: &Member) -> Option<(u32, u64)> {
        let row = self.rows.entry(member.node).or_default();
        if row.last.replace((member.boot, member.tenure)) == Some((member.boot, member.tenure)) {
            return None;
        }
        row.in_a_row = row.in_a_row.saturating_add(1);
        let BackOff { free, retry_ms, retry_ms_max, .. } = self.back_off;
        let delay_ms = row.in_a_row.checked_sub(free + 1).map_or(0, |doublings| {
            retry_ms.saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(retry_ms_max)
        });
        Some((row.in_a_row, delay_ms))
    }

    /// `member` works, and so many steps are stable.
    fn works(&mut self, now: Millis, member: &Member, stable: u64) {
        let Some(row) = self.rows.get_mut(&member.node) else { return };
        let (since, at) = match row.works {
            Some((boot, tenure, since, at)) if (boot, tenure) == (member.boot, member.tenure) => (since, at),
            _ => (stable, now),
        };
        row.works = Some((member.boot, member.tenure, since, at));
        // The step in flight when it began may have had all its work from others.
        if stable >= since + 2 && now >= at.plus(self.back_off.forgotten_ms) {
            row.in_a_row = 0;
        }
    }
}

impl Coordinator {
    /// Forgets the setbacks of members whose work has become part of stable steps.
    pub(super) fn note_work(&mut self, pass: &Pass<'_>, job: &JobRecord, view: &View) {
        let Some(stable) = self.reports.as_ref().map(|reports| reports.stable.0) else { return };
        for setbacks in [&mut self.crashes, &mut self.straggled] {
            setbacks.rows.retain(|node, _| pass.ledger.nodes.contains_key(node));
            if setbacks.rows.is_empty() {
                continue;
            }
            for member in view.members.iter().filter(|member| job.is_synced(member) && has_work(view, member))
            {
                setbacks.works(pass.now, member, stable);
            }
        }
    }

    /// Counts the end of a member's process, and lets its node wait if it was one too many.
    pub(super) fn crashed(&mut self, pass: &Pass<'_>, member: &Member) {
        if let Some((in_a_row, delay_ms)) = self.crashes.count(member)
            && delay_ms > 0
        {
            let why = format!("crashed {in_a_row} times in a row");
            self.admissions.refuse_setback(member.node, pass.now, delay_ms, why);
        }
    }
}
