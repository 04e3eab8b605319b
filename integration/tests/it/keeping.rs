//! Checkpoints on live daemons: pinned, pruned, verified, brought back; jobs taken back to one; rules of retention.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use traind::control::api::{JobDetail, JobStatus, KeptReason, Request, Response};
use traind_integration::{Cluster, JobFile};

use crate::KIT;
use crate::shell::Shell;

/// So that the store keeps up, and no checkpoint is left out.
const PACE: &str = "2 ms";

/// A job of two nodes that takes some seconds.
fn job(name: &str, steps: u64) -> JobFile {
    JobFile { nodes_min: 2, ..JobFile::mlp(name, steps) }
}

fn digest_of(detail: &JobDetail) -> anyhow::Result<String> {
    Ok(detail.result.clone().context("a finished job has a result")?.digest)
}

async fn submit_text(cluster: &Cluster, text: String) -> anyhow::Result<String> {
    match cluster.daemons[0].ask(Request::job_submit(text)).await? {
        Response::JobSubmitted { job, .. } => Ok(job),
        other => anyhow::bail!("not submitted: {other:?}"),
    }
}

/// Pauses a job that has done so many steps.
async fn pause_after(cluster: &Cluster, id: &str, step: u64) -> anyhow::Result<JobDetail> {
    cluster.wait_step(id, step).await?;
    cluster.daemons[0].ask(Request::JobPause { job: id.to_owned() }).await?;
    cluster.wait_status(id, JobStatus::Paused).await?;
    cluster.detail(id).await
}

fn data_dir(cluster: &Cluster, position: usize) -> PathBuf {
    cluster.daemons[position].data_dir().to_path_buf()
}

