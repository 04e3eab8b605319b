//! A node whose disk is full while a job runs: its checkpoints fail and say for want of how much space, the job goes on on
//! all nodes, and once there is room the node holds checkpoints again. A job that ends on full disks says that nobody has its
//! state.
//!
//! Without arguments this is the test: it runs itself in a mount namespace of its own, where a small tmpfs is the disk of
//! the second node.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use traind::control::api::{JobDetail, Request, StreamItem};
use traind_integration::{Cluster, Daemon, JobFile};

/// The kit's binary, which is the daemon and `trainctl`.
const KIT: &str = env!("CARGO_BIN_EXE_traind-kit");

/// Bytes of the disk: what chunks leave free for the council's log, two databases and some states.
const DISK_BYTES: u64 = 90 << 20;

/// Bytes that chunks leave free, as docs/operations.md has it.
const RESERVE_BYTES: u64 = 64 << 20;

/// More than the three checkpoints that a node keeps, half a megabyte each.
const KEPT_BYTES: u64 = 2 << 20;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, disk] = arguments.as_slice()
        && word == "fill-the-disk"
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(async {
            fill_the_disk(Path::new(disk)).await?;
            end_on_a_full_disk(Path::new(disk)).await
        });
    }
    let directory = tempfile::tempdir()?;
    let disk = directory.path().join("disk");
    fs::create_dir(&disk)?;
    let script = format!(
        "mount -t tmpfs -o size={DISK_BYTES} none \"$1\" || exit 99; exec \"$0\" fill-the-disk \"$1\""
    );
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe()?)
        .arg(&disk)
        .status()
        .context("unshare (util-linux) is needed")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(99) => bail!("the disk of the test cannot be mounted: user namespaces with mounts are needed"),
        _ => bail!("the test failed ({status})"),
    }
}

fn available(disk: &Path) -> anyhow::Result<u64> {
    let found = rustix::fs::statvfs(disk).context("asking for free space")?;
    Ok(found.f_bavail * found.f_frsize)
}

/// Takes what chunks may use, and so much of what they must leave that no checkpoint fits where retention lets old ones go.
fn fill(filler: &Path, disk: &Path) -> anyhow::Result<()> {
    let mut file = fs::File::create(filler)?;
    while available(disk)? > RESERVE_BYTES - KEPT_BYTES {
        file.write_all(&[1; 64 << 10])?;
        file.flush()?;
    }
    Ok(())
}

/// Whether the newest checkpoint is on both nodes, or on the first alone.
fn newest_is_on(detail: &JobDetail, nodes: usize, after_step: u64) -> bool {
    detail.checkpoints.last().is_some_and(|row| row.step > after_step && row.holders.len() == nodes)
}

fn name_of(detail: &JobDetail, node: &str) -> anyhow::Result<String> {
    let member = detail.members.iter().find(|member| member.node.id == node).context("a member")?;
    Ok(member.node.name.clone())
}

async fn fill_the_disk(disk: &Path) -> anyhow::Result<()> {
    // Nobody hurries: two nodes, a checkpoint every tenth of a second.
    let mut cluster = Cluster::start_with(KIT, 1, &[("TRAIND_LIMITS__MICRO_BATCH_TIME", "2 ms")]).await?;
    let mut options = cluster.next_options();
    options.data_dir = disk.to_path_buf();
    cluster.daemons.push(Daemon::start(options).await?);
    cluster.wait_live(2).await?;
    let job = JobFile { nodes_min: 2, ..JobFile::lenet("full", 1_000_000) };
    let id = cluster.submit(&job).await?;
    cluster.wait_detail(&id, "both to hold a checkpoint", |detail| newest_is_on(detail, 2, 0)).await?;

    let filler = disk.join("filler");
    fill(&filler, disk)?;
    let filled_at = cluster.detail(&id).await?.step;
    println!("disk full at step {filled_at}, {} bytes free", available(disk)?);
    let alone = |detail: &JobDetail| newest_is_on(detail, 1, filled_at + 10);
    let detail = cluster.wait_detail(&id, "a checkpoint on the other node alone", alone).await?;
    let full = cluster.daemons[1].node().to_owned();
    let newest = detail.checkpoints.last().context("a checkpoint")?;
    assert!(newest.holders.iter().all(|holder| holder.id != full), "{newest:?}");
    cluster.wait_step(&id, detail.step + 30).await?;
    let detail = cluster.detail(&id).await?;
    assert_eq!(detail.members.len(), 2, "the node goes on computing: {:?}", detail.views);
    let log = reported(&cluster.daemons[1], &id).await?;
    assert!(log.contains("checkpoint not written"), "{log}");
    for word in ["bytes", "free", &disk.display().to_string()] {
        assert!(log.contains(word), "the space is not named ({word}): {log}");
    }

    // Everybody who asks is told, not only who reads that node's log.
    let name = name_of(&detail, &full)?;
    let names_it = |warning: &String| warning.contains(&name) && warning.contains("too full");
    assert!(detail.warnings.iter().any(names_it), "{:?}", detail.warnings);

    fs::remove_file(&filler)?;
    let freed_at = cluster.detail(&id).await?.step;
    let both = |detail: &JobDetail| newest_is_on(detail, 2, freed_at + 10);
    let detail = cluster.wait_detail(&id, "both to hold a checkpoint again", both).await?;
    println!(
        "both nodes hold the checkpoint of step {}",
        detail.checkpoints.last().map_or(0, |row| row.step)
    );
    let made_up_for = |detail: &JobDetail| detail.warnings.is_empty();
    cluster.wait_detail(&id, "the warning to go", made_up_for).await?;
    cluster.client().call(&Request::JobCancel { job: id.clone() }).await?;
    cluster.wait_end(&id).await?;
    Ok(())
}

/// A job of a single node ends with a result while nothing can be written: whoever asks is told that its state is nowhere.
async fn end_on_a_full_disk(disk: &Path) -> anyhow::Result<()> {
    let mut cluster = Cluster::start_with(KIT, 0, &[]).await?;
    let mut options = cluster.next_options();
    options.data_dir = disk.join("alone");
    cluster.daemons.push(Daemon::start(options).await?);
    cluster.wait_live(1).await?;
    fill(&disk.join("filler"), disk)?;
    let job = JobFile { nodes_min: 1, ..JobFile::lenet("unkept", 40) };
    let id = cluster.submit(&job).await?;
    let detail = cluster.finish(&id).await?;
    assert!(detail.result.is_some() && detail.checkpoints.is_empty(), "{:?}", detail.checkpoints);
    let says_it = |warning: &String| warning.contains("final state is on no disk");
    assert!(detail.warnings.iter().any(says_it), "{:?}", detail.warnings);
    println!("a job that nobody could keep: {:?}", detail.warnings);
    Ok(())
}

/// What the log of a daemon says about a job, as `trainctl job logs` tells it.
async fn reported(daemon: &Daemon, id: &str) -> anyhow::Result<String> {
    let request = Request::JobLogs { job: id.to_owned(), tail: None, follow: false };
    let mut lines = daemon.client().stream(&request).await?;
    let mut text = String::new();
    while let Some(item) = lines.next().await? {
        if let StreamItem::LogLine(line) = item {
            text.push_str(&format!("{} {:?}\n", line.message, line.fields));
        }
    }
    Ok(text)
}
