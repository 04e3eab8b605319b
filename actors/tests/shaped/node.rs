//! A node on one of the hosts: it holds a state, or fetches it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;
use traind_actors::clock::Clock;
use traind_actors::network::route_frames;
use traind_actors::transfer::{TransferParts, Transfers};
use traind_p2p::{Event, Handle, Identity, Options};
use traind_protocol::ids::{Boot, Chain, ChunkId, Digest, JobId, ManifestId, SeatId, StateId, SwarmId};
use traind_protocol::transfer::Chunk;
use traind_store::{CHUNK_BYTES_MAX, Store};

/// Nothing takes longer, unless the machine is overloaded.
const PATIENCE: Duration = Duration::from_secs(300);
const JOB: JobId = JobId([7; 8]);
const STATE: StateId = StateId([8; 32]);

/// What a child is told.
pub(crate) struct Orders {
    pub(crate) folder: String,
    pub(crate) ip: String,
    /// Whom to join; the receiver is the first and joins nobody.
    pub(crate) peer: Option<String>,
    pub(crate) chunks: usize,
}

impl Orders {
    pub(crate) fn write(&self) -> Vec<String> {
        let mut words =
            vec!["node".to_owned(), self.folder.clone(), self.ip.clone(), self.chunks.to_string()];
        words.extend(self.peer.clone());
        words
    }

    pub(crate) fn read(words: &[String]) -> anyhow::Result<Self> {
        let [folder, ip, chunks, rest @ ..] = words else { bail!("too few words: {words:?}") };
        Ok(Self {
            folder: folder.clone(),
            ip: ip.clone(),
            chunks: chunks.parse()?,
            peer: rest.first().cloned(),
        })
    }
}

/// The state that every holder has.
fn state(chunks: usize) -> Vec<u8> {
    let mut bytes = vec![0; chunks * CHUNK_BYTES_MAX];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// The same in chunks.
fn pieces(chunks: usize) -> Vec<(Chunk, Bytes)> {
    let state = Bytes::from(state(chunks));
    let piece = |piece: &[u8]| {
        let id = ChunkId(*blake3::hash(piece).as_bytes());
        (Chunk { id, bytes: piece.len() as u32 }, state.slice_ref(piece))
    };
    state.chunks(CHUNK_BYTES_MAX).map(piece).collect()
}

/// Runs until its input closes.
pub(crate) fn run(orders: &Orders) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(orders))
}

async fn serve(orders: &Orders) -> anyhow::Result<()> {
    let store = Arc::new(Store::open(Path::new(&orders.folder))?);
    let boot = u64::from(std::process::id());
    let options = Options {
        seat: SeatId(boot),
        swarm: Some(SwarmId([7; 32])),
        listen: vec![format!("/ip4/{}/tcp/0", orders.ip)],
        peers: orders.peer.clone().into_iter().collect(),
        mdns: false,
        kademlia: false,
        numeric_class: "test".to_owned(),
        ..Options::new(Identity::load_or_create(&store.identity_path())?, Boot(boot))
    };
    let (network, mut events, data) = traind_p2p::start(options)?;
    let listening = async {
        loop {
            match events.recv().await.context("the network ended")? {
                Event::Listening { address } => return anyhow::Ok(address),
                _ => {}
            }
        }
    };
    let address = timeout(PATIENCE, listening).await??;
    let parts = TransferParts {
        node: network.node(),
        clock: Clock::start(),
        network: network.clone(),
        chunks: Arc::clone(store.chunks()),
        verdicts: traind_actors::replicas::Verdicts::new(network.node()),
    };
    let transfers = Transfers::start(parts)?;
    let (_none, session) = watch::channel(None);
    route_frames(data, session, transfers.clone())?;
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    if orders.peer.is_some() {
        let record =
            store.write_checkpoint(JOB, 1, Chain([1; 32]), Digest([2; 32]), &state(orders.chunks))?;
        let chunks = pieces(orders.chunks).into_iter().map(|(chunk, content)| (chunk.id, content));
        transfers.held().hold(STATE, chunks);
        println!("holds {}", record.manifest.to_hex());
        // Until this process is killed.
        std::future::pending::<()>().await;
    }
    println!("listening {address}");
    receive(orders, &store, &transfers, &network).await
}

/// Fetches what the standard input names: a manifest, from an empty store, or with `state` the state in memory, as a joiner.
async fn receive(
    orders: &Orders,
    store: &Store,
    transfers: &Transfers,
    network: &Handle,
) -> anyhow::Result<()> {
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line)? > 0 {
        let what = line.trim().to_owned();
        line.clear();
        let meeting = async {
            while network.peers().len() < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, meeting).await.context("three holders did not come")?;
        let list: Vec<Chunk> = pieces(orders.chunks).into_iter().map(|(chunk, _)| chunk).collect();
        println!("begins");
        let begun = Instant::now();
        let (summary, seconds, found) = if what == "state" {
            let sources = network.peers().into_iter().map(|peer| peer.node).collect();
            transfers.held().begin(STATE, &list);
            let fetching = transfers.fetch_state(STATE, list.clone(), sources, false);
            let summary = timeout(PATIENCE, fetching).await??;
            let seconds = begun.elapsed().as_secs_f64();
            let found = list.iter().filter_map(|chunk| transfers.held().get(chunk.id)).flatten().collect();
            (summary, seconds, found)
        } else {
            let manifest = ManifestId::from_hex(&what).context("no manifest")?;
            let summary = timeout(PATIENCE, transfers.fetch(manifest, Vec::new())).await??;
            let seconds = begun.elapsed().as_secs_f64();
            (summary, seconds, store.read_checkpoint(JOB, 1)?.1)
        };
        if found != state(orders.chunks) {
            bail!("another state came than was asked for");
        }
        println!("fetched {seconds} {} {}", summary.bytes, summary.bytes_wasted);
    }
    Ok(())
}
