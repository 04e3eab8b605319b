//! Forgets the curves of old jobs.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use traind_protocol::ids::JobId;

use super::{job_directory, jobs_directory, points_path, tensorboard_directory};

/// Jobs whose curves are kept, those written last. A job of 100 000 steps takes some 30 MB.
pub const JOBS_KEPT_MAX: usize = 64;

/// Removes the curves of all jobs but the [`JOBS_KEPT_MAX`] written last. Removes nothing that the recorder did not make:
/// a directory with other things in it stays, with these. Goes on after an error and returns the first one.
pub(super) fn forget_old(data_dir: &Path) -> io::Result<()> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(jobs_directory(data_dir))? {
        let entry = entry?;
        let Some(job) = entry.file_name().to_str().and_then(JobId::from_hex) else { continue };
        if let Ok(metadata) = fs::metadata(points_path(data_dir, job)) {
            jobs.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), job));
        }
    }
    jobs.sort_unstable_by(|one, two| two.cmp(one));
    let forgotten = jobs.iter().skip(JOBS_KEPT_MAX).map(|(_written_at, job)| forget(data_dir, *job));
    forgotten.fold(Ok(()), |first, next| first.and(next))
}

fn forget(data_dir: &Path, job: JobId) -> io::Result<()> {
    match fs::remove_dir_all(tensorboard_directory(data_dir, job)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Last, since without it nobody would come back for the rest.
    fs::remove_file(points_path(data_dir, job))?;
    match fs::remove_dir(job_directory(data_dir, job)) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(()),
    }
}
