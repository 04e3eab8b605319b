//! Joint runs: council, ledger, coordinator and sync machine as they are, on nodes with disks, over virtual time. Nodes
//! register, die with what they had not synced, come back with their old data, are cut off, stand still, drain; the job
//! is paused and resumed. When faults stop it must end.

mod checks;
mod disk;
mod driver;
mod faults;
mod messages;
mod process;
mod session;
mod succession;
mod world;

pub use world::{JointFault, JointReport, JointWorld};

/// Virtual time of faults, milliseconds.
const FAULTS_MS: u64 = 12_000;

/// Once faults stop the job must have ended within this much virtual time, milliseconds: the graces of the coordinator,
/// the longest of which is a minute, the same for a device that hangs and of which nothing is known, and the steps themselves.
const HEAL_MS_MAX: u64 = 210_000;

/// One joint run of a seed.
#[must_use]
pub fn run_joint(seed: u64, fault: Option<JointFault>, traced: bool) -> JointWorld {
    let mut world = JointWorld::new(seed, fault, traced);
    world.run_until(FAULTS_MS, false);
    if world.violation().is_none() {
        world.heal();
        world.run_until(FAULTS_MS + HEAL_MS_MAX, true);
        world.check_end();
    }
    world
}
