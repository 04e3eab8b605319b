//! A directory that files are put into whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    CONFIG_FILE, MODEL_FILE, TOKENIZER_FILE, model_config::ProvenanceConfig, portable_error::PortableError,
};

/// Files that are not whole yet begin so; one that a crash left behind is no reason to refuse a directory.
const UNFINISHED: &str = ".traind-export-";
/// Longest description that is looked at to tell an earlier export, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Tells the unfinished files of one process apart.
static EXPORTS: AtomicU64 = AtomicU64::new(0);

/// Files on their way into a directory. What is not finished is removed when it goes out of scope.
pub(super) struct ExportDirectory {
    directory: PathBuf,
    /// Directories that did not exist before, outermost first.
    made: Vec<PathBuf>,
    /// Where each file lies and what it will be called.
    unfinished: Vec<(PathBuf, PathBuf)>,
    number: u64,
}

impl ExportDirectory {
    /// Makes the directory if there is none, and refuses one that holds anything but an earlier export unless `force`.
    pub(super) fn open(directory: &Path, force: bool) -> Result<Self, PortableError> {
        let number = EXPORTS.fetch_add(1, Ordering::Relaxed);
        let mut export =
            Self { directory: directory.to_owned(), made: Vec::new(), unfinished: Vec::new(), number };
        match fs::read_dir(directory) {
            Ok(entries) => {
                if !force {
                    refuse_others(directory, entries)?;
                }
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => export.make()?,
            Err(source) => return Err(failed("open the directory", directory, source)),
        }
        Ok(export)
    }

    /// Writes a file beside its place, to the disk; gives its length.
    pub(super) fn write(
        &mut self,
        name: &str,
        contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, PortableError> {
        let place = self.directory.join(name);
        let path = self.directory.join(format!("{UNFINISHED}{}-{}-{name}", process::id(), self.number));
        self.unfinished.push((path.clone(), place));
        let write = || -> io::Result<u64> {
            let mut file = io::BufWriter::new(File::create(&path)?);
            contents(&mut file)?;
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// Gives all files their names.
    pub(super) fn finish(mut self) -> Result<PathBuf, PortableError> {
        while let Some((path, place)) = self.unfinished.first() {
            fs::rename(path, place).map_err(|source| failed("put in place", place, source))?;
            self.unfinished.remove(0);
        }
        // The names, too, have to reach the disk, the new directories' in their parents.
        sync(&self.directory)?;
        for made in &self.made {
            if let Some(parent) = made.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync(parent)?;
            }
        }
        self.made.clear();
        Ok(std::mem::take(&mut self.directory))
    }

    fn make(&mut self) -> Result<(), PortableError> {
        let missing =
            self.directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        missing.reverse();
        for path in missing {
            fs::create_dir(&path).map_err(|source| failed("make the directory", &path, source))?;
            self.made.push(path);
        }
        Ok(())
    }
}

impl Drop for ExportDirectory {
    fn drop(&mut self) {
        // Nothing can be done if even this fails; directories that others have filled meanwhile stay.
        for (path, _) in &self.unfinished {
            let _ = fs::remove_file(path);
        }
        if let Some(directory) = self.made.last() {
            for name in [MODEL_FILE, CONFIG_FILE, TOKENIZER_FILE] {
                let _ = fs::remove_file(directory.join(name));
            }
        }
        for made in self.made.iter().rev() {
            let _ = fs::remove_dir(made);
        }
    }
}

/// An empty directory, or the files of an export of ours, and what crashes of exports left.
fn refuse_others(directory: &Path, entries: fs::ReadDir) -> Result<(), PortableError> {
    let mut holds_model = false;
    for entry in entries {
        let entry = entry.map_err(|source| failed("read the directory", directory, source))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        holds_model |= name == MODEL_FILE;
        if ![MODEL_FILE, CONFIG_FILE, TOKENIZER_FILE].contains(&name.as_str())
            && !name.starts_with(UNFINISHED)
        {
            return Err(PortableError::NotEmpty { directory: directory.to_owned(), found: name });
        }
        if name == CONFIG_FILE && !is_ours(&entry.path()) {
            return Err(PortableError::NotEmpty { directory: directory.to_owned(), found: name });
        }
    }
    // A model without its description may be anybody's.
    if holds_model && !directory.join(CONFIG_FILE).exists() {
        return Err(PortableError::NotEmpty {
            directory: directory.to_owned(),
            found: MODEL_FILE.to_owned(),
        });
    }
    Ok(())
}

/// Whether a `config.json` is one that an export wrote.
fn is_ours(path: &Path) -> bool {
    let is_short = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= CONFIG_BYTES_MAX);
    let config = fs::read(path).ok().filter(|_| is_short);
    let is_marked = |config: Vec<u8>| {
        let value = serde_json::from_slice::<serde_json::Value>(&config).ok()?;
        serde_json::from_value::<ProvenanceConfig>(value.get("traind")?.clone()).ok()
    };
    config.and_then(is_marked).is_some()
}

fn sync(directory: &Path) -> Result<(), PortableError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| failed("sync the directory", directory, source))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> PortableError {
    PortableError::Io { operation, path: path.to_owned(), source }
}
