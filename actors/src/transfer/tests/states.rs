//! States of joiners between nodes on loopback: donors that die, donors that lie, many joiners at once.

use anyhow::Context as _;
use bytes::Bytes;
use tempfile::tempdir;
use tokio::time::timeout;
use traind_protocol::ids::{ChunkId, NodeId, StateId};
use traind_protocol::ledger::{Finding, Verdict};
use traind_protocol::transfer::{CHUNK_BYTES_MAX, Chunk};

use super::cases::{lie, until};
use super::node::{DEADLINE, Node, network, state};
use crate::transfer::{FetchError, What};

const STATE: StateId = StateId([5; 32]);

/// Chunks of a state of `count`, which all donors hold.
fn chunks(count: usize) -> Vec<(Chunk, Bytes)> {
    let state = Bytes::from(state(count));
    let piece = |piece: &[u8]| {
        let id = ChunkId(*blake3::hash(piece).as_bytes());
        (Chunk { id, bytes: piece.len() as u32 }, state.slice_ref(piece))
    };
    state.chunks(CHUNK_BYTES_MAX as usize).map(piece).collect()
}

fn list(count: usize) -> Vec<Chunk> {
    chunks(count).into_iter().map(|(chunk, _)| chunk).collect()
}

impl Node {
    fn offers(&self, count: usize) {
        let held = chunks(count).into_iter().map(|(chunk, content)| (chunk.id, content));
        self.transfers.held().hold(STATE, held);
    }

    /// Begins to get the state from `sources`.
    fn joins(&self, count: usize, sources: &[&Node]) -> tokio::task::JoinHandle<Result<u64, FetchError>> {
        self.transfers.held().begin(STATE, &list(count));
        let (transfers, sources) = (self.transfers.clone(), sources.iter().map(|node| node.id()).collect());
        tokio::spawn(async move {
            transfers.fetch_state(STATE, list(count), sources, false).await.map(|summary| summary.bytes)
        })
    }

    fn has_state(&self, count: usize) -> bool {
        let whole = chunks(count);
        whole.iter().all(|(chunk, content)| self.transfers.held().get(chunk.id).as_ref() == Some(content))
    }

