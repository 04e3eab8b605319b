//! What a service manager is told: readiness, status in words, signs of life (the protocol of `sd_notify(3)`).

mod clock;
#[cfg(test)]
mod fake_manager;
mod notifier;
mod status_words;
mod tellers;
mod watchdog;

pub use notifier::{NotifyError, STATUS_BYTES_MAX, ServiceNotifier};
pub use status_words::status_words;
pub use tellers::{STATUS_EVERY, STOP_EXTENSION, STOP_EXTENSION_EVERY, tell_status, tell_stopping};
pub use watchdog::{Liveness, run_watchdog};
