//! Many seeds, on a few threads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::coverage::Coverage;
use crate::report::Report;
use crate::run;
use crate::world::{Sabotage, Violation};

/// Seeds that a thread takes at a time.
const SEEDS_AT_A_TIME: u64 = 16;

/// What many runs gave.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Counts.
    pub report: Report,
    /// Which faults met which messages.
    pub coverage: Coverage,
    /// Seeds that broke something, the lowest first.
    pub found: Vec<Found>,
}

/// A seed that broke something.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What it broke.
    pub violation: Violation,
}

/// Runs `seeds` on `threads`, and stops soon after `found_max` of them broke something.
///
/// # Panics
/// If a run panics, with its message.
#[must_use]
pub fn sweep(seeds: Range<u64>, threads: usize, sabotage: Option<Sabotage>, found_max: usize) -> Sweep {
    let next = AtomicU64::new(seeds.start);
    let count = AtomicU64::new(0);
    let work = || {
        let mut own = Sweep::default();
        loop {
            let from = next.fetch_add(SEEDS_AT_A_TIME, Ordering::Relaxed);
            if from >= seeds.end || count.load(Ordering::Relaxed) >= found_max as u64 {
                return own;
            }
            for seed in from..seeds.end.min(from + SEEDS_AT_A_TIME) {
                let world = run(seed, sabotage, false);
                own.report.add(&world.report());
                own.coverage.add(world.coverage());
                if let Some(violation) = world.violation() {
                    count.fetch_add(1, Ordering::Relaxed);
                    own.found.push(Found { seed, violation: violation.clone() });
                }
            }
        }
    };
    let parts: Vec<Sweep> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a run panicked")).collect()
    });
    let mut all = Sweep::default();
    for part in parts {
        all.report.add(&part.report);
        all.coverage.add(&part.coverage);
        all.found.extend(part.found);
    }
    all.found.sort_by_key(|found| found.seed);
    all
}
