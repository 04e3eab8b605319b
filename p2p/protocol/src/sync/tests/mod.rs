//! The machine alone: what travels, what a sound run costs, what hostile bytes do. Faults are the simulator's.

mod certifying;
mod cluster;
mod codec;
mod dealing;
mod early_sums;
mod hostile;
mod joiners;
mod misdeeds;
mod orderly;
mod steady;
