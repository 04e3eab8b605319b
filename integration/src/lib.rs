//! Cluster kit: real daemons as processes on loopback, driven through their control sockets, for tests and benches.
//!
//! Nothing here sleeps: a daemon is ready when it says so, a step is done when the control socket says so.

mod cluster;
mod daemon;
mod hung_thread;
mod idx_files;
mod job_file;
mod spread;
mod step_log;

pub use cluster::{Cluster, MICROBATCH_TIME, turn};
pub use daemon::{Daemon, DaemonOptions};
pub use hung_thread::HungThread;
pub use idx_files::IdxFiles;
pub use job_file::{JobFile, Model, Optimiser};
pub use spread::Spread;
pub use step_log::{AppliedStep, LOG_VARIABLES, LostPeer, applied_by_all, between};