/// Files below the folder of chunks.
fn chunks(data_dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(data_dir.join("chunks"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[tokio::test]
async fn a_pinned_checkpoint_stays_and_a_job_taken_back_to_it_ends_with_the_same_digest() -> anyhow::Result<()>
{
    let cluster = Cluster::start(KIT, 2).await?;
    let shell = Shell::at(&cluster.daemons[0]);
    let job = job("twice", 300);
    let id = cluster.submit(&job).await?;
    let expected = digest_of(&cluster.finish(&id).await?)?;
    let id = cluster.submit(&job).await?;
    let paused = pause_after(&cluster, &id, 40).await?;
    let pinned = paused.checkpoints[0].step;
    let name = format!("{id}@{pinned}");
    assert!(shell.text(&["checkpoint", "pin", &name]).await?.contains("is pinned"));
    shell.text(&["job", "resume", &id]).await?;
    let paused = pause_after(&cluster, &id, paused.step + 60).await?;
    // The newest three, and the one that would have gone.
    assert_eq!(paused.checkpoints.len(), 4, "{:?}", paused.checkpoints);
    assert_eq!(
        (paused.checkpoints[0].step, &paused.checkpoints[0].kept[..]),
        (pinned, &[KeptReason::Pinned][..])
    );
    let verified = &shell.json(&["checkpoint", "verify", &name]).await?[0];
    assert_eq!((verified["damaged"].as_u64(), verified["digest_matches"].as_bool()), (Some(0), Some(true)));
    let pruned = &shell.json(&["checkpoint", "prune", &id, "--dry-run"]).await?[0];
    assert_eq!(pruned["removed"].as_array().map(Vec::len), Some(0), "{pruned}");
    assert_eq!(pruned["kept"][0]["kept"][0], "pinned", "{pruned}");

    let (code, told) = shell.refused(&["checkpoint", "rollback", &format!("{id}@1")]).await?;
    assert!(code == Some(1) && told.contains("no such checkpoint"), "{told}");
    let back = &shell.json(&["checkpoint", "rollback", &name]).await?[0];
    assert_eq!(
        (back["from_step"].as_u64(), back["step"].as_u64()),
        (Some(paused.step), Some(pinned)),
        "{back}"
    );
    let detail = cluster.detail(&id).await?;
    assert_eq!((detail.status, detail.step, detail.checkpoints.len()), (JobStatus::Paused, pinned, 1));
    shell.text(&["job", "resume", &id]).await?;
    let (code, told) = shell.refused(&["checkpoint", "rollback", &name]).await?;
    assert!(code == Some(1) && told.contains("not paused"), "{told}");
    let finished = cluster.finish(&id).await?;
    assert_eq!(digest_of(&finished)?, expected, "the same states came again");
    let last = finished.views.last().context("a view")?;
    let again = format!("from the checkpoint of step {pinned}");
    assert!(finished.views.iter().any(|view| view.reason.contains(&again)), "{:?}", finished.views);
    assert!(last.incarnation > 2, "each going on begins a lineage: {last:?}");
    let events = shell.json(&["events"]).await?;
    assert!(events.iter().any(|event| event["event"] == "job_rolled_back"), "{events:?}");

    // An ended job, too, and it ends again.
    shell.text(&["checkpoint", "rollback", &name]).await?;
    shell.text(&["job", "resume", &id]).await?;
    assert_eq!(digest_of(&cluster.finish(&id).await?)?, expected);
    Ok(())
}

/// A copy of what a node keeps of checkpoints, below `to`. What nothing names any more may go meanwhile.
fn copy_store(data_dir: &Path, to: &Path) -> anyhow::Result<()> {
    for folder in ["manifests", "chunks"] {
        fs::create_dir_all(to.join(folder))?;
        for entry in fs::read_dir(data_dir.join(folder))? {
            let path = entry?.path();
            match fs::copy(&path, to.join(folder).join(path.file_name().context("a name")?)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => drop(copied?),
            }
        }
    }
    Ok(())
}

/// The manifest of a step in a copy of a store, and a chunk that it names.
fn manifest_and_chunk(copy: &Path, step: u64) -> anyhow::Result<(PathBuf, PathBuf)> {
    let stem = format!("{step:020}");
    let mut paths = fs::read_dir(copy.join("manifests"))?.filter_map(Result::ok).map(|entry| entry.path());
    let manifest = paths.find(|path| path.to_string_lossy().contains(&stem)).context("a manifest")?;
    let text = fs::read_to_string(&manifest)?;
    let is_named =
        |path: &PathBuf| path.file_name().is_some_and(|name| text.contains(&*name.to_string_lossy()));
    let chunk = chunks(copy)?.into_iter().find(is_named).context("a chunk of it")?;
    Ok((manifest, chunk))
}

/// A flipped bit, a file that is too short, one that leads elsewhere, none at all, a manifest that lies: refused by name.
async fn bad_imports_are_refused(shell: &Shell, manifest: &Path, chunk: &Path) -> anyhow::Result<()> {
    let (import, named) = (manifest.display().to_string(), chunk.display().to_string());
    let content = fs::read(chunk)?;
    let mut flipped = content.clone();
    flipped[content.len() / 2] ^= 4;
    for (bytes, why) in [(&flipped[..], "content"), (&content[..content.len() - 1], "bytes of")] {
        fs::write(chunk, bytes)?;
        let (code, told) = shell.refused(&["checkpoint", "import", &import]).await?;
        assert!(code == Some(2) && told.contains(&named) && told.contains(why), "{told}");
    }
    fs::remove_file(chunk)?;
    std::os::unix::fs::symlink("/etc/passwd", chunk)?;
    let (_, told) = shell.refused(&["checkpoint", "import", &import]).await?;
    assert!(told.contains(&named), "{told}");
    fs::remove_file(chunk)?;
    let (_, told) = shell.refused(&["checkpoint", "import", &import]).await?;
    assert!(told.contains(&named) && told.contains("missing"), "{told}");
    fs::write(chunk, &content)?;
    let text = fs::read_to_string(manifest)?;
    fs::write(manifest, text.replacen("\"step\":40", "\"step\":41", 1))?;
    let (_, told) = shell.refused(&["checkpoint", "import", &import]).await?;
    assert!(told.contains("manifest"), "{told}");
    fs::write(manifest, &text)?;
    Ok(())
}

async fn checkpoints_on(shell: &Shell) -> anyhow::Result<Option<u64>> {
    Ok(shell.json(&["store", "status"]).await?[0]["checkpoints"].as_u64())
}

#[tokio::test]
async fn what_is_pruned_goes_from_the_disk_and_comes_back_from_a_copy_that_is_whole() -> anyhow::Result<()> {
    let cluster = Cluster::start_paced(KIT, 1, PACE).await?;
    let shell = Shell::at(&cluster.daemons[0]);
    let id = cluster.submit(&JobFile::mlp("pruned", 60)).await?;
    let finished = cluster.finish(&id).await?;
    let steps: Vec<u64> = finished.checkpoints.iter().map(|row| row.step).collect();
    assert_eq!(steps, [40, 50, 60]);
    let copy = cluster.folder().join("copy");
    copy_store(&data_dir(&cluster, 0), &copy)?;
    let pruned = &shell.json(&["checkpoint", "prune", &id, "--keep", "1"]).await?[0];
    assert_eq!(pruned["removed"].as_array().map(Vec::len), Some(2), "{pruned}");
    // The daemon follows the ledger by itself; each look takes a while.
    for _ in 0..200 {
        if checkpoints_on(&shell).await? == Some(1) {
            break;
        }
    }
    assert_eq!(checkpoints_on(&shell).await?, Some(1));
    assert_eq!(shell.refused(&["checkpoint", "verify", &format!("{id}@40")]).await?.0, Some(4));

    let (manifest, chunk) = manifest_and_chunk(&copy, 40)?;
    bad_imports_are_refused(&shell, &manifest, &chunk).await?;
    assert_eq!(checkpoints_on(&shell).await?, Some(1), "nothing of them is kept");
    shell.text(&["checkpoint", "import", &manifest.display().to_string()]).await?;
    let detail = cluster.detail(&id).await?;
    let row = detail.checkpoints.first().context("a checkpoint")?;
    assert_eq!((row.step, &row.kept[..]), (40, &[KeptReason::Newest, KeptReason::Pinned][..]));
    shell.text(&["checkpoint", "verify", &format!("{id}@40")]).await?;
    shell.text(&["checkpoint", "rollback", &format!("{id}@40")]).await?;
    shell.text(&["job", "resume", &id]).await?;
    assert_eq!(digest_of(&cluster.finish(&id).await?)?, digest_of(&finished)?);
    Ok(())
}

#[tokio::test]
async fn an_exported_model_is_imported_by_name_and_a_job_on_another_node_starts_from_it() -> anyhow::Result<()>
{
    let cluster = Cluster::start(KIT, 2).await?;
    let id = cluster.submit(&job("taught", 60)).await?;
    cluster.finish(&id).await?;
    let shell = Shell::at_holder(&cluster, &id).await?;
    let mut shells = cluster.daemons.iter().map(Shell::at);
    let other = shells.find(|other| other.socket != shell.socket).context("another daemon")?;
    let model = cluster.folder().join("model");
    let path = model.display().to_string();
    shell.text(&["checkpoint", "export", &id, "--out", &path]).await?;
    let file = model.join("model.safetensors");
    let content = fs::read(&file)?;
    let mut flipped = content.clone();
    let last = flipped.len() - 3;
    flipped[last] ^= 1;
    for (bytes, why) in [(&flipped[..], "BLAKE3"), (&content[..content.len() - 4], "bytes of tensors")] {
        fs::write(&file, bytes)?;
        let (code, told) = shell.refused(&["checkpoint", "import", &path, "--name", "taught"]).await?;
        assert!(code == Some(2) && told.contains("model.safetensors") && told.contains(why), "{told}");
    }
    fs::write(&file, &content)?;
    assert_eq!(shell.refused(&["checkpoint", "import", &path]).await?.0, Some(2), "it has no name");
    shell.text(&["checkpoint", "import", &path, "--name", "taught"]).await?;
    fs::remove_dir_all(&model)?;
    let next = cluster.folder().join("next.toml");
    fs::write(&next, job("next", 10).toml())?;
    let next = next.display().to_string();
    assert_eq!(other.refused(&["job", "submit", &next, "--from", "set:nobody"]).await?.0, Some(4));
    other.text(&["job", "submit", &next, "--from", "set:taught"]).await?;
    other.text(&["job", "wait", "next", "--timeout", "100s"]).await?;
    let first = &other.json(&["job", "metrics", "next"]).await?[0];
    let loss = first["loss"].as_f64().context("a loss")?;
    assert!(loss < 1.5, "it starts from a model that has learnt, not from {loss}");
    Ok(())
}

#[tokio::test]
async fn the_store_names_what_is_damaged_and_its_index_is_made_anew() -> anyhow::Result<()> {
    let cluster = Cluster::start_paced(KIT, 1, PACE).await?;
    let shell = Shell::at(&cluster.daemons[0]);
    let id = cluster.submit(&JobFile::mlp("kept", 30)).await?;
    cluster.finish(&id).await?;
    let directory = data_dir(&cluster, 0);
    assert!(shell.text(&["store", "verify"]).await?.contains("the store is whole"));
    let status = &shell.json(&["store", "status"]).await?[0];
    assert_eq!((status["checkpoints"].as_u64(), status["damaged"].as_u64()), (Some(3), Some(0)), "{status}");
    fs::remove_dir_all(directory.join("index"))?;
    let rebuilt = &shell.json(&["store", "rebuild-index"]).await?[0];
    assert_eq!(rebuilt["manifests"], 3, "{rebuilt}");
    assert_eq!(shell.json(&["store", "status"]).await?[0]["checkpoints"], status["checkpoints"]);
    let chunk = chunks(&directory)?.into_iter().next().context("a chunk")?;
    let mut content = fs::read(&chunk)?;
    content[0] ^= 1;
    fs::write(&chunk, content)?;
    let (code, told) = shell.refused(&["store", "verify"]).await?;
    assert!(code == Some(1) && told.contains(&chunk.display().to_string()), "{told}");
    assert!(shell.text(&["store", "gc", "--dry-run"]).await?.contains("would remove 0 chunks"));
    // Not while a daemon uses it.
    let at = directory.display().to_string();
    let (code, told) = shell.refused(&["store", "verify", "--data-dir", &at]).await?;
    assert!(code == Some(1) && told.contains("in use"), "{told}");
    Ok(())
}

#[tokio::test]
async fn time_makes_checkpoints_due_after_one_step_on_every_node_and_changes_no_bit() -> anyhow::Result<()> {
    let cluster = Cluster::start_paced(KIT, 2, PACE).await?;
    let job = JobFile { evaluation_every: 20, ..job("timed", 400) };
    let id = cluster.submit(&job).await?;
    let expected = digest_of(&cluster.finish(&id).await?)?;
    let by_time = "every = \"1 s\"\nkeep = 2\nkeep_every = \"100 steps\"\nkeep_best = 1";
    let text = job.toml().replace("every_steps = 10\nkeep = 3", by_time);
    assert!(text.contains(by_time), "{text}");
    let id = submit_text(&cluster, text).await?;
    let finished = cluster.finish(&id).await?;
    assert_eq!(digest_of(&finished)?, expected);
    assert!(finished.checkpoints.len() >= 2, "{:?}", finished.checkpoints);
    for row in finished.checkpoints.iter().filter(|row| row.step < 400) {
        assert_eq!(row.holders.len(), 2, "both saved after the same step: {row:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_first_of_so_many_steps_and_the_best_stay() -> anyhow::Result<()> {
    let cluster = Cluster::start_paced(KIT, 1, PACE).await?;
    let job = JobFile { evaluation_every: 10, ..JobFile::mlp("ruled", 120) };
    let rules =
        "every = \"10 steps\"\nkeep = 1\nkeep_every = \"45 steps\"\nkeep_best = 2\nbest_by = \"accuracy\"";
    let id = submit_text(&cluster, job.toml().replace("every_steps = 10\nkeep = 3", rules)).await?;
    let detail = cluster.finish(&id).await?;
    let of = |why: KeptReason| -> Vec<u64> {
        detail.checkpoints.iter().filter(|row| row.kept.contains(&why)).map(|row| row.step).collect()
    };
    assert_eq!(of(KeptReason::Nth), [50, 90]);
    assert_eq!(of(KeptReason::Newest), [120]);
    let best = of(KeptReason::Best);
    assert_eq!(best.len(), 2, "{:?}", detail.checkpoints);
    let accuracy =
        |step: u64| detail.evaluations.iter().find(|point| point.step == step).map(|point| point.correct);
    let worst_kept = best.iter().filter_map(|step| accuracy(*step)).min();
    let better = detail.evaluations.iter().filter(|point| Some(point.correct) > worst_kept).count();
    assert!(better < 2, "{better} tests were better than {worst_kept:?} of {best:?}");
    Ok(())
}
