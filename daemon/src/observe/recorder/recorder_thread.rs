//! The thread that records, and the handle to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use traind_protocol::ids::JobId;

use super::job_note::JobNote;
use super::job_recorder::JobRecorder;
use super::settings::RecorderSettings;
use super::{job_directory, retention};

/// Notes that wait to be written. They come a few times a second: a disk that is behind by so many is stuck.
pub const NOTES_QUEUED_MAX: usize = 32;

/// Jobs with open files; one runs at a time, the next starts after it.
const JOBS_OPEN_MAX: usize = 4;

/// How often curves are looked at that may be due while no note comes.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// What the recorder could not do since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderCounts {
    /// Notes dropped because the queue was full.
    pub notes_dropped: u64,
    /// Writes that failed.
    pub write_errors: u64,
}

/// Owns the recording thread.
#[derive(Debug)]
pub struct Recorder {
    handle: RecorderHandle,
    thread: JoinHandle<()>,
}

/// Tells the recorder of jobs. Never waits but where it says so.
#[derive(Clone, Debug)]
pub struct RecorderHandle {
    sender: SyncSender<Message>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    notes_dropped: AtomicU64,
    write_errors: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Note(JobNote),
    Settle(SyncSender<()>),
    Stop,
}

impl Recorder {
    /// Starts recording.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(settings: RecorderSettings) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(NOTES_QUEUED_MAX);
        let counters = Arc::new(Counters::default());
        let state = Recording { settings, open: Vec::new(), counters: Arc::clone(&counters) };
        let thread = std::thread::Builder::new()
            .name("traind-recorder".to_owned())
            .spawn(move || state.run(&receiver))?;
        Ok(Self { handle: RecorderHandle { sender, counters }, thread })
    }

    /// A handle for those who know of jobs.
    #[must_use]
    pub fn handle(&self) -> RecorderHandle {
        self.handle.clone()
    }

    /// Writes what was noted so far and ends the thread. Waits for it: not for an executor's thread.
    pub fn stop(self) {
        // An error means that the thread is gone, and has said why.
        let _ = self.handle.sender.send(Message::Stop);
        let _ = self.thread.join();
    }
}

impl RecorderHandle {
    /// Notes what is heard of a job. Whether there was room; if not, the next note says it again.
    pub fn try_note(&self, note: JobNote) -> bool {
        let is_noted = self.sender.try_send(Message::Note(note)).is_ok();
        if !is_noted {
            self.counters.notes_dropped.fetch_add(1, Ordering::Relaxed);
        }
        is_noted
    }

    /// Waits until everything noted before is on disk, curves too. Not for an executor's thread.
    pub fn settle(&self) {
        let (done, settled) = sync_channel(1);
        // Errors mean that the thread is gone: nothing will change any more.
        if self.sender.send(Message::Settle(done)).is_ok() {
            let _ = settled.recv();
        }
    }

    /// What could not be done so far.
    #[must_use]
    pub fn counts(&self) -> RecorderCounts {
        RecorderCounts {
            notes_dropped: self.counters.notes_dropped.load(Ordering::Relaxed),
            write_errors: self.counters.write_errors.load(Ordering::Relaxed),
        }
    }
}

/// What the thread has.
struct Recording {
    settings: RecorderSettings,
    /// Most recently noted last.
    open: Vec<OpenJob>,
    counters: Arc<Counters>,
}

struct OpenJob {
    job: JobId,
    /// `None` while it cannot be opened.
    recorder: Option<JobRecorder>,
    /// An error was told and nothing was written since.
    is_failing: bool,
}

impl Recording {
    fn run(mut self, messages: &Receiver<Message>) {
        self.forget_old();
        loop {
            match messages.recv_timeout(FLUSH_EVERY) {
                Ok(Message::Note(note)) => self.note(&note),
                Ok(Message::Settle(done)) => {
                    self.flush();
                    // An error means that nobody waits any more.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.flush();
    }

    fn note(&mut self, note: &JobNote) {
        let mut open = match self.open.iter().position(|open| open.job == note.job) {
            Some(place) => self.open.remove(place),
            None => OpenJob { job: note.job, recorder: None, is_failing: false },
        };
        let noted = open.note(&self.settings, note);
        self.told(&mut open, noted);
        self.open.push(open);
        if self.open.len() > JOBS_OPEN_MAX {
            let mut oldest = self.open.remove(0);
            let flushed = oldest.flush();
            self.told(&mut oldest, flushed);
            // Jobs end where others start: the time to look whether there are too many.
            self.forget_old();
        }
    }

    fn flush(&mut self) {
        for mut open in std::mem::take(&mut self.open) {
            let flushed = open.flush();
            self.told(&mut open, flushed);
            self.open.push(open);
        }
    }

    fn forget_old(&self) {
        match retention::forget_old(&self.settings.data_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("the curves of old jobs cannot be removed: {error}");
            }
            _ => {}
        }
    }

    /// Says once that writing fails, and once that it works again.
    fn told(&self, open: &mut OpenJob, outcome: io::Result<bool>) {
        let directory = job_directory(&self.settings.data_dir, open.job);
        match outcome {
            Ok(wrote) => {
                if wrote && std::mem::replace(&mut open.is_failing, false) {
                    tracing::info!(job = %open.job, "curves are recorded again");
                }
            }
            Err(error) => {
                self.counters.write_errors.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut open.is_failing, true) {
                    tracing::warn!(
                        job = %open.job,
                        "curves cannot be recorded in {}: {error}; training goes on; look at `df {}`",
                        directory.display(),
                        self.settings.data_dir.display(),
                    );
                }
            }
        }
    }
}

impl OpenJob {
    /// Whether anything was written.
    fn note(&mut self, settings: &RecorderSettings, note: &JobNote) -> io::Result<bool> {
        let recorder = match &mut self.recorder {
            Some(recorder) => recorder,
            None => self.recorder.insert(JobRecorder::open(settings, note.job)?),
        };
        recorder.note(note)
    }

    /// Never says that it wrote: there may have been nothing to write.
    fn flush(&mut self) -> io::Result<bool> {
        self.recorder.as_mut().map_or(Ok(false), |recorder| recorder.flush(SystemTime::now()).map(|()| false))
    }
}