    fn sent(&self) -> u64 {
        self.network.counters().data_payload_bytes_sent
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_comes_from_all_its_holders_though_one_dies_and_nothing_is_written() -> anyhow::Result<()> {
    const CHUNKS: usize = 12;
    for dies_after in [0u64, 1, 5] {
        let folder = tempdir()?;
        let receiver = Node::start(&folder, "receiver", 1, &[]).await?;
        let peers = [receiver.address.clone()];
        let mut donors = Vec::new();
        for boot in 2..5 {
            let donor = Node::start(&folder, &boot.to_string(), boot, &peers).await?;
            donor.offers(CHUNKS);
            donors.push(donor);
        }
        receiver.meets(3).await?;
        // Slow enough to be caught in the middle.
        donors.iter().for_each(|donor| donor.network.set_chunk_bytes_per_second_max(Some(24 << 20)));
        let fetch = receiver.joins(CHUNKS, &donors.iter().collect::<Vec<_>>());
        let dying = donors.remove(0);
        until(|| dying.sent() > dies_after * u64::from(CHUNK_BYTES_MAX) / 2).await?;
        tokio::task::spawn_blocking(move || dying.network.shutdown()).await?;
        timeout(DEADLINE, fetch).await???;
        assert!(receiver.has_state(CHUNKS));
        let sent: Vec<u64> = donors.iter().map(Node::sent).collect();
        assert!(sent.iter().all(|bytes| *bytes >= u64::from(CHUNK_BYTES_MAX)), "each gave some: {sent:?}");
        let first = list(CHUNKS)[0].id;
        assert!(!receiver.store.chunks().has(first)?, "a state is not written");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_come_from_a_dead_donor_is_not_got_again_from_the_next() -> anyhow::Result<()> {
    const CHUNKS: usize = 8;
    let folder = tempdir()?;
    let receiver = Node::start(&folder, "receiver", 1, &[]).await?;
    let peers = [receiver.address.clone()];
    let dying = Node::start(&folder, "dying", 2, &peers).await?;
    let next = Node::start(&folder, "next", 3, &peers).await?;
    dying.offers(CHUNKS);
    next.offers(CHUNKS);
    receiver.meets(2).await?;
    dying.network.set_chunk_bytes_per_second_max(Some(24 << 20));
    let first = receiver.joins(CHUNKS, &[&dying]);
    let held =
        || list(CHUNKS).iter().filter(|chunk| receiver.transfers.held().get(chunk.id).is_some()).count();
    until(|| held() >= 3).await?;
    tokio::task::spawn_blocking(move || dying.network.shutdown()).await?;
    let had = held();
    // Another view, in which another member has the state.
    let second = receiver.joins(CHUNKS, &[&next]);
    timeout(DEADLINE, second).await???;
    timeout(DEADLINE, first).await??.context("the first who asked waits for the same")?;
    assert!(receiver.has_state(CHUNKS));
    let sent = next.sent() / u64::from(CHUNK_BYTES_MAX);
    assert!(sent as usize <= CHUNKS - had, "{sent} chunks came where {had} of {CHUNKS} were there");
    Ok(())
}

/// A view that follows names the same members again, while a chunk of one is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_named_again_in_the_middle_of_a_chunk_is_no_liar() -> anyhow::Result<()> {
    const CHUNKS: usize = 3;
    let folder = tempdir()?;
    let receiver = Node::start(&folder, "receiver", 1, &[]).await?;
    let donor = Node::start(&folder, "donor", 2, std::slice::from_ref(&receiver.address)).await?;
    donor.offers(CHUNKS);
    receiver.meets(1).await?;
    donor.network.set_chunk_bytes_per_second_max(Some(8 << 20));
    let mut fetches = Vec::new();
    for mebibytes in 1..6u64 {
        fetches.push(receiver.joins(CHUNKS, &[&donor]));
        until(|| donor.sent() > mebibytes << 20).await?;
    }
    donor.network.set_chunk_bytes_per_second_max(None);
    for fetch in fetches {
        timeout(DEADLINE, fetch).await???;
    }
    assert!(receiver.has_state(CHUNKS));
    assert_eq!(receiver.verdicts.waiting(), []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_donor_of_other_bytes_is_named_and_the_rest_is_enough() -> anyhow::Result<()> {
    const CHUNKS: usize = 6;
    let folder = tempdir()?;
    let receiver = Node::start(&folder, "receiver", 1, &[]).await?;
    let peers = [receiver.address.clone()];
    let honest = Node::start(&folder, "honest", 2, &peers).await?;
    honest.offers(CHUNKS);
    // So slow that the liar is asked for the rest, until it has been found out.
    honest.network.set_chunk_bytes_per_second_max(Some(1 << 20));
    let liar = network(&folder.path().join("liar"), 3, &peers).await?;
    let liar_id: NodeId = liar.handle.node();
    let lying = tokio::spawn(lie(liar, None));
    receiver.meets(2).await?;
    receiver.transfers.held().begin(STATE, &list(CHUNKS));
    let (transfers, sources) = (receiver.transfers.clone(), vec![honest.id(), liar_id]);
    let fetch = tokio::spawn(async move { transfers.fetch_state(STATE, list(CHUNKS), sources, false).await });
    until(|| receiver.transfers.status().iter().any(|fetch| fetch.distrusted == [liar_id])).await?;
    assert_eq!(receiver.transfers.status()[0].what, What::State(STATE));
    honest.network.set_chunk_bytes_per_second_max(None);
    timeout(DEADLINE, fetch).await???;
    assert!(receiver.has_state(CHUNKS));
    let told = receiver.verdicts.waiting();
    let is_about_liar = |verdict: &&Verdict| {
        (verdict.node, verdict.by, verdict.finding) == (liar_id, receiver.id(), Finding::WrongBytes)
    };
    assert_eq!(told.iter().filter(is_about_liar).count(), told.len(), "{told:?}");
    assert!(!told.is_empty(), "the ledger is to name who sent other bytes");
    lying.abort();
    Ok(())
}

/// Ten joiners at once: the one that has the state gives it out about as often as it serves side by side, and they give
/// it to each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joiners_give_each_other_what_they_have() -> anyhow::Result<()> {
    const CHUNKS: usize = 4;
    const JOINERS: usize = 10;
    let folder = tempdir()?;
    let donor = Node::start(&folder, "donor", 100, &[]).await?;
    donor.offers(CHUNKS);
    let mut peers = vec![donor.address.clone()];
    let mut joiners: Vec<Node> = Vec::new();
    for boot in 0..JOINERS {
        let joiner = Node::start(&folder, &boot.to_string(), 1 + boot as u64, &peers).await?;
        peers.push(joiner.address.clone());
        joiners.push(joiner);
    }
    for node in joiners.iter().chain([&donor]) {
        node.meets(JOINERS).await?;
    }
    donor.network.set_chunk_bytes_per_second_max(Some(40 << 20));
    let fetches: Vec<_> = joiners.iter().map(|joiner| joiner.joins(CHUNKS, &[&donor])).collect();
    for fetch in fetches {
        timeout(DEADLINE, fetch).await???;
    }
    assert!(joiners.iter().all(|joiner| joiner.has_state(CHUNKS)));
    let length = state(CHUNKS).len() as u64;
    let (donated, passed_on) = (donor.sent(), joiners.iter().map(Node::sent).sum::<u64>());
    assert!(donated + passed_on >= JOINERS as u64 * length);
    assert!(donated < 7 * length, "the donor gave {donated} bytes of {length}, joiners {passed_on}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_state_takes_the_place_of_the_one_before() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let alone = Node::start(&folder, "alone", 1, &[]).await?;
    let first = alone.joins(2, &[]);
    until(|| alone.transfers.status().iter().any(|fetch| fetch.what == What::State(STATE))).await?;
    let other = StateId([6; 32]);
    let transfers = alone.transfers.clone();
    alone.transfers.held().begin(other, &[]);
    // All of it is here: there is nothing to get.
    timeout(DEADLINE, transfers.fetch_state(other, Vec::new(), Vec::new(), false)).await??;
    let ended = timeout(DEADLINE, first).await??;
    assert!(matches!(ended, Err(FetchError::Forgotten)), "{ended:?}");
    Ok(())
}
