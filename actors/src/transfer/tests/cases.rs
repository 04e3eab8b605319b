use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tempfile::tempdir;
use tokio::time::timeout;
use traind_p2p::DataEvent;
use traind_protocol::ids::ManifestId;
use traind_protocol::ledger::{Finding, Verdict};
use traind_protocol::transfer::{PIECE_BYTES_MAX, TransferMessage};
use traind_store::{CHUNK_BYTES_MAX, Manifest};

use super::node::{DEADLINE, JOB, Net, Node, network};
use crate::transfer::{FetchError, What};

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Looks until it is so: what is looked at here are figures that people ask for, of which nothing tells that they changed.
pub(super) async fn until(is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    Ok(timeout(DEADLINE, looking).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_comes_from_three_holders_and_resumes() -> anyhow::Result<()> {
    const CHUNKS: usize = 9;
    let folder = tempdir()?;
    let receiver = Node::start(&folder, "receiver", 1, &[]).await?;
    let mut holders = Vec::new();
    let mut manifest = ManifestId([0; 32]);
    for boot in 2..5 {
        let peers = [receiver.address.clone()];
        let holder = Node::start(&folder, &boot.to_string(), boot, &peers).await?;
        manifest = holder.write(CHUNKS)?;
        // Alike: at full speed two may have given all while the machine has the third wait.
        holder.network.set_chunk_bytes_per_second_max(Some(24 << 20));
        holders.push(holder);
    }
    receiver.meets(3).await?;
    // Two of its chunks are here from an attempt before.
    let (_, list) = holders[0].store.checkpoint_manifest(JOB, 5)?;
    receiver.store.chunks().begin_manifest(&list)?;
    let mut lease = receiver.store.chunks().lease();
    for chunk in &list.chunks[..2] {
        receiver.store.chunks().put_named(&mut lease, chunk.id, &holders[0].store.chunks().get(chunk.id)?)?;
    }
    drop(lease);
    let sources = holders.iter().map(Node::id).collect();
    timeout(DEADLINE, receiver.transfers.fetch(manifest, sources)).await??;
    assert!(receiver.holds(CHUNKS));
    let sent: Vec<u64> =
        holders.iter().map(|holder| holder.network.counters().data_payload_bytes_sent).collect();
    let total: u64 = sent.iter().sum();
    let missing = (CHUNKS - 2) * CHUNK_BYTES_MAX;
    assert!(sent.iter().all(|bytes| *bytes >= CHUNK_BYTES_MAX as u64), "each gave some: {sent:?}");
    assert!(total < missing as u64 + (2 * CHUNK_BYTES_MAX) as u64, "nothing came twice: {total}");
    assert!(receiver.transfers.status().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_dies_and_its_chunks_come_from_another() -> anyhow::Result<()> {
    const CHUNKS: usize = 12;
    let folder = tempdir()?;
    let receiver = Node::start(&folder, "receiver", 1, &[]).await?;
    let peers = [receiver.address.clone()];
    let dying = Node::start(&folder, "dying", 2, &peers).await?;
    let living = Node::start(&folder, "living", 3, &peers).await?;
    let manifest = dying.write(CHUNKS)?;
    living.write(CHUNKS)?;
    receiver.meets(2).await?;
    // Slow enough to be caught in the middle.
    dying.network.set_chunk_bytes_per_second_max(Some(4 << 20));
    living.network.set_chunk_bytes_per_second_max(Some(24 << 20));
    let fetching = receiver.transfers.clone();
    let sources = vec![dying.id(), living.id()];
    let fetch = tokio::spawn(async move { fetching.fetch(manifest, sources).await });
    let mid = async {
        while dying.network.counters().data_payload_bytes_sent == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, mid).await?;
    tokio::task::spawn_blocking(move || dying.network.shutdown()).await?;
    timeout(DEADLINE, fetch).await???;
    assert!(receiver.holds(CHUNKS));
    Ok(())
}

/// Answers every question for a chunk with zeros, and for a manifest with the right one. An answer that finds no connection, as
/// where a machine that stood still for a moment was taken for gone, is none; the question comes again.
pub(super) async fn lie(mut liar: Net, list: Option<Manifest>) -> anyhow::Result<()> {
    while let Some(event) = liar.data.recv().await {
        let DataEvent::Frame { from, header, payload, .. } = event else { continue };
        let say = |message: TransferMessage| liar.handle.send_data_behind(from, message.encode());
        match TransferMessage::decode(&header, payload)? {
            TransferMessage::AskManifest { manifest } => {
                let Some(list) = &list else { continue };
                let _ = say(TransferMessage::Manifest { manifest, text: list.encode()?.1.into() }).await;
            }
            TransferMessage::Ask { chunk, bytes } => {
                let mut offset = 0;
                while offset < bytes {
                    let length = PIECE_BYTES_MAX.min(bytes - offset);
                    let zeros = Bytes::from(vec![0; length as usize]);
                    if say(TransferMessage::Piece { chunk, offset, bytes: zeros }).await.is_err() {
                        break;
                    }
                    offset += length;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_other_bytes_is_named_and_the_rest_is_enough() -> anyhow::Result<()> {
    const CHUNKS: usize = 6;
    let folder = tempdir()?;
    let receiver = Node::start(&folder, "receiver", 1, &[]).await?;
    let peers = [receiver.address.clone()];
    let honest = Node::start(&folder, "honest", 2, &peers).await?;
    let manifest = honest.write(CHUNKS)?;
    // So slow that the liar is asked for the rest, until it has been found out.
    honest.network.set_chunk_bytes_per_second_max(Some(1 << 20));
    let liar = network(&folder.path().join("liar"), 3, &peers).await?;
    let liar_id = liar.handle.node();
    let (_, list) = honest.store.checkpoint_manifest(JOB, 5)?;
    let lying = tokio::spawn(lie(liar, Some(list)));
    receiver.meets(2).await?;
    let fetching = receiver.transfers.clone();
    let fetch = tokio::spawn(async move { fetching.fetch(manifest, Vec::new()).await });
    until(|| receiver.transfers.status().iter().any(|fetch| fetch.distrusted == [liar_id]))
        .await
        .with_context(|| format!("nobody is distrusted: {:?}", receiver.transfers.status()))?;
    assert_eq!(receiver.transfers.status()[0].what, What::Manifest(manifest));
    honest.network.set_chunk_bytes_per_second_max(None);
    timeout(DEADLINE, fetch).await???;
    assert!(receiver.holds(CHUNKS));
    let told = receiver.verdicts.waiting();
    let is_about_liar = |verdict: &&Verdict| {
        (verdict.node, verdict.by, verdict.finding) == (liar_id, receiver.id(), Finding::WrongBytes)
    };
    assert_eq!(told.iter().filter(is_about_liar).count(), told.len(), "{told:?}");
    assert!(!told.is_empty(), "the ledger is to name who sent other bytes");
    lying.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_on_disk_is_mended_from_a_replica() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let one = Node::start(&folder, "one", 1, &[]).await?;
    let two = Node::start(&folder, "two", 2, std::slice::from_ref(&one.address)).await?;
    one.write(3)?;
    two.write(3)?;
    one.meets(1).await?;
    let (_, list) = one.store.checkpoint_manifest(JOB, 5)?;
    let chunk = list.chunks[1].id;
    let file = find(&one.folder, &chunk.to_hex())?;
    let mut bytes = fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes)?;
    assert!(one.store.chunks().verify(chunk).is_err());
    until(|| !one.store.chunks().damaged().contains(&chunk)).await?;
    assert!(one.holds(3));
    until(|| one.verdicts.waiting().len() >= 2).await?;
    let told: Vec<_> =
        one.verdicts.waiting().iter().map(|said| (said.node, said.finding, said.object)).collect();
    assert_eq!(told, [(one.id(), Finding::Damaged, chunk), (one.id(), Finding::Replaced, chunk)]);
    Ok(())
}

/// The file whose name begins so.
fn find(folder: &std::path::Path, beginning: &str) -> anyhow::Result<std::path::PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Ok(found) = find(&path, beginning) {
                return Ok(found);
            }
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)) {
            return Ok(path);
        }
    }
    anyhow::bail!("no file {beginning}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_needs_any_more_is_not_waited_for() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let alone = Node::start(&folder, "alone", 1, &[]).await?;
    let manifest = ManifestId([9; 32]);
    let fetching = alone.transfers.clone();
    let fetch = tokio::spawn(async move { fetching.fetch(manifest, Vec::new()).await });
    until(|| !alone.transfers.status().is_empty()).await?;
    alone.transfers.forget(manifest);
    let ended = timeout(DEADLINE, fetch).await??;
    assert!(matches!(ended, Err(FetchError::Forgotten)), "{ended:?}");
    Ok(())
}
