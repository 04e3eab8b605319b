//! Logs: to the standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::observe::LogRing;
use crate::settings::{LogFormat, LogSettings};

/// Starts logging for this process. A second call changes nothing.
pub fn start(settings: &LogSettings) {
    start_with(settings, None);
}

/// [`start`], with what is logged kept in `ring` too. Whether this call has started it: if another one did, `ring` stays
/// empty.
pub fn start_with(settings: &LogSettings, ring: Option<&LogRing>) -> bool {
    let filter = EnvFilter::new(&settings.level);
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
    let subscriber = tracing_subscriber::registry().with(filter).with(ring.map(LogRing::layer));
    // An error means that the process logs already, as when several daemons live in one test.
    let started = match settings.format {
        LogFormat::Text => subscriber.with(lines).try_init(),
        LogFormat::Json => subscriber.with(lines.json()).try_init(),
    };
    started.is_ok()
}
