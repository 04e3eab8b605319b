//! What is refused, how it is said, and that nothing else is disturbed.

use std::io::Write as _;
use std::net::TcpStream;

use traind::control::api::{JobStatus, Request};
use traind_integration::{Cluster, Daemon, DaemonOptions, JobFile};

use crate::KIT;

#[tokio::test]
async fn a_loss_that_is_not_finite_stops_the_job_and_names_the_micro_batch() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 2).await?;
    // A learning rate that blows the parameters up within a few steps.
    let job = JobFile { learning_rate: 1.0e30, nodes_min: 2, ..JobFile::lenet("explodes", 50) };
    let id = cluster.submit(&job).await?;
    let detail = cluster.wait_end(&id).await?;
    assert_eq!(detail.status, JobStatus::Failed);
    let reason = detail.reason.unwrap_or_default();
    println!("{reason}");
    for word in ["step", "micro-batch", "samples"] {
        assert!(reason.contains(word), "the reason names the {word}: {reason}");
    }
    assert_eq!(reason.matches("samples").count(), 1, "once is enough: {reason}");
    Ok(())
}

#[tokio::test]
async fn garbage_on_the_ports_disturbs_nobody() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 2).await?;
    let id = cluster.submit(&JobFile { nodes_min: 2, ..JobFile::lenet("undisturbed", 40) }).await?;
    cluster.wait_step(&id, 2).await?;
    for daemon in &cluster.daemons {
        for port in listening_ports(daemon.process_id())? {
            for bytes in [vec![0xff; 4096], b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 70_000]] {
                let mut stream = TcpStream::connect(("127.0.0.1", port))?;
                // The daemon may close while we still write.
                let _ = stream.write_all(&bytes);
            }
        }
    }
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.views.len(), 1, "nobody was taken out of the view: {:?}", detail.views);
    Ok(())
}

#[tokio::test]
async fn a_node_of_another_swarm_is_refused_and_both_ids_are_logged() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 1).await?;
    // It founds its own swarm first, then is told to dial the other one.
    let options = DaemonOptions { peers: Vec::new(), ..cluster.next_options() };
    let (_status, mut options) = Daemon::start(options).await?.terminate().await?;
    options.peers = vec![cluster.daemons[0].address().to_owned()];
    let stranger = Daemon::start(options).await?;
    let swarms = [swarm_of(&cluster.daemons[0]).await?, swarm_of(&stranger).await?];
    assert_ne!(swarms[0], swarms[1]);
    let refused = async {
        loop {
            let log = stranger.log()?;
            if log.lines().any(|line| swarms.iter().all(|swarm| line.contains(swarm.as_str()))) {
                return anyhow::Ok(());
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), refused).await??;
    let Ok(traind::control::api::Response::NodeList { nodes }) =
        cluster.daemons[0].ask(Request::NodeList).await
    else {
        anyhow::bail!("no node list")
    };
    assert_eq!(nodes.len(), 1, "the stranger is not admitted");
    Ok(())
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 1).await?;
    let mut options = cluster.daemons[0].restart_options();
    options.listen = "/ip4/127.0.0.1/tcp/0".to_owned();
    let output = tokio::task::spawn_blocking(move || {
        std::process::Command::new(KIT)
            .args([traind::cli::DAEMON_ARGUMENT, "--dev", "--data-dir"])
            .arg(&options.data_dir)
            .output()
    })
    .await??;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("in use") || told.contains("lock"), "{told}");
    cluster.wait_live(1).await
}

async fn swarm_of(daemon: &Daemon) -> anyhow::Result<String> {
    match daemon.ask(Request::Status).await? {
        traind::control::api::Response::Status(status) => {
            status.swarm.ok_or_else(|| anyhow::anyhow!("no swarm"))
        }
        other => anyhow::bail!("no status: {other:?}"),
    }
}

/// TCP ports that a process listens on, from the kernel's tables.
fn listening_ports(process: u32) -> anyhow::Result<Vec<u16>> {
    let mut sockets = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/fd"))? {
        let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
            sockets.push(inode.to_owned());
        }
    }
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp"))?;
    let mut ports = Vec::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_listening = fields.get(3) == Some(&"0A");
        let inode = fields.get(9).map(ToString::to_string);
        if is_listening && inode.is_some_and(|inode| sockets.contains(&inode)) {
            let port = fields[1].rsplit(':').next().unwrap_or_default();
            ports.push(u16::from_str_radix(port, 16)?);
        }
    }
    anyhow::ensure!(!ports.is_empty(), "process {process} listens on no port");
    Ok(ports)
}
