//! `traind` as a function, so that other binaries can be the daemon.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit_code;
use crate::settings::{self, DaemonFlags, Sources};
use crate::stop_signal::{StopHandle, StopSignal};

/// The first argument by which a binary that is not `traind` is asked to be the daemon.
pub const DAEMON_ARGUMENT: &str = "__traind";

/// How long a daemon whose parent is gone may take to stop by itself: a checkpoint is written in well under that.
const ORPHAN_STOP_MAX: Duration = Duration::from_secs(10);

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
    let (check_only, exit_with_stdin) = (flags.check_config, flags.exit_with_stdin);
    // Before a temporary directory exists: a signal that comes early removes it as a later one does.
    let stop = match watch_for_stop(exit_with_stdin) {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("traind: cannot watch for signals: {error}");
            return exit_code::FAILED.into();
        }
    };
    let loaded = match settings::load(&Sources::of_process(flags)) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("traind: bad settings: {:#}", anyhow::Error::new(error));
            return exit_code::CONFIG.into();
        }
    };
    if check_only {
        eprintln!("traind: the settings are good");
        return exit_code::OK.into();
    }
    crate::logging::start(&loaded.settings.log);
    // The temporary data directory lives in `loaded.temporary` until the node has stopped.
    match crate::node::run(loaded.settings, stop) {
        Ok(()) => exit_code::OK.into(),
        Err(error) => {
            tell(&error);
            exit_code::FAILED.into()
        }
    }
}

/// Says why the daemon stopped, once: in the log, which goes to the standard error, or there where nothing is logged.
fn tell(error: &anyhow::Error) {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("stopped: {error:#}");
    } else {
        eprintln!("traind: {error:#}");
    }
}

/// Stops on SIGTERM, SIGINT and, if asked, on the end of the standard input. A second signal exits at once.
fn watch_for_stop(exit_with_stdin: bool) -> anyhow::Result<StopSignal> {
    let (handle, stop) = StopHandle::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _guard = runtime.enter();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    drop(_guard);
    let of_signals = handle.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            for is_first in [true, false] {
                let code = tokio::select! {
                    _ = terminated.recv() => exit_code::TERMINATED,
                    _ = interrupted.recv() => exit_code::INTERRUPTED,
                };
                if !is_first {
                    std::process::exit(i32::from(code));
                }
                tracing::info!("asked to stop");
                of_signals.stop();
            }
        });
    })?;
    if exit_with_stdin {
        thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut ignored = [0u8; 256];
            while std::io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
            tracing::info!("the parent is gone");
            handle.stop();
            thread::sleep(ORPHAN_STOP_MAX);
            std::process::exit(i32::from(exit_code::FAILED));
        })?;
    }
    Ok(stop)
}
