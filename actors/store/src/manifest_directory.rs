//! Manifests as files. One that is whole ends in `.manifest`; one whose chunks are still fetched in `.incoming`.

use std::path::PathBuf;

use traind_protocol::ids::{JobId, ManifestId};

use crate::manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestKind};
use crate::{Damage, StoreError, durable_file};

/// Whether all chunks of a manifest were here when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// All were: it counts.
    Whole,
    /// Some are yet to come.
    Incoming,
}

impl Progress {
    const ALL: [Self; 2] = [Self::Whole, Self::Incoming];

    const fn ending(self) -> &'static str {
        match self {
            Self::Whole => ".manifest",
            Self::Incoming => ".incoming",
        }
    }
}

/// The name of a manifest's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ManifestName {
    pub(crate) stem: String,
    pub(crate) id: ManifestId,
    pub(crate) progress: Progress,
}

impl ManifestName {
    pub(crate) fn of(manifest: &Manifest, id: ManifestId, progress: Progress) -> Self {
        Self { stem: manifest.body.stem(), id, progress }
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}.{}{}", self.stem, self.id, self.progress.ending())
    }

    fn parse(name: &str) -> Option<Self> {
        let ended = |progress: Progress| Some((name.strip_suffix(progress.ending())?, progress));
        let (front, progress) = Progress::ALL.into_iter().find_map(ended)?;
        let (stem, id) = front.rsplit_once('.')?;
        let parsed = Self { stem: stem.to_owned(), id: ManifestId::from_hex(id)?, progress };
        (parsed.file_name() == name).then_some(parsed)
    }

    /// The kind, by the name alone.
    pub(crate) fn kind(&self) -> ManifestKind {
        match self.stem.split_once('-') {
            Some(("join", _)) => ManifestKind::JoinState,
            Some(("data", _)) => ManifestKind::DataSet,
            _ => ManifestKind::Checkpoint,
        }
    }

    /// The job and step of a checkpoint, by the name alone.
    pub(crate) fn checkpoint(&self) -> Option<(JobId, u64)> {
        let (job, step) = self.stem.split_once('-')?;
        let (job, step) = (JobId::from_hex(job)?, step.parse().ok()?);
        (self.stem == format!("{job}-{step:020}")).then_some((job, step))
    }
}

/// The folder of all manifests.
pub(crate) struct ManifestDirectory {
    path: PathBuf,
}

impl ManifestDirectory {
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        durable_file::create_directory(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path_of(&self, name: &ManifestName) -> PathBuf {
        self.path.join(name.file_name())
    }

    /// Writes a manifest; it is durable when this returns.
    pub(crate) fn write(&self, name: &ManifestName, text: &[u8]) -> Result<(), StoreError> {
        durable_file::write(&self.path, &name.file_name(), text)?;
        self.sync()
    }

    /// One that was incoming is whole from here on.
    pub(crate) fn promote(&self, name: &ManifestName) -> Result<ManifestName, StoreError> {
        let whole = ManifestName { progress: Progress::Whole, ..name.clone() };
        std::fs::rename(self.path_of(name), self.path_of(&whole))
            .map_err(StoreError::file("rename", self.path_of(name)))?;
        self.sync()?;
        Ok(whole)
    }

    /// Removes a manifest for good.
    pub(crate) fn remove(&self, name: &ManifestName) -> Result<(), StoreError> {
        durable_file::remove(&self.path_of(name))
    }

    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        durable_file::sync_directory(&self.path)
    }

    /// All manifests there are, by name.
    pub(crate) fn names(&self) -> Result<Vec<ManifestName>, StoreError> {
        let names = durable_file::names(&self.path)?;
        Ok(names.iter().filter_map(|name| ManifestName::parse(name)).collect())
    }

    /// Removes what a crash left half written.
    pub(crate) fn sweep(&self) -> Result<(), StoreError> {
        for name in durable_file::names(&self.path)? {
            if name.ends_with(durable_file::UNFINISHED) {
                durable_file::remove(&self.path.join(name))?;
            }
        }
        Ok(())
    }

    /// The manifest of this name; `None` if it is gone.
    pub(crate) fn read(&self, name: &ManifestName) -> Result<Option<Manifest>, StoreError> {
        let object = self.path_of(name);
        let bytes = match durable_file::read(&object, MANIFEST_BYTES_MAX as u64) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            // Longer than any that was written.
            Err(StoreError::File { source, .. }) if source.kind() == std::io::ErrorKind::FileTooLarge => {
                return Err(StoreError::Damaged { object, damage: Damage::Content });
            }
            Err(error) => return Err(error),
        };
        match Manifest::decode(&bytes) {
            Ok((id, manifest)) if id == name.id && manifest.body.stem() == name.stem => Ok(Some(manifest)),
            _ => Err(StoreError::Damaged { object, damage: Damage::Content }),
        }
    }
}
