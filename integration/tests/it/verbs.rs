//! Every verb of `trainctl` on live daemons: as table and as JSON, with its exit code.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use traind_integration::{Cluster, JobFile};

use crate::KIT;
use crate::shell::Shell;

fn write_job(folder: &Path, job: &JobFile) -> anyhow::Result<String> {
    let path = folder.join(format!("{}.toml", job.name));
    std::fs::write(&path, job.toml())?;
    Ok(path.display().to_string())
}

fn has_kind(lines: &[Value], kind: &str) -> bool {
    lines.iter().all(|line| line["apiVersion"] == "traind/v1")
        && lines.iter().any(|line| line["kind"] == kind)
}

#[tokio::test]
async fn looking_at_a_swarm() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    let shell = Shell::at(&cluster.daemons[0]);
    for (arguments, kind, word) in [
        (&["status"][..], "Status", "coordinator"),
        (&["node", "ls"], "NodeList", "COUNCIL"),
        (&["node", "show", "--self"], "NodeDetail", "numeric class"),
        (&["job", "ls"], "JobList", "STATUS"),
        (&["checkpoint", "ls"], "CheckpointList", "STEP"),
        (&["config", "show", "--origin"], "Config", "flag --data-dir"),
        (&["version", "--cluster"], "VersionReport", env!("CARGO_PKG_VERSION")),
        (&["events"], "EventLine", "coordinat"),
    ] {
        let table = shell.text(arguments).await?;
        assert!(table.contains(word), "{arguments:?}: {table}");
        assert!(!table.contains('\u{1b}'), "{arguments:?} has control characters where no terminal is");
        let json = shell.json(arguments).await?;
        assert!(has_kind(&json, kind), "{arguments:?}: {json:?}");
    }
    let names = shell.text(&["-o", "name", "node", "ls"]).await?;
    assert_eq!(names.lines().count(), 3, "{names}");
    let other = names.lines().next().context("a name")?;
    assert!(shell.text(&["node", "show", other]).await?.contains(other));
    assert_eq!(shell.refused(&["node", "show", "nobody"]).await?.0, Some(4));
    assert_eq!(shell.refused(&["node", "dance"]).await?.0, Some(2));
    let nowhere = Shell { socket: "/nonexistent/control.sock".to_owned() };
    let (code, told) = nowhere.refused(&["status"]).await?;
    assert!(code == Some(3) && told.contains("traind"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_job_from_its_file_to_a_model_and_back() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    let (shell, folder) = (Shell::at(&cluster.daemons[0]), cluster.folder().to_owned());
    let job = JobFile { nodes_min: 3, evaluation_every: 20, ..JobFile::mlp("verbs", 60).with_adamw() };
    let file = write_job(&folder, &job)?;
    assert!(shell.text(&["job", "submit", &file, "--dry-run"]).await?.contains("verbs"));
    assert!(shell.text(&["job", "submit", &file]).await?.contains("verbs"));
    shell.text(&["job", "wait", "verbs", "--timeout", "100s"]).await?;
    // The library's own threads would spin while the trainer works.
    let threads = cluster.daemons[0].thread_names()?;
    assert!(threads.iter().any(|name| name == "store"), "{threads:?}");
    assert!(!threads.iter().any(|name| name.starts_with("candle")), "{threads:?}");
    for (arguments, kind, word) in [
        (&["job", "show", "verbs"][..], "JobDetail", "digest"),
        (&["job", "logs", "verbs"], "LogLine", "submitted"),
        (&["job", "metrics", "verbs"], "MetricPoint", "60"),
        (&["checkpoint", "show", "verbs"], "CheckpointDetail", "60"),
    ] {
        assert!(shell.text(arguments).await?.contains(word), "{arguments:?}");
        let json = shell.json(arguments).await?;
        assert!(has_kind(&json, kind), "{arguments:?}: {json:?}");
    }
    let points = shell.json(&["job", "metrics", "verbs"]).await?;
    let steps: Vec<u64> = points.iter().filter_map(|point| point["step"].as_u64()).collect();
    assert_eq!(steps, (1..=60).collect::<Vec<_>>(), "every step once");
    let tested: Vec<u64> = points
        .iter()
        .filter(|point| !point["evaluation"].is_null())
        .filter_map(|point| point["step"].as_u64())
        .collect();
    assert_eq!(tested, [20, 40]);
    let csv = shell.text(&["job", "metrics", "verbs", "--format", "csv"]).await?;
    assert_eq!(csv.lines().count(), 61, "{csv}");

    let model = folder.join("model").display().to_string();
    let holder = Shell::at_holder(&cluster, "verbs").await?;
    holder.text(&["checkpoint", "export", "verbs", "--out", &model]).await?;
    let again = JobFile { name: "again".to_owned(), nodes_min: 3, ..JobFile::mlp("again", 10) };
    shell.text(&["job", "submit", &write_job(&folder, &again)?, "--from", &model]).await?;
    shell.text(&["job", "wait", "again", "--timeout", "100s"]).await?;
    let first = &shell.json(&["job", "metrics", "again"]).await?[0];
    let loss = first["loss"].as_f64().context("a loss")?;
    assert!(loss < 1.0, "it starts from a model that has learnt, not from {loss}");
    let other = JobFile { name: "other".to_owned(), ..JobFile::lenet("other", 10) };
    let (code, told) =
        shell.refused(&["job", "submit", &write_job(&folder, &other)?, "--from", &model]).await?;
    assert!(code.is_some_and(|code| code != 0) && told.contains("conv1"), "{told}");
    // Not by the path where the daemon keeps it for a moment.
    assert!(told.contains("the file that was given, tensor conv1"), "{told}");
    Ok(())
}

#[tokio::test]
async fn pausing_draining_and_leaving() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 3).await?;
    let worker = cluster.worker().await?;
    let leaver = cluster.daemons.remove(worker);
    let (shell, folder) = (Shell::at(&cluster.daemons[0]), cluster.folder().to_owned());
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("long", 1_000_000) };
    shell.text(&["job", "submit", &write_job(&folder, &job)?]).await?;
    cluster.wait_step("long", 5).await?;
    assert_eq!(shell.refused(&["job", "wait", "long", "--timeout", "1s"]).await?.0, Some(6));
    shell.text(&["job", "pause", "long"]).await?;
    cluster.wait_status("long", traind::control::api::JobStatus::Paused).await?;
    assert!(shell.text(&["job", "ls"]).await?.contains("paused"));
    shell.text(&["job", "resume", "long"]).await?;
    cluster.wait_members("long", 3).await?;

    let node = leaver.node().to_owned();
    shell.text(&["drain", &node, "--reason", "new fan"]).await?;
    let detail = &shell.json(&["node", "show", &node]).await?[0];
    assert_eq!(detail["drain"]["drained"], true, "{detail}");
    assert_eq!(detail["drain"]["reason"], "new fan");
    shell.text(&["undrain", &node]).await?;
    cluster.wait_members("long", 3).await?;
    let its = Shell::at(&leaver);
    its.text(&["leave", "--self", "--yes"]).await?;
    let (status, _options) = leaver.wait().await?;
    assert!(status.success(), "{status}");
    cluster.wait_members("long", 2).await?;
    assert_eq!(shell.text(&["-o", "name", "node", "ls"]).await?.lines().count(), 2);
    let events = shell.json(&["events"]).await?;
    for kind in ["job_submitted", "job_paused", "job_resumed", "node_draining", "node_undrained", "node_left"]
    {
        assert!(events.iter().any(|event| event["event"] == kind), "no {kind} in {events:?}");
    }
    shell.text(&["job", "cancel", "long"]).await?;
    assert_eq!(shell.refused(&["job", "wait", "long"]).await?.0, Some(7));
    Ok(())
}
