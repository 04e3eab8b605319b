//! A violation made small: the same rule, broken with as few faults, nodes and actions as can be found.

use std::collections::BTreeSet;

use crate::plan::NODES_MIN;
use crate::run_schedule;
use crate::schedule::{Schedule, Trait};
use crate::world::{Sabotage, Violation};

/// Runs that one shrinking may take.
const RUNS_MAX: u64 = 1_500;

/// The smallest schedule that was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// It.
    pub schedule: Schedule,
    /// What it breaks.
    pub violation: Violation,
    /// Faults and changes of the view that are left.
    pub faults: usize,
    /// Random actions that are left.
    pub actions: u64,
    /// Runs that it took.
    pub runs: u64,
}

/// Makes the violation of `seed` small; `None` if it breaks nothing.
#[must_use]
pub fn shrink(seed: u64, sabotage: Option<Sabotage>) -> Option<Shrunk> {
    let world = run_schedule(&Schedule::of(seed), sabotage, false);
    let id = world.violation()?.id;
    let (schedule, actions, struck) = world.struck();
    let faults: BTreeSet<u64> = struck.iter().copied().collect();
    let schedule = Schedule { actions: Some(actions), faults: Some(faults), ..schedule.clone() };
    let mut search = Search { sabotage, id, runs: 0, best: None };
    if !search.fails(schedule.clone()) {
        search.best = Some((schedule, world.violation()?.clone()));
    }
    loop {
        let before = search.size();
        search.fewer_actions();
        search.fewer_faults();
        search.smaller_swarm();
        if search.size() == before || search.runs >= RUNS_MAX {
            break;
        }
    }
    let runs = search.runs;
    let (schedule, violation) = search.best?;
    let faults = schedule.faults.as_ref().map_or(0, BTreeSet::len);
    let actions = schedule.actions.unwrap_or(0);
    Some(Shrunk { schedule, violation, faults, actions, runs })
}

struct Search {
    sabotage: Option<Sabotage>,
    id: &'static str,
    runs: u64,
    best: Option<(Schedule, Violation)>,
}

impl Search {
    /// Whether `schedule` breaks the same rule. If so it is the best from now on, without the faults that did not happen
    /// in it.
    fn fails(&mut self, schedule: Schedule) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let world = run_schedule(&schedule, self.sabotage, false);
        let Some(violation) = world.violation().filter(|violation| violation.id == self.id) else {
            return false;
        };
        let (_, actions, struck) = world.struck();
        let struck: BTreeSet<u64> = struck.iter().copied().collect();
        let faults = schedule.faults.as_ref().map(|faults| faults.intersection(&struck).copied().collect());
        // A violation in the midst of the faults needs no action behind it.
        let actions = schedule.actions.map(|total| total.min(actions));
        self.best = Some((Schedule { actions, faults, ..schedule }, violation.clone()));
        true
    }

    fn now(&self) -> Schedule {
        self.best.as_ref().map(|(schedule, _)| schedule.clone()).unwrap_or_else(|| Schedule::of(0))
    }

    fn size(&self) -> (usize, u64, usize, u32, u32) {
        let now = self.now();
        let faults = now.faults.as_ref().map_or(usize::MAX, BTreeSet::len);
        let plan = now.plan;
        (faults, now.actions.unwrap_or(u64::MAX), plan.nodes, plan.parts, plan.microbatches)
    }

    /// Ends earlier, by half of what is left each time.
    fn fewer_actions(&mut self) {
        let mut cut = self.now().actions.unwrap_or(0) / 2;
        while cut > 0 {
            let now = self.now();
            let actions = now.actions.unwrap_or(0);
            if cut >= actions || !self.fails(Schedule { actions: Some(actions - cut), ..now }) {
                cut /= 2;
            }
        }
    }

    /// Leaves out faults: halves of them, quarters, at last each alone.
    fn fewer_faults(&mut self) {
        let mut size = self.faults().len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.faults().len() {
                let faults = self.faults();
                let kept = faults.iter().take(from).chain(faults.iter().skip(from + size)).copied().collect();
                if !self.fails(Schedule { faults: Some(kept), ..self.now() }) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn faults(&self) -> Vec<u64> {
        self.now().faults.map(|faults| faults.into_iter().collect()).unwrap_or_default()
    }

    /// Fewer nodes, parts, micro-batches, and less of what makes messages odd.
    fn smaller_swarm(&mut self) {
        let lessen: [fn(&mut Schedule) -> bool; 4] = [
            |schedule| {
                let plan = &mut schedule.plan;
                let fits = plan.nodes > NODES_MIN;
                plan.nodes -= usize::from(fits);
                plan.founders = plan.founders.min(plan.nodes);
                fits
            },
            |schedule| lower(&mut schedule.plan.parts),
            |schedule| lower(&mut schedule.plan.microbatches),
            |schedule| {
                let plan = &mut schedule.plan;
                plan.founders = plan.founders.saturating_sub(1).max(2);
                true
            },
        ];
        for lessen in lessen {
            let mut next = self.now();
            let before = (next.plan.nodes, next.plan.founders, next.plan.parts, next.plan.microbatches);
            while lessen(&mut next)
                && before != (next.plan.nodes, next.plan.founders, next.plan.parts, next.plan.microbatches)
                && self.fails(next.clone())
            {
                if next.plan.founders == 2 && next.plan.nodes == NODES_MIN {
                    break;
                }
                next = self.now();
            }
        }
        for of in Trait::ALL {
            let mut next = self.now();
            if of.take(&mut next.plan) {
                self.fails(next);
            }
        }
    }
}

fn lower(number: &mut u32) -> bool {
    let fits = *number > 1;
    *number -= u32::from(fits);
    fits
}
