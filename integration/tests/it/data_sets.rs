//! Data sets of the swarm: added on one node, fetched by the others before a job needs them.

use traind::control::ClientError;
use traind::control::api::{DataDetail, JobStatus, Request, Response};
use traind_integration::{Cluster, Daemon, IdxFiles, JobFile};
use traind_protocol::ledger::limits::DATA_SETS_MAX;

use crate::KIT;

fn job(name: &str, path: &str, nodes: u32) -> JobFile {
    JobFile {
        data: format!("{{ kind = \"idx\", path = \"{path}\" }}"),
        nodes_min: nodes,
        ..JobFile::mlp(name, 100)
    }
}

async fn add(cluster: &Cluster, position: usize, path: &str, kind: Option<&str>) -> anyhow::Result<Response> {
    let request = Request::DataAdd {
        name: "stripes".into(),
        path: path.to_owned(),
        set_kind: kind.map(str::to_owned),
        label: None,
        header: false,
        field: None,
    };
    cluster.daemons[position].ask(request).await
}

async fn show(cluster: &Cluster, position: usize) -> anyhow::Result<DataDetail> {
    match cluster.daemons[position].ask(Request::DataShow { name: "stripes".into() }).await? {
        Response::DataDetail(detail) => Ok(detail),
        other => anyhow::bail!("no detail: {other:?}"),
    }
}

#[tokio::test]
async fn one_data_add_and_every_node_trains_on_what_it_fetched_once() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    let directory = cluster.folder().join("somewhere");
    IdxFiles::default().write(&directory)?;
    let path = directory.display().to_string();
    // By a path that every node can read, for the digest to compare with.
    let id = cluster.submit(&job("by-path", &path, 3)).await?;
    let by_path = cluster.finish(&id).await?;
    let added = add(&cluster, 1, &path, None).await?;
    assert!(
        matches!(&added, Response::DataAdded(row) if row.training > 0 && row.set_kind == "idx"),
        "{added:?}"
    );
    std::fs::remove_dir_all(&directory)?;
    let id = cluster.submit(&job("by-name", "set:stripes", 3)).await?;
    let by_name = cluster.finish(&id).await?;
    assert_eq!(by_name.members.len(), 3, "{:?}", by_name.members);
    let correct =
        |detail: &traind::control::api::JobDetail| detail.result.clone().map(|result| result.test_correct);
    assert_eq!(correct(&by_name), correct(&by_path), "the same samples in the same order");
    for position in 0..3 {
        let detail = show(&cluster, position).await?;
        assert!(detail.local, "node {position}: {detail:?}");
        // Where it was added nothing is fetched; elsewhere every chunk once.
        let expected = if position == 1 { 0 } else { detail.row.bytes };
        assert_eq!(detail.bytes_fetched, expected, "node {position}: {detail:?}");
        let verified = cluster.daemons[position].ask(Request::DataVerify { name: "stripes".into() }).await?;
        assert!(
            matches!(&verified, Response::DataVerified(found) if found.damaged.is_empty()),
            "{verified:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_needed_stays_and_what_is_not_there_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 1).await?;
    let error = cluster.submit(&job("absent", "set:stripes", 1)).await.expect_err("must be refused");
    assert!(format!("{error:#}").contains("stripes"), "{error:#}");
    let directory = cluster.folder().join("somewhere");
    IdxFiles::default().write(&directory)?;
    add(&cluster, 0, &directory.display().to_string(), None).await?;
    let id = cluster.submit(&JobFile { steps: 1_000_000, ..job("needs-it", "set:stripes", 1) }).await?;
    cluster.wait_step(&id, 1).await?;
    let remove = || Request::DataRemove { name: "stripes".into() };
    let error = cluster.daemons[0].ask(remove()).await.expect_err("a job needs it");
    assert!(format!("{error:#}").contains("needs-it"), "{error:#}");
    cluster.client().call(&Request::JobCancel { job: id.clone() }).await?;
    cluster.wait_end(&id).await?;
    let removed = cluster.daemons[0].ask(remove()).await?;
    assert!(matches!(removed, Response::DataRemoved { .. }), "{removed:?}");
    assert_eq!(cluster.detail(&id).await?.status, JobStatus::Cancelled);
    Ok(())
}

#[tokio::test]
async fn a_ragged_table_is_refused_with_file_and_line() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 1).await?;
    let path = cluster.folder().join("ragged.csv");
    std::fs::write(&path, "1,2,0\n3,4,1\n5,6,7,1\n")?;
    let error = add(&cluster, 0, &path.display().to_string(), None).await.expect_err("must be refused");
    let told = format!("{error:#}");
    assert!(told.contains("ragged.csv") && told.contains("line 3"), "{told}");
    Ok(())
}

async fn add_table(cluster: &Cluster, name: &str, lines: usize) -> anyhow::Result<Response> {
    let path = cluster.folder().join(format!("{name}.csv"));
    let text: String =
        (0..lines).map(|line| format!("{}.5,{}.25,{}\n", line % 97, line % 31, line % 2)).collect();
    std::fs::write(&path, text)?;
    let request = Request::DataAdd {
        name: name.to_owned(),
        path: path.display().to_string(),
        set_kind: None,
        label: None,
        header: false,
        field: None,
    };
    cluster.daemons[0].ask(request).await
}

