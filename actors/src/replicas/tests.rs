//! Copies on real stores and networks, with a ledger made up for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tempfile::tempdir;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use traind_protocol::ids::{Chain, Digest, NodeId};
use traind_protocol::ledger::{CheckpointEntry, JobPlan, JobRecord, JobStatus, Ledger, LedgerCommand};
use traind_store::CheckpointRecord;

use super::{ReplicaParts, start};
use crate::council::{CouncilInbox, Published};
use crate::session::digest_of_pieces;
use crate::transfer::tests::node::{DEADLINE, JOB, Node, state};

const CHUNKS: usize = 3;
const STEP: u64 = 20;
const CHAIN: Chain = Chain([4; 32]);

/// Long enough for several looks at the ledger.
const SILENCE: Duration = Duration::from_secs(3);

/// What a node with copies is told, and what it tells.
struct Follower {
    ledger: watch::Sender<Arc<Published>>,
    told: mpsc::Receiver<CouncilInbox>,
}

fn follow(node: &Node) -> Follower {
    let (ledger, published) = watch::channel(Arc::new(Published::default()));
    let (council, told) = mpsc::channel(64);
    start(ReplicaParts {
        node: node.id(),
        store: Arc::clone(&node.store),
        transfers: node.transfers.clone(),
        published,
        council,
        verdicts: node.verdicts.clone(),
    });
    Follower { ledger, told }
}

impl Follower {
    fn publish(&self, entry: CheckpointEntry) {
        let mut ledger = Ledger::default();
        ledger.jobs.insert(JOB, job(entry));
        self.ledger.send_replace(Arc::new(Published { ledger, ..Published::default() }));
    }

    async fn next(&mut self) -> anyhow::Result<LedgerCommand> {
        loop {
            match timeout(DEADLINE, self.told.recv()).await? {
                Some(CouncilInbox::Propose(command)) => return Ok(command),
                Some(_) => {}
                None => anyhow::bail!("nobody tells anything any more"),
            }
        }
    }

    async fn is_silent(&mut self) -> bool {
        timeout(SILENCE, self.told.recv()).await.is_err()
    }
}

fn job(entry: CheckpointEntry) -> JobRecord {
    let plan = JobPlan {
        microbatches: 1,
        microbatch_size: 1,
        parts: 1,
        steps: 100,
        may_end_early: false,
        checkpoint_every: 10,
        checkpoint_keep: 2,
        checkpoint_replicas: 2,
        nodes_min: 1,
        nodes_max: 8,
        genesis: Chain([0; 32]),
        state_bytes: 1,
    };
    JobRecord {
        id: JOB,
        name: "copied".to_owned(),
        spec_toml: String::new(),
        plan,
        data_digest: [0; 32],
        initial: None,
        submitted_by: NodeId([1; 32]),
        submitted_index: 1,
        order: 1,
        status: JobStatus::Done,
        pausing: None,
        view: None,
        epochs: 1,
        view_changes: Vec::new(),
        synced: BTreeSet::new(),
        committed: Vec::new(),
        checkpoints: vec![entry],
        failed_microbatches: Vec::new(),
        evaluations: Vec::new(),
        result: None,
    }
}

/// What a state of these chunks has.
fn digest_of_state() -> Digest {
    digest_of_pieces(std::iter::once(Ok::<_, std::convert::Infallible>(state(CHUNKS))))
        .unwrap_or_else(|never| match never {})
}

/// Writes a checkpoint that says to have `digest`.
fn write(node: &Node, digest: Digest) -> anyhow::Result<CheckpointRecord> {
    Ok(node.store.write_checkpoint(JOB, STEP, CHAIN, digest, &state(CHUNKS))?)
}

fn entry(record: &CheckpointRecord, holders: &[NodeId], assigned: &[NodeId]) -> CheckpointEntry {
    CheckpointEntry {
        step: STEP,
        chain: CHAIN,
        digest: record.digest,
        manifest: record.manifest,
        bytes: record.state_bytes,
        holders: holders.iter().copied().collect(),
        assigned: assigned.iter().copied().collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_chosen_fetches_checks_and_says_so_until_the_ledger_shows_it() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let holder = Node::start(&folder, "holder", 1, &[]).await?;
    let chosen = Node::start(&folder, "chosen", 2, std::slice::from_ref(&holder.address)).await?;
    let record = write(&holder, digest_of_state())?;
    chosen.meets(1).await?;
    let mut follower = follow(&chosen);
    follower.publish(entry(&record, &[holder.id()], &[chosen.id()]));
    let expected = LedgerCommand::RecordCheckpoint { job: JOB, entry: entry(&record, &[chosen.id()], &[]) };
    for _ in 0..3 {
        assert_eq!(follower.next().await?, expected);
    }
    assert_eq!(chosen.store.read_checkpoint(JOB, STEP)?.1, state(CHUNKS));
    follower.publish(entry(&record, &[holder.id(), chosen.id()], &[]));
    while timeout(SILENCE, follower.told.recv()).await.is_ok() {}
    // The manifest goes behind its back: the ledger must not count on it.
    assert!(chosen.store.chunks().remove_manifest(record.manifest)?);
    let mut fresh = follow(&chosen);
    fresh.publish(entry(&record, &[holder.id(), chosen.id()], &[]));
    let disowned = LedgerCommand::DropCheckpoint { job: JOB, step: STEP, holder: Some(chosen.id()) };
    assert_eq!(fresh.next().await?, disowned);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_whose_bytes_have_another_digest_is_refused_and_removed() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let liar = Node::start(&folder, "liar", 1, &[]).await?;
    let chosen = Node::start(&folder, "chosen", 2, std::slice::from_ref(&liar.address)).await?;
    let record = write(&liar, Digest([6; 32]))?;
    chosen.meets(1).await?;
    let mut follower = follow(&chosen);
    follower.publish(entry(&record, &[liar.id()], &[chosen.id()]));
    assert!(follower.is_silent().await, "nothing is said of what is not right");
    assert!(chosen.store.list_checkpoints(Some(JOB))?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_is_not_to_fetch_any_more_leaves_nothing_behind() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let holder = Node::start(&folder, "holder", 1, &[]).await?;
    let chosen = Node::start(&folder, "chosen", 2, std::slice::from_ref(&holder.address)).await?;
    let record = write(&holder, digest_of_state())?;
    // So slow that it is never done.
    holder.network.set_chunk_bytes_per_second_max(Some(100_000));
    chosen.meets(1).await?;
    let follower = follow(&chosen);
    follower.publish(entry(&record, &[holder.id()], &[chosen.id()]));
    let chunks = chosen.store.chunks();
    let begun = async {
        while chunks.manifests(None).is_ok_and(|known| known.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, begun).await?;
    follower.publish(entry(&record, &[holder.id()], &[]));
    let gone = async {
        while chunks.manifests(None).is_ok_and(|known| !known.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, gone).await?;
    assert!(chosen.transfers.status().is_empty());
    Ok(())
}
