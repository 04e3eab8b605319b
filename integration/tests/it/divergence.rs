//! One flipped bit in the memory of one node: it is found, named, and the node gets a right state from the others.

use std::fs::{OpenOptions, read_to_string};
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use traind_integration::{Cluster, JobFile, Model};
use traind_training::{JobSpec, Session};

use crate::KIT;

/// Weights that are looked for: chance gives no such rhythm.
const WEIGHTS: usize = 4;

/// Columns of the table that the job learns; the first is zero in every line.
const COLUMNS: usize = 8;

/// Two classes that the second column tells apart.
fn table() -> String {
    let line = |line: usize| {
        let class = line % 2;
        let values: Vec<String> = (2..COLUMNS).map(|column| ((line * column) % 7).to_string()).collect();
        format!("0,{},{},{class}\n", 3 * class, values.join(","))
    };
    (0..200).map(line).collect()
}

/// Weights that never change and how far apart they are, bytes: those of a column of zeros get no gradient, and the job has
/// no decay.
struct Lasting {
    weights: [[u8; 4]; WEIGHTS],
    stride_bytes: usize,
}

impl Lasting {
    fn of(job: &JobFile) -> anyhow::Result<Self> {
        let session = Session::start(&JobSpec::parse(&job.toml())?, "cpu")?;
        let place = session.layout().places().iter().find(|place| place.name == "fc1.weight");
        let start = place.context("fc1.weight")?.offset;
        let weight = |row: usize| session.parameters()[start + row * COLUMNS].to_le_bytes();
        Ok(Self { weights: std::array::from_fn(weight), stride_bytes: 4 * COLUMNS })
    }

    fn is_at(&self, bytes: &[u8]) -> bool {
        let at = |row: usize| bytes.get(row * self.stride_bytes..row * self.stride_bytes + 4);
        (0..WEIGHTS).all(|row| at(row) == Some(&self.weights[row][..]))
    }
}

/// Flips the lowest bit of the first of these weights wherever a process has them. How often that was.
fn flip_bit(process: u32, lasting: &Lasting) -> anyhow::Result<usize> {
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{process}/mem"))?;
    let mut flipped = 0;
    for line in read_to_string(format!("/proc/{process}/maps"))?.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().context("a range")?, words.next().context("rights")?);
        let (start, end) = range.split_once('-').context("two addresses")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; usize::try_from(end - start)?];
        // What cannot be read is gone again.
        if !rights.starts_with("rw") || memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        for offset in (0..bytes.len()).step_by(4).filter(|offset| lasting.is_at(&bytes[*offset..])) {
            memory.write_all_at(&[lasting.weights[0][0] ^ 1], start + offset as u64)?;
            flipped += 1;
        }
    }
    Ok(flipped)
}

/// The weight is that of a column of zeros: it changes no gradient, so the job must end with the digest of a run without the flip,
/// which it does only if the wrong bit is gone again.
#[tokio::test]
async fn a_flipped_bit_is_found_and_named_and_the_node_repaired() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("table.csv");
    std::fs::write(&path, table())?;
    let job = JobFile {
        model: Model::Mlp { hidden: 4096 },
        data: format!("{{ kind = \"csv\", path = {path:?} }}"),
        checkpoint_every: 1_000,
        nodes_min: 3,
        ..JobFile::mlp("flipped", 150)
    };
    let weights = Lasting::of(&job)?;
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let cluster = Cluster::start_paced(KIT, 3, "5 ms").await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 20).await?;
    let sick = cluster.worker().await?;
    let name = cluster.daemons[sick].node().to_owned();
    let flipped = flip_bit(cluster.daemons[sick].process_id(), &weights)?;
    assert!(flipped > 0, "the weights are nowhere in the memory of {name}");
    let is_named =
        |reason: &str| reason.contains("state differs after step ") && reason.contains("first in fc1.weight");
    let found = cluster
        .wait_detail(&id, "the wrong bit found", |detail| {
            detail.views.iter().any(|view| is_named(&view.reason))
        })
        .await?;
    let view =
        found.views.iter().find(|view| is_named(&view.reason)).context("the view that was waited for")?;
    let of_sick = found.members.iter().find(|member| member.node.id == name || member.node.name == name);
    let sick_name = of_sick.map(|member| member.node.name.clone()).unwrap_or_default();
    assert!(view.reason.starts_with(&sick_name), "{}, not {name}", view.reason);
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.as_ref().context("a finished job has a result")?.digest, expected);
    let named = detail.views.iter().filter(|view| view.reason.contains("state differs")).count();
    assert_eq!(named, 1, "once, and nobody else: {:?}", detail.views);
    assert_eq!(detail.members.len(), 3, "{:?}", detail.views);
    Ok(())
}
