//! Writes event files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::event;
use crate::observe::append_file::AppendFile;

/// How old an unwritten record may get, measured at the next call.
const FLUSH_AFTER: Duration = Duration::from_secs(2);

/// Records that are held back at most.
const FLUSH_RECORDS: usize = 64;

/// What is held back while writing fails, bytes: some thousand steps. Beyond it everything unwritten goes.
const UNWRITTEN_BYTES_MAX: usize = 256 << 10;

/// Attempts to find a name that nobody has: more than one only when files appear meanwhile.
const NAMES_TRIED_MAX: u32 = 16;

/// How the names of event files start.
const NAME_START: &str = "events.out.tfevents.";

/// Longest host name in a file's name, bytes.
const HOST_BYTES_MAX: usize = 64;

/// Writes the curves of one job into a directory. Each writer makes a file of its own, at its first flush; the steps of
/// the next one continue those of the last. It has no thread: records are written when a call finds them due.
#[derive(Debug)]
pub struct TensorboardWriter {
    directory: PathBuf,
    file: Option<AppendFile>,
    unwritten: Vec<u8>,
    unwritten_records: usize,
    oldest_unwritten_at: Option<SystemTime>,
}

impl TensorboardWriter {
    /// A writer into `directory`, which is made when there is something to write.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, file: None, unwritten: Vec::new(), unwritten_records: 0, oldest_unwritten_at: None }
    }

    /// Adds the scalars of `step` by tag. Those that are not finite are shown as such.
    ///
    /// # Errors
    /// When records were due and could not be written. They are kept for the next call as far as there is room.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)], at: SystemTime) -> io::Result<()> {
        self.keep(&event::scalars(step, values, at), at)
    }

    /// Takes back every scalar after `step`.
    ///
    /// # Errors
    /// As [`Self::scalars`].
    pub fn return_to(&mut self, step: u64, at: SystemTime) -> io::Result<()> {
        self.keep(&event::session_start(step + 1, at), at)
    }

    /// Writes what is due.
    ///
    /// # Errors
    /// As [`Self::scalars`].
    pub fn flush_if_due(&mut self, at: SystemTime) -> io::Result<()> {
        let Some(oldest) = self.oldest_unwritten_at else { return Ok(()) };
        // An error means that the clock was set back: then nobody knows how old it is.
        let is_old = at.duration_since(oldest).map_or(true, |age| age >= FLUSH_AFTER);
        if is_old || self.unwritten_records >= FLUSH_RECORDS { self.flush(at) } else { Ok(()) }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// As [`Self::scalars`].
    pub fn flush(&mut self, at: SystemTime) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        match self.write(at) {
            Ok(()) => self.forget_unwritten(),
            Err(error) => {
                if self.unwritten.len() > UNWRITTEN_BYTES_MAX {
                    self.forget_unwritten();
                }
                // Not at every step, but when the next ones are due.
                self.unwritten_records = 0;
                self.oldest_unwritten_at = self.oldest_unwritten_at.map(|_| at);
                return Err(error);
            }
        }
        Ok(())
    }

    fn keep(&mut self, record: &[u8], at: SystemTime) -> io::Result<()> {
        self.unwritten.extend(record);
        self.unwritten_records += 1;
        self.oldest_unwritten_at.get_or_insert(at);
        self.flush_if_due(at)
    }

    fn write(&mut self, at: SystemTime) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = create(&self.directory, at)?;
                file.append(&event::file_version(at))?;
                self.file.insert(file)
            }
        };
        file.append(&self.unwritten)
    }

    fn forget_unwritten(&mut self) {
        self.unwritten.clear();
        self.unwritten_records = 0;
        self.oldest_unwritten_at = None;
    }
}

impl Drop for TensorboardWriter {
    fn drop(&mut self) {
        // Whoever wants to know of errors flushes first.
        let _ = self.flush(SystemTime::now());
    }
}

/// Makes the next file. TensorBoard reads files in the order of their names and never goes back to an earlier one, so
/// the name is later than all others', whatever the clock says.
fn create(directory: &Path, at: SystemTime) -> io::Result<AppendFile> {
    fs::create_dir_all(directory)?;
    let now = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let mut second = newest_second(directory)?.map_or(now, |newest| now.max(newest.saturating_add(1)));
    let (host, process) = (host_name(), std::process::id());
    for number in 0..NAMES_TRIED_MAX {
        let name = format!("{NAME_START}{second:010}.{host}.{process}.{number}");
        match AppendFile::create_new(&directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => second = second.saturating_add(1),
            result => return result,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The time in the name of the newest file.
fn newest_second(directory: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let second =
            name.to_str().and_then(|name| name.strip_prefix(NAME_START)?.split('.').next()?.parse().ok());
        newest = newest.max(second);
    }
    Ok(newest)
}

/// The name of this machine with what may stand in a file's name.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let name: String = name
        .trim()
        .chars()
        .take(HOST_BYTES_MAX)
        .map(|letter| if allowed(letter) { letter } else { '-' })
        .collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
