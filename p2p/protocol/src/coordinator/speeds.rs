//! How long members take for a micro-batch, and leases that follow it: uneven machines get uneven work.

use std::collections::BTreeMap;

use super::limits::{
    REBALANCE_GAIN_PERCENT_MIN, REBALANCE_INTERVAL_MS, SPEED_LEVELS_MAX, SPEED_WINDOW_MICROBATCHES,
};
use crate::ids::{Life, Millis, NodeId};
use crate::view::Member;
use crate::wire::control::WorkCounters;

/// Time for a micro-batch by node, in quarters of the quickest one's: 4 is as quick as the quickest, 12 takes three times as long.
/// So small differences move no work.
pub type SpeedLevels = BTreeMap<NodeId, u32>;

/// The level of the quickest.
pub(super) const LEVEL_QUICK: u32 = 4;

/// What members have told about their computations.
#[derive(Clone, Debug, Default)]
pub(super) struct Speeds {
    windows: BTreeMap<Life, Window>,
    /// Time for a micro-batch, µs, of nodes that held up a step, from what they had computed of it; until it is measured again.
    /// Registered nodes only.
    estimates: BTreeMap<NodeId, u64>,
    /// When work may move for speed alone; nothing while no speed is another than when that was last looked at.
    look_at: Option<Millis>,
    /// Until then work stays where it is: the view is new.
    earliest: Millis,
}

/// The computations of one process since some report of it.
#[derive(Clone, Copy, Debug)]
struct Window {
    begins: WorkCounters,
    /// Mean over the last full window, µs.
    microbatch_us: Option<u64>,
}

impl Speeds {
    /// Takes note of a member's counters.
    pub(super) fn heard(&mut self, life: Life, work: WorkCounters) {
        let window = self.windows.entry(life).or_insert(Window { begins: work, microbatch_us: None });
        let computed = work.microbatches_computed.saturating_sub(window.begins.microbatches_computed);
        if computed >= SPEED_WINDOW_MICROBATCHES {
            let spent_us = work.computing_us.saturating_sub(window.begins.computing_us);
            *window = Window { begins: work, microbatch_us: Some((spent_us / computed).max(1)) };
            self.estimates.remove(&life.node);
            self.look_at = Some(self.earliest);
        }
    }

    /// A view was entered at `now`: those who left are forgotten, and work stays where it is for a while.
    pub(super) fn enter(&mut self, now: Millis, is_member: impl Fn(Life) -> bool) {
        self.windows.retain(|life, _| is_member(*life));
        self.earliest = now.plus(REBALANCE_INTERVAL_MS);
        self.look_at = Some(self.earliest);
    }

    /// When to see whether work should move; `None` while nothing is new. Whoever looks then says so by [`Self::seen`].
    pub(super) fn look_at(&self) -> Option<Millis> {
        self.look_at
    }

    /// What is known by now was looked at.
    pub(super) fn seen(&mut self) {
        self.look_at = None;
    }

    /// What so many micro-batches take a process by its measured speed, ms.
    pub(super) fn lease_ms(&self, life: Life, microbatches: u32) -> Option<u64> {
        let us = self.windows.get(&life)?.microbatch_us?;
        Some(us.saturating_mul(u64::from(microbatches)) / 1_000)
    }

    /// A node that held up a step seems to take so long for a micro-batch, µs.
    pub(super) fn estimate(&mut self, node: NodeId, us: u64) {
        self.estimates.insert(node, us.max(1));
    }

    /// Keeps the estimates of some nodes.
    pub(super) fn retain_estimates(&mut self, is_kept: impl Fn(NodeId) -> bool) {
        self.estimates.retain(|node, _| is_kept(*node));
    }

    /// The levels of those whose time is known.
    pub(super) fn levels(&self) -> SpeedLevels {
        let measured =
            self.windows.iter().filter_map(|(life, window)| Some((life.node, window.microbatch_us?)));
        // A measurement from before counts for nothing, so the estimate comes last.
        let all: BTreeMap<NodeId, u64> =
            measured.chain(self.estimates.iter().map(|(node, us)| (*node, *us))).collect();
        let known = || all.iter().map(|(node, us)| (*node, *us));
        let Some(quickest) = known().map(|(_, us)| us).min() else { return SpeedLevels::new() };
        let quick = u64::from(LEVEL_QUICK);
        let nearest = |us: u64| (us.saturating_mul(2 * quick) / quickest).div_ceil(2);
        let level = |us: u64| nearest(us).clamp(quick, u64::from(SPEED_LEVELS_MAX));
        known().map(|(node, us)| (node, u32::try_from(level(us)).unwrap_or(SPEED_LEVELS_MAX))).collect()
    }
}

/// The level of a member; one of which nothing is known counts as quick.
pub(super) fn level(levels: &SpeedLevels, member: &Member) -> u64 {
    u64::from(levels.get(&member.node).copied().unwrap_or(LEVEL_QUICK))
}

/// Numbers of micro-batches for workers of these levels, so that the last of them is done as early as can be. Everybody gets at
/// least one, if there are enough: who computes nothing cannot show that it has become quick.
pub(super) fn shares(microbatches: usize, levels: &[u64]) -> Vec<usize> {
    let workers = levels.len();
    let mut shares = vec![usize::from(microbatches >= workers); workers];
    for _ in shares.iter().sum()..microbatches {
        let next = (0..workers).min_by_key(|worker| {
            let more = shares[*worker] as u64 + 1;
            (more * levels[*worker], more, *worker)
        });
        if let Some(next) = next {
            shares[next] += 1;
        }
    }
    shares
}

/// Whether other shares than these end a step so much earlier that a new view is worth it.
pub(super) fn is_worth_moving(loads: &[usize], levels: &[u64]) -> bool {
    let time = |loads: &[usize]| {
        loads.iter().zip(levels).map(|(load, level)| *load as u64 * level).max().unwrap_or(0)
    };
    let best = time(&shares(loads.iter().sum(), levels));
    time(loads) * 100 >= best * (100 + REBALANCE_GAIN_PERCENT_MIN)
}
