//! The composition root: opens the store, starts network and actors, serves the control socket, stops all in reverse.

use crate::settings::Settings;
use crate::stop_signal::StopSignal;

/// Runs one daemon until `stop` is told or something it cannot do without fails.
///
/// # Errors
/// When the data directory, the network or the control socket cannot be opened, or a part died for good.
pub fn run(settings: Settings, stop: StopSignal) -> anyhow::Result<()> {
    let _ = (settings, stop);
    anyhow::bail!("this build has no composition root")
}
