//! One thread of another process that stands still while all its other threads go on, as a trainer does whose device hangs.

use std::ffi::c_void;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};

/// A thread that was stopped through `ptrace`. It goes on when this is dropped.
///
/// Only descendants of this process can be stopped so where the system is strict about it.
#[derive(Debug)]
pub struct HungThread {
    release: Option<SyncSender<()>>,
    tracer: Option<JoinHandle<anyhow::Result<()>>>,
}

impl HungThread {
    /// Stops the thread of that name in process `pid`; returns when it stands.
    ///
    /// # Errors
    /// When there is not exactly one, or the system does not let us.
    pub(crate) fn stop(pid: u32, name: &str) -> anyhow::Result<Self> {
        let thread = thread_named(pid, name)?;
        let (release, released) = sync_channel(1);
        let (told, stands) = sync_channel(1);
        // The system takes all requests on a thread from the one that asked first.
        let tracer = std::thread::spawn(move || trace(thread, &told, &released));
        let mut hung = Self { release: Some(release), tracer: Some(tracer) };
        match stands.recv() {
            Ok(()) => Ok(hung),
            Err(_) => match hung.end() {
                Err(error) => Err(error.context(format!("stopping thread `{name}` of process {pid}"))),
                Ok(()) => bail!("thread `{name}` of process {pid} ended"),
            },
        }
    }

    /// The thread goes on.
    ///
    /// # Errors
    /// When the system does not let us. That its process is gone is none.
    pub fn release(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.release = None;
        let Some(tracer) = self.tracer.take() else { return Ok(()) };
        tracer.join().map_err(|_| anyhow::anyhow!("the tracing thread panicked"))?
    }
}

impl Drop for HungThread {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.end();
    }
}

/// The number of the one thread of that name.
pub(crate) fn thread_named(pid: u32, name: &str) -> anyhow::Result<libc::pid_t> {
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    let mut found = Vec::new();
    for task in std::fs::read_dir(&tasks).with_context(|| format!("reading {}", tasks.display()))? {
        let task = task?;
        // A thread may end meanwhile.
        let comm = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if comm.trim_end() == name {
            found.push(task.file_name().to_string_lossy().parse().context("the number of a thread")?);
        }
    }
    match found[..] {
        [thread] => Ok(thread),
        _ => bail!("process {pid} has {} threads `{name}`", found.len()),
    }
}

/// Stops `thread`, says so, and lets it go once the other end of `released` is gone.
fn trace(thread: libc::pid_t, told: &SyncSender<()>, released: &Receiver<()>) -> anyhow::Result<()> {
    request(libc::PTRACE_SEIZE, thread)?;
    request(libc::PTRACE_INTERRUPT, thread)?;
    wait_for_stop(thread)?;
    // Whoever asked may have gone: then it is let go at once.
    let _ = told.send(());
    let _ = released.recv();
    match request(libc::PTRACE_DETACH, thread) {
        // Its process was killed meanwhile.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => Ok(other?),
    }
}

#[allow(unsafe_code)]
fn request(request: libc::c_uint, thread: libc::pid_t) -> std::io::Result<()> {
    let none = std::ptr::null_mut::<c_void>();
    // SAFETY: these three requests take neither address nor data, and none of them touches memory of this process.
    let answer = unsafe { libc::ptrace(request, thread, none, none) };
    if answer == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[allow(unsafe_code)]
fn wait_for_stop(thread: libc::pid_t) -> std::io::Result<()> {
    let mut status = 0;
    // SAFETY: `status` outlives the call, which writes one number there.
    let answer = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    match answer {
        -1 => Err(std::io::Error::last_os_error()),
        _ if libc::WIFSTOPPED(status) => Ok(()),
        _ => Err(std::io::Error::other("it ended")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn state(pid: u32) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    }

    #[test]
    fn a_thread_stands_until_it_is_released() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        // The name is that of this process until the child has become the other program.
        let hung = loop {
            if let Ok(hung) = HungThread::stop(pid, "sleep") {
                break hung;
            }
        };
        assert_eq!(state(pid), 't');
        hung.release().unwrap();
        assert_ne!(state(pid), 't');
        assert!(HungThread::stop(pid, "no such thread").is_err());
        // One that is killed while it stands.
        let hung = HungThread::stop(pid, "sleep").unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        hung.release().unwrap();
    }
}
