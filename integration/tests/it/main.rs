//! Real daemons on loopback.

mod bad_input;
mod data;
mod data_sets;
mod digests;
mod divergence;
mod division;
mod joiners;
mod keeping;
mod leaving;
mod liars;
mod lifecycle;
mod queue;
mod quorum;
mod replicas;
mod resume;
mod shell;
mod speeds;
mod stragglers;
mod text;
mod verbs;
mod why;

/// The kit's binary, which is the daemon and `trainctl`.
const KIT: &str = env!("CARGO_BIN_EXE_traind-kit");
