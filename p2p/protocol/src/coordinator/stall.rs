//! For how long a job has not advanced, for how long members wait for single others, and how long its steps take. Only time during
//! which the coordinator looks counts: a machine that slept, or a clock that jumped, makes nobody late.

use std::collections::{BTreeMap, VecDeque};

use super::blame::Blame;
use super::limits::{
    STALL_GAP_MS_MAX, STEP_TIMES_MAX, STEP_WAIT_INTERVAL_MS, STRAGGLER_FEW_WAIT_MS_MIN, STRAGGLER_MS_MAX,
    STRAGGLER_MS_MIN, STRAGGLER_STEPS, STRAGGLER_UNKNOWN_MS_MIN,
};
use crate::ids::{Epoch, Millis, NodeId};

/// What changes when a job advances: its view, its stable steps, how many members are at their end.
pub(super) type Mark = (Epoch, u64, usize);

/// What is known of a member that is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expectation {
    /// What its lease takes by its measured speed, ms; `None` while that is not known.
    pub(super) lease_ms: Option<u64>,
    /// It held up a step before and has not made up for it: it is to be as quick as the others.
    pub(super) has_straggled: bool,
    /// At least half of the members wait.
    pub(super) by_half: bool,
}

/// A member that is waited for.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    since: Millis,
    held_ms: u64,
}

/// The time of one step.
#[derive(Clone, Debug, Default)]
pub(super) struct Stall {
    mark: Option<Mark>,
    /// The step was seen to begin.
    is_whole: bool,
    seen_at: Millis,
    elapsed_ms: u64,
    /// Of that, while less than half of the members waited.
    worked_ms: u64,
    /// At the last look half of them waited.
    half_wait: bool,
    suspects: BTreeMap<NodeId, Suspect>,
    /// Times of the latest steps, ms, at most [`STEP_TIMES_MAX`].
    steps_ms: VecDeque<u64>,
}

impl Stall {
    /// A look at `now`: the job is at `mark`, and `blame` says who is waited for; `None` where nobody can tell, and no time
    /// passes.
    pub(super) fn look(&mut self, now: Millis, mark: Mark, blame: Option<&Blame>) {
        let gap_ms = now.since(self.seen_at).min(STALL_GAP_MS_MAX);
        self.seen_at = now;
        let (epoch, step, _) = mark;
        let known = self.mark.replace(mark);
        if known != Some(mark) {
            let advanced =
                known.filter(|(of, _, _)| *of == epoch).map_or(0, |(_, at, _)| step.saturating_sub(at));
            if advanced > 0 && self.is_whole {
                self.steps_ms.push_back((self.elapsed_ms + gap_ms) / advanced);
                if self.steps_ms.len() > STEP_TIMES_MAX {
                    self.steps_ms.pop_front();
                }
            }
            self.is_whole = advanced > 0;
            (self.elapsed_ms, self.worked_ms, self.half_wait) = (0, 0, false);
            self.suspects.clear();
            return;
        }
        let Some(Blame { nodes: blamed, by_half }) = blame else { return self.suspects.clear() };
        self.elapsed_ms += gap_ms;
        if !std::mem::replace(&mut self.half_wait, *by_half) {
            self.worked_ms += gap_ms;
        }
        self.suspects.retain(|node, _| blamed.contains(node));
        self.suspects.values_mut().for_each(|suspect| suspect.held_ms += gap_ms);
        for node in blamed {
            self.suspects.entry(*node).or_insert(Suspect { since: now, held_ms: 0 });
        }
    }

    /// Since when and for how long, ms, all that was said made `node` the one that is waited for.
    pub(super) fn held_by(&self, node: NodeId) -> Option<(Millis, u64)> {
        self.suspects.get(&node).map(|suspect| (suspect.since, suspect.held_ms))
    }

    /// Whether anybody is waited for.
    pub(super) fn is_held(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether anybody has been waited for for so long, ms.
    pub(super) fn is_held_for(&self, ms: u64) -> bool {
        self.suspects.values().any(|suspect| suspect.held_ms >= ms)
    }

    /// Time since the job advanced, ms.
    pub(super) fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms
    }

