//! What asks the daemon to stop: signals, the end of its standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit_code;
use crate::stop_signal::{StopHandle, StopSignal};

/// How long a daemon that is to stop at once may take, since somebody waits for it: a checkpoint is written in well under
/// that.
const AT_ONCE_MAX: Duration = Duration::from_secs(10);

/// How often the removal of a temporary directory is tried: a thread may still be making files in it.
const REMOVE_TRIES: usize = 3;

/// Watches for the wish to stop.
///
/// The first signal stops the daemon with time to hand over its work; the second skips that; the third, or ten seconds
/// after the second, ends the process as it is, but for its temporary directory.
#[derive(Debug)]
pub(super) struct Signals {
    stop: StopSignal,
    temporary: Temporary,
}

/// The temporary data directory, once it is known.
type Temporary = Arc<OnceLock<PathBuf>>;

/// The signals that end the daemon.
struct Watched {
    terminated: Signal,
    interrupted: Signal,
    /// `None` where whoever started the daemon had it ignored, as `nohup` does.
    hung_up: Option<Signal>,
}

impl Signals {
    /// Starts to watch.
    pub(super) fn watch(exit_with_stdin: bool) -> anyhow::Result<Self> {
        let (handle, stop) = StopHandle::new();
        let temporary = Temporary::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let guard = runtime.enter();
        let watched = Watched {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
            hung_up: if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        };
        drop(guard);
        let (of_signals, to_remove) = (handle.clone(), Arc::clone(&temporary));
        thread::Builder::new().name("signals".into()).spawn(move || {
            let code = runtime.block_on(watched.follow(&of_signals));
            end(&to_remove, code);
        })?;
        if exit_with_stdin {
            let to_remove = Arc::clone(&temporary);
            thread::Builder::new().name("stdin".into()).spawn(move || {
                let mut ignored = [0u8; 256];
                while std::io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
                tracing::info!("the parent is gone");
                handle.stop_at_once();
                thread::sleep(AT_ONCE_MAX);
                end(&to_remove, exit_code::FAILED);
            })?;
        }
        Ok(Self { stop, temporary })
    }

    /// What the daemon is told.
    pub(super) fn stop(&self) -> StopSignal {
        self.stop.clone()
    }

    /// Names the directory that must not stay.
    pub(super) fn set_temporary(&self, directory: Option<&Path>) {
        if let Some(directory) = directory {
            // It is set once, by `daemon_main`.
            let _ = self.temporary.set(directory.to_owned());
        }
    }
}

impl Watched {
    /// Tells every signal; returns when the process must end, with its exit code.
    async fn follow(mut self, handle: &StopHandle) -> u8 {
        let (_code, name) = self.next().await;
        tracing::info!("{name}: stopping, with time to hand over work; a second signal skips that");
        handle.stop();
        let (code, name) = self.next().await;
        tracing::info!("{name} again: stopping at once");
        handle.stop_at_once();
        match tokio::time::timeout(AT_ONCE_MAX, self.next()).await {
            Ok((code, _name)) => code,
            Err(_elapsed) => code,
        }
    }

    /// The next signal, as the exit code of a process that it ends and by name.
    async fn next(&mut self) -> (u8, &'static str) {
        let hung_up = async {
            match &mut self.hung_up {
                Some(hung_up) => hung_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminated.recv() => (exit_code::TERMINATED, "SIGTERM"),
            _ = self.interrupted.recv() => (exit_code::INTERRUPTED, "SIGINT"),
            _ = hung_up => (exit_code::HUNG_UP, "SIGHUP"),
        }
    }
}

/// Whether this process was started with SIGHUP ignored. The kernel says it as a mask in which signal 1 is bit 0.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Ends the process as it is. A control socket outside the temporary directory stays; the next daemon replaces it.
fn end(temporary: &Temporary, code: u8) -> ! {
    tracing::error!("ended in the middle of stopping");
    if let Some(directory) = temporary.get() {
        let _ = (0..REMOVE_TRIES).find(|_| std::fs::remove_dir_all(directory).is_ok() || !directory.exists());
    }
    std::process::exit(i32::from(code))
}