async fn is_here(cluster: &Cluster, position: usize, name: &str) -> anyhow::Result<(bool, usize)> {
    match cluster.daemons[position].ask(Request::DataShow { name: name.to_owned() }).await? {
        Response::DataDetail(detail) => Ok((detail.local, detail.row.holders.len())),
        other => anyhow::bail!("no detail: {other:?}"),
    }
}

#[tokio::test]
async fn within_its_limit_a_node_lets_go_what_no_job_needs_and_another_node_holds() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 1).await?;
    let mut options = cluster.next_options();
    options.variables.push(("TRAIND_LIMITS__DATA_SETS".to_owned(), "7 MiB".to_owned()));
    cluster.daemons.push(Daemon::start(options).await?);
    cluster.wait_live(2).await?;
    // A set takes its size twice where a job was given its files: about 4 MiB.
    let job = |name: &str, steps| JobFile {
        data: format!("{{ kind = \"csv\", path = \"set:{name}\" }}"),
        nodes_min: 2,
        ..JobFile::mlp(name, steps)
    };
    for name in ["first", "second"] {
        add_table(&cluster, name, 200_000).await?;
        let id = cluster.submit(&job(name, 3)).await?;
        assert_eq!(cluster.finish(&id).await?.members.len(), 2);
    }
    assert_eq!(is_here(&cluster, 1, "second").await?, (true, 2));
    assert_eq!(is_here(&cluster, 1, "first").await?, (false, 1), "it made room");
    assert_eq!(is_here(&cluster, 0, "first").await?, (true, 1));
    // It comes back when it is needed, and the other one goes.
    let id = cluster.submit(&job("first", 3)).await?;
    assert_eq!(cluster.finish(&id).await?.members.len(), 2);
    assert_eq!(is_here(&cluster, 1, "second").await?, (false, 1));
    // One that never fits is a reason to refuse the job, by the node that cannot keep it.
    add_table(&cluster, "third", 500_000).await?;
    let id = cluster.submit(&job("third", 3)).await?;
    let refused = cluster.wait_end(&id).await?;
    assert_eq!(refused.status, JobStatus::Refused, "{:?}", refused.reason);
    let refusal = refused.refusal.expect("who and why");
    assert_eq!(refusal.node.id, cluster.daemons[1].node());
    assert!(refusal.reason.contains("limits.data_sets"), "{}", refusal.reason);
    Ok(())
}

/// What a node sends for others to keep is held to its limit: a set takes as long as it must, and no other node than the one
/// with the limit is slow.
#[tokio::test]
async fn transfers_take_as_long_as_the_limit_says() -> anyhow::Result<()> {
    const BYTES_PER_SECOND: u64 = 1_000_000;
    let mut cluster = Cluster::start(KIT, 0).await?;
    let mut options = cluster.next_options();
    options.variables.push(("TRAIND_LIMITS__TRANSFERS".to_owned(), "1 MB/s".to_owned()));
    cluster.daemons.push(Daemon::start(options).await?);
    cluster.add().await?;
    cluster.wait_live(2).await?;
    let Response::DataAdded(set) = add_table(&cluster, "slow", 300_000).await? else {
        anyhow::bail!("not added")
    };
    let job = JobFile {
        data: "{ kind = \"csv\", path = \"set:slow\" }".to_owned(),
        nodes_min: 2,
        ..JobFile::mlp("waits-for-it", 3)
    };
    let began = std::time::Instant::now();
    let id = cluster.submit(&job).await?;
    assert_eq!(cluster.finish(&id).await?.members.len(), 2);
    let took = began.elapsed().as_secs_f64();
    assert_eq!(is_here(&cluster, 1, "slow").await?, (true, 2));
    // Half of it at most goes at once, after a rest.
    let least = set.bytes as f64 / BYTES_PER_SECOND as f64 / 2.0;
    assert!(least > 1.0, "the set is too small to tell: {} bytes", set.bytes);
    assert!(took > least, "{} bytes took {took:.2} s", set.bytes);
    Ok(())
}

/// What has no room in the ledger is refused at once, with the limit and what makes room, not given up after a while.
#[tokio::test]
async fn a_data_set_too_many_is_refused_with_what_makes_room() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 1).await?;
    let path = cluster.folder().join("table.csv");
    std::fs::write(&path, "0.5,1\n0.25,0\n".repeat(10))?;
    let add = async |number: usize| {
        let request = Request::DataAdd {
            name: format!("set-{number}"),
            path: path.display().to_string(),
            set_kind: None,
            label: None,
            header: false,
            field: None,
        };
        cluster.daemons[0].client().call(&request).await
    };
    for number in 0..DATA_SETS_MAX {
        add(number).await?;
    }
    let Err(ClientError::Refused(refusal)) = add(DATA_SETS_MAX).await else {
        anyhow::bail!("one too many was not refused")
    };
    assert_eq!(refusal.message, format!("at most {DATA_SETS_MAX} data sets"));
    assert!(refusal.next.is_some_and(|next| next.contains("trainctl data rm")));
    // The same again is no further one.
    add(0).await?;
    cluster.daemons[0].ask(Request::DataRemove { name: "set-3".to_owned() }).await?;
    add(DATA_SETS_MAX).await?;
    Ok(())
}
