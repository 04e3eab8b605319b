//! `trainctl checkpoint export`: the daemon sends the bytes, this program writes the files, as the user who asked.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use super::super::args::OutputFormat;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::render;
use crate::control::Client;
use crate::control::api::{CheckpointExport, ExportedFile};
use crate::exit_code;

/// Most files of an export: a model in one piece, its configuration, and room for what later versions add.
const FILES_MAX: usize = 16;

/// What was written.
#[derive(Serialize)]
#[serde(tag = "kind")]
struct CheckpointExported<'a> {
    #[serde(flatten)]
    export: &'a CheckpointExport,
    directory: PathBuf,
}

pub(super) async fn export(
    socket: &Path,
    job: &str,
    step: Option<u64>,
    out: &Path,
    force: bool,
    output: &Output,
) -> Result<u8, Failure> {
    let out = std::path::absolute(out).map_err(|error| cannot_write(out, &error))?;
    let mut download = Client::new(socket).export(job, step).await?;
    let description = download.description.clone();
    check(&description, &out, force)?;
    std::fs::create_dir_all(&out).map_err(|error| cannot_write(&out, &error))?;
    // All files are there before the first gets its name, so that a broken connection leaves none.
    let mut written: Vec<(&ExportedFile, NamedTempFile)> = Vec::new();
    for file in &description.files {
        let mut temporary = tempfile::Builder::new()
            .prefix(".traind-export-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&out)
            .map_err(|error| cannot_write(&out, &error))?;
        download.read(file, &mut temporary).await?;
        let synced = temporary.flush().and_then(|()| temporary.as_file().sync_all());
        synced.map_err(|error| cannot_write(&out.join(&file.name), &error))?;
        written.push((file, temporary));
    }
    for (file, temporary) in written {
        let path = out.join(&file.name);
        let named = if force { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
        named.map_err(|error| cannot_write(&path, &error.error))?;
    }
    match output.format {
        OutputFormat::Name => {
            let paths = description.files.iter().map(|file| format!("{}\n", out.join(&file.name).display()));
            output.write(&paths.collect::<String>())?;
        }
        _ => {
            let report = CheckpointExported { export: &description, directory: out.clone() };
            output.data(&report, || render::printable(&render::exported(&description, &out)))?;
        }
    }
    Ok(exit_code::OK)
}

/// Refuses names that are no plain ones, and files that are there.
pub(super) fn check(export: &CheckpointExport, out: &Path, force: bool) -> Result<(), Failure> {
    let odd = |what: String| {
        Failure::new(exit_code::FAILED, what).because("trainctl and traind are of different versions")
    };
    if export.files.is_empty() || export.files.len() > FILES_MAX {
        return Err(odd(format!("the daemon exports {} files", export.files.len())));
    }
    for (index, file) in export.files.iter().enumerate() {
        let mut parts = Path::new(&file.name).components();
        let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
            && !file.name.contains('/');
        if !is_plain || export.files[..index].iter().any(|other| other.name == file.name) {
            return Err(odd(format!("the daemon exports a file with the name {:?}", file.name)));
        }
        let path = out.join(&file.name);
        if !force && path.symlink_metadata().is_ok() {
            return Err(Failure::new(exit_code::FAILED, format!("{} is there already", path.display()))
                .because("nothing was written")
                .next("choose another --out, or replace it with --force"));
        }
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(exit_code::FAILED, format!("cannot write {}", path.display())).because(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_written_and_nothing_is_replaced_unasked() {
        let directory = tempfile::tempdir().unwrap();
        let export = |names: &[&str]| CheckpointExport {
            job: "ab".into(),
            job_name: "digits".into(),
            step: 1,
            digest: "d".into(),
            files: names
                .iter()
                .map(|name| ExportedFile { name: (*name).into(), bytes: 0, blake3: String::new() })
                .collect(),
        };
        let accepts = |names: &[&str], force| check(&export(names), directory.path(), force).is_ok();
        assert!(accepts(&["model.safetensors", "config.json"], false));
        for bad in ["../x", "/etc/passwd", "a/b", "", ".", "..", "a/"] {
            assert!(!accepts(&[bad], true), "{bad:?}");
        }
        assert!(!accepts(&["a", "a"], true) && !accepts(&[], true) && !accepts(&["a"; 17], true));
        std::fs::write(directory.path().join("config.json"), "mine").unwrap();
        assert!(!accepts(&["model.safetensors", "config.json"], false));
        assert!(accepts(&["model.safetensors", "config.json"], true));
    }
}
