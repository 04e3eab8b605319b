//! `traind` as a function, so that other binaries can be the daemon.

mod allocator;
mod signals;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tempfile::TempDir;

use crate::exit_code;
use crate::node::Launch;
use crate::observe::LogRing;
use crate::service::{NotifyError, ServiceNotifier};
use crate::settings::{self, DEFAULT_FILE, DaemonFlags, Loaded, Sources};
use signals::Signals;

/// The first argument by which a binary that is not `traind` is asked to be the daemon.
pub const DAEMON_ARGUMENT: &str = "__traind";

/// The whole of `traind`: reads `arguments` (without the program's name), loads settings, runs, maps to an exit code.
pub fn daemon_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = std::iter::once(OsString::from("traind")).chain(arguments);
    let flags = match DaemonFlags::try_parse_from(arguments) {
        Ok(flags) => flags,
        Err(error) => {
            let code = if error.use_stderr() { exit_code::USAGE } else { exit_code::OK };
            // Nothing is left to tell it to when the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    if flags.print_default_config {
        return print_default_config().into();
    }
    // While this is the only thread: the one that watches for signals comes before the settings are read.
    allocator::keep_freed_memory();
    let are_pools_quiet = traind_training::prepare_threads();
    let notifier = ServiceNotifier::take_from_environment();
    let (check_only, exit_with_stdin) = (flags.check_config, flags.exit_with_stdin);
    // Before a temporary directory exists: a signal that comes early removes it as a later one does.
    let signals = match Signals::watch(exit_with_stdin) {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("traind: cannot watch for signals: {error:#}");
            return exit_code::FAILED.into();
        }
    };
    let (Loaded { settings, temporary, origins }, device_warning) = match load(flags) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("traind: bad settings: {error:#}");
            return exit_code::CONFIG.into();
        }
    };
    if check_only {
        let warnings = settings.warnings().into_iter().chain(device_warning);
        warnings.for_each(|warning| eprintln!("traind: warning: {warning}"));
        eprintln!("traind: the settings are good");
        return exit_code::OK.into();
    }
    signals.set_temporary(temporary.as_ref().map(TempDir::path));
    let logs = LogRing::new();
    crate::logging::start_with(&settings.log, Some(&logs));
    let warnings = settings.warnings().into_iter().chain(device_warning);
    warnings.for_each(|warning| tracing::warn!("{warning}"));
    if !are_pools_quiet {
        tracing::warn!("threads ran before the program began; candle's own will spin beside training");
    }
    let notifier = usable(notifier);
    // The temporary data directory lives in `temporary` until the node has stopped.
    match crate::node::run(Launch { settings, origins, stop: signals.stop(), notifier, logs }) {
        Ok(()) => exit_code::OK.into(),
        Err(error) => {
            tell(&error);
            exit_code::FAILED.into()
        }
    }
}

/// Loads the settings and finds which device they mean in this build, with a warning if it is not the one wished for.
fn load(flags: DaemonFlags) -> anyhow::Result<(Loaded, Option<String>)> {
    let mut loaded = settings::load(&Sources::of_process(flags))?;
    let resolved = settings::resolve_device(&loaded.settings.device);
    let resolved = resolved.with_context(|| {
        let holds = loaded.origins.iter().find(|holds| holds.key == "device");
        holds.map_or_else(|| "device".into(), |holds| holds.origin.to_string())
    })?;
    loaded.settings.device = resolved.device;
    Ok((loaded, resolved.warning))
}

/// The file of which every installation can be made, byte by byte.
fn print_default_config() -> u8 {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(DEFAULT_FILE.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => exit_code::OK,
        Err(error) => {
            eprintln!("traind: cannot write to the standard output: {error}");
            exit_code::FAILED
        }
    }
}

/// A service manager that cannot be told anything is no reason not to train.
fn usable(notifier: Result<ServiceNotifier, NotifyError>) -> ServiceNotifier {
    notifier.unwrap_or_else(|error| {
        tracing::warn!("the service manager is told nothing: {:#}", anyhow::Error::new(error));
        ServiceNotifier::default()
    })
}

/// Says why the daemon stopped, once: in the log, which goes to the standard error, or there where nothing is logged.
fn tell(error: &anyhow::Error) {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("stopped: {error:#}");
    } else {
        eprintln!("traind: {error:#}");
    }
}
