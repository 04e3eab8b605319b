//! The council in a simulated world: virtual time, seeded faults, disks that lose what was not persisted.

mod chaos;
mod elections;
mod ledger;
mod malformed;
mod membership;
mod random;
mod recovery;
mod world;