    /// For how long others wait for a member at most, ms.
    pub(super) fn bound_ms(&self, of: Expectation) -> u64 {
        let mut sorted: Vec<u64> = self.steps_ms.iter().copied().collect();
        sorted.sort_unstable();
        let typical_ms = sorted.get(sorted.len() / 2).copied();
        // What the others took for this very step, as far as words that come late can tell it.
        let worked_ms = self.worked_ms.saturating_sub(2 * STEP_WAIT_INTERVAL_MS);
        let lease_ms = of.lease_ms.filter(|_| !of.has_straggled).unwrap_or(0);
        let is_known = of.has_straggled || of.lease_ms.is_some() && typical_ms.is_some();
        let floor_ms = match (of.by_half, is_known) {
            (false, false) => STRAGGLER_MS_MAX,
            (false, true) => STRAGGLER_FEW_WAIT_MS_MIN,
            (true, false) => STRAGGLER_UNKNOWN_MS_MIN,
            (true, true) => STRAGGLER_MS_MIN,
        };
        let step_ms = typical_ms.unwrap_or(0).max(worked_ms).max(lease_ms);
        step_ms.saturating_mul(STRAGGLER_STEPS).clamp(floor_ms, STRAGGLER_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Expectation = Expectation { lease_ms: Some(1), has_straggled: false, by_half: true };

    fn blamed(number: u8) -> Blame {
        Blame { nodes: [NodeId([number; 32])].into_iter().collect(), by_half: true }
    }

    /// Steps of so many ms have been seen, and the last of them begins at the time that is returned.
    fn after_steps(steps_ms: &[u64]) -> (Stall, Millis, Mark) {
        let (mut stall, mut now, mut mark) = (Stall::default(), Millis(5_000), (Epoch(1), 0, 0));
        stall.look(now, mark, Some(&Blame::default()));
        // The first was not seen to begin.
        for step_ms in [1].iter().chain(steps_ms) {
            let end = now.plus(*step_ms);
            while now < end {
                now = now.plus(end.since(now).min(1_000));
                mark.1 += u64::from(now == end);
                stall.look(now, mark, Some(&Blame::default()));
            }
        }
        (stall, now, mark)
    }

    fn pass(stall: &mut Stall, now: &mut Millis, mark: Mark, seconds: u64, blame: Option<&Blame>) {
        for _ in 0..seconds {
            *now = now.plus(1_000);
            stall.look(*now, mark, blame);
        }
    }

    #[test]
    fn the_bound_follows_the_median_of_measured_steps() {
        for (steps_ms, bound_ms) in [
            (&[100, 90, 110][..], 5_000),
            (&[3_000, 3_000, 60_000], 12_000),
            (&[120_000; 3], 480_000),
            (&[2_000_000; 1], 3_600_000),
        ] {
            let (stall, ..) = after_steps(steps_ms);
            assert_eq!(stall.bound_ms(KNOWN), bound_ms, "{steps_ms:?}");
        }
        let many: Vec<u64> = [vec![60_000; 20], vec![2_000; 16]].concat();
        assert_eq!(after_steps(&many).0.bound_ms(KNOWN), 8_000, "only the latest count");
    }

    #[test]
    fn the_bound_follows_what_the_others_took_for_this_very_step() {
        let (mut stall, mut now, mark) = after_steps(&[100; 4]);
        pass(&mut stall, &mut now, mark, 32, Some(&Blame::default()));
        assert_eq!(stall.bound_ms(KNOWN), 120_000);
        pass(&mut stall, &mut now, mark, 20, Some(&blamed(2)));
        assert_eq!(stall.bound_ms(KNOWN), 124_000, "the first second of it they still worked");
    }

    #[test]
    fn the_bound_follows_a_lease_that_is_known_to_take_long_and_is_long_for_the_unknown() {
        let (stall, ..) = after_steps(&[100; 4]);
        let lease = Expectation { lease_ms: Some(30_000), ..KNOWN };
        assert_eq!(stall.bound_ms(lease), 120_000);
        assert_eq!(stall.bound_ms(Expectation { has_straggled: true, ..lease }), 5_000, "but once");
        assert_eq!(stall.bound_ms(Expectation { lease_ms: None, ..KNOWN }), 60_000);
        let first = Stall::default();
        assert_eq!(first.bound_ms(KNOWN), 60_000, "no step was seen yet");
        assert_eq!(stall.bound_ms(Expectation { by_half: false, ..KNOWN }), 600_000);
        let of_unknown = Expectation { by_half: false, lease_ms: None, has_straggled: false };
        assert_eq!(stall.bound_ms(of_unknown), 3_600_000);
    }

    #[test]
    fn time_counts_for_whom_is_named_all_along_and_not_while_nobody_looks() {
        let (mut stall, mut now, mark) = after_steps(&[100; 4]);
        let node = NodeId([2; 32]);
        pass(&mut stall, &mut now, mark, 3, Some(&blamed(2)));
        assert_eq!(stall.held_by(node).map(|(_, held_ms)| held_ms), Some(2_000));
        // An hour of sleep.
        now = now.plus(3_600_000);
        stall.look(now, mark, Some(&blamed(2)));
        assert_eq!(stall.held_by(node).map(|(_, held_ms)| held_ms), Some(4_000));
        pass(&mut stall, &mut now, mark, 1, Some(&blamed(3)));
        assert_eq!(stall.held_by(node), None);
        assert_eq!(stall.held_by(NodeId([3; 32])), Some((now, 0)));
        pass(&mut stall, &mut now, mark, 2, None);
        assert!(!stall.is_held(), "nobody can tell");
        // A step, a view, a member at its end: all is forgotten.
        for mark in [(Epoch(1), mark.1 + 1, 0), (Epoch(2), mark.1 + 1, 0), (Epoch(2), mark.1 + 1, 1)] {
            pass(&mut stall, &mut now, mark, 1, Some(&blamed(2)));
            assert_eq!((stall.elapsed_ms(), stall.is_held()), (0, false));
            pass(&mut stall, &mut now, mark, 2, Some(&blamed(2)));
            assert_eq!((stall.elapsed_ms(), stall.is_held()), (2_000, true));
        }
    }
}
