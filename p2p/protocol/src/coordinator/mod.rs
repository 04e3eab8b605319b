//! The coordinator: looks at the ledger, at who is alive and at what members report, and proposes what comes next.
//!
//! It runs on every node and decides only on the council's leader. It holds nothing that its successor needs: a new
//! one starts from the ledger, and members send their latest reports again. Every pass derives from the facts what
//! the ledger should show and proposes the difference, so lost and rejected proposals need no bookkeeping beyond a
//! time of retry.

mod admissions;
mod blame;
mod checkpoints;
mod data_checks;
mod divergence;
mod drain_state;
mod drains;
mod endings;
mod evaluations;
mod failures;
mod founding;
mod halts;
mod input_output;
mod leases;
pub mod limits;
mod liveness;
mod machine;
mod member_reports;
mod misbehaviour;
mod plan_seats;
mod plan_view;
mod progress;
mod proposals;
mod registrations;
mod replicas;
mod report_intake;
mod reports;
mod saves;
mod seats;
mod setbacks;
mod speeds;
mod stall;
mod starts;
mod stragglers;
mod views;
mod why;

pub use drain_state::{DrainFacts, DrainState, drain_state};
pub use input_output::{CoordinatorInput, CoordinatorOptions, CoordinatorOutput};
pub use machine::Coordinator;
pub use plan_seats::{SeatFacts, SeatPlan, council_size, plan_seats};
pub use plan_view::{FoundingFacts, ViewChangeFacts, plan_founding_view, plan_next_view};
pub use speeds::SpeedLevels;

#[cfg(test)]
mod tests;
