//! One seed drives the pure crates through faults and checks every invariant.
//!
//! The sync machine of `traind-protocol` and the numbers of `traind-averaging` run as they are; around them nodes,
//! network and council are played. A seed decides everything, so a failure is a number, and [`shrink`] makes it a short
//! story: `cargo run -p traind-simulator --release -- --seed N --trace`.

mod actions;
mod checks;
mod chunks;
mod coverage;
mod drains;
mod ending;
mod joint;
mod lies;
mod network;
mod node;
mod noting;
mod oracle;
mod orderly;
mod plan;
mod random;
mod report;
mod sabotage;
mod schedule;
mod service;
mod shrink;
mod sweep;
mod toy;
mod world;

pub use coverage::{Coverage, Fault, Kind, impossible};
pub use joint::{JointFault, JointReport, JointWorld, run_joint};
pub use plan::{FAULTS_MIN, FaultRates, NODES_MIN, Plan, STEPS_MIN};
pub use report::Report;
pub use sabotage::PlantedFault;
pub use schedule::{Schedule, Trait};
pub use shrink::{Shrunk, shrink};
pub use sweep::{Found, Sweep, sweep};
pub use world::{Sabotage, Violation, World};

/// Stretches of faults, each with a heal behind it, until a run counts. Few need more than two.
const STRETCHES_MAX: u64 = 12;

/// One whole run of a seed.
#[must_use]
pub fn run(seed: u64, sabotage: Option<Sabotage>, traced: bool) -> World {
    run_schedule(&Schedule::of(seed), sabotage, traced)
}

/// One whole run.
#[must_use]
pub fn run_schedule(schedule: &Schedule, sabotage: Option<Sabotage>, traced: bool) -> World {
    let mut world = World::new(schedule.clone(), sabotage, traced);
    let total = schedule.actions.unwrap_or(STRETCHES_MAX * schedule.plan.actions);
    for action in 1..=total {
        world.act();
        if world.violation().is_some() {
            return world;
        }
        let heals = action == total || action % schedule.plan.actions == 0;
        if heals && (!world.end() || (schedule.actions.is_none() && world.is_done())) {
            break;
        }
    }
    world.count();
    world
}
