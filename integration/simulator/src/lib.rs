//! One seed drives the pure crates through faults and checks every invariant.
//!
//! The sync machine of `traind-protocol` and the numbers of `traind-averaging` run as they are; around them nodes,
//! network and council are played. A seed decides everything, so a failure is a number:
//! `cargo run -p traind-simulator --release -- --seed N --trace`.

mod actions;
mod checks;
mod drains;
mod ending;
mod network;
mod node;
mod oracle;
mod orderly;
mod plan;
mod random;
mod report;
mod service;
mod toy;
mod world;

pub use plan::{FaultRates, Plan};
pub use report::Report;
pub use world::{Sabotage, Violation, World};

/// One whole run of a seed.
#[must_use]
pub fn run(seed: u64, sabotage: Option<Sabotage>, traced: bool) -> World {
    let plan = Plan::of(seed);
    let actions = plan.actions;
    let mut world = World::new(plan, sabotage, traced);
    for _ in 0..actions {
        if world.violation().is_some() {
            return world;
        }
        world.act();
    }
    world.end();
    world
}

/// The command that runs a seed again and tells its story.
#[must_use]
pub fn command_of(seed: u64) -> String {
    format!("cargo run -p traind-simulator --release -- --seed {seed} --trace")
}
