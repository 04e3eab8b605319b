//! Nodes with a network, a store and a transfer thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use traind_p2p::{DataEvent, Event, Handle, Identity, Options};
use traind_protocol::ids::{Boot, Chain, Digest, JobId, ManifestId, NodeId, SeatId, SwarmId};
use traind_store::{CHUNK_BYTES_MAX, Store};

use crate::clock::Clock;
use crate::network::route_frames;
use crate::replicas::Verdicts;
use crate::transfer::{TransferParts, Transfers};

/// Nothing in these tests takes longer, unless the machine is overloaded.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The job that all checkpoints here are of.
pub(crate) const JOB: JobId = JobId([7; 8]);

/// A network, and what it tells.
pub(crate) struct Net {
    pub(crate) handle: Handle,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) data: mpsc::Receiver<DataEvent>,
    pub(crate) address: String,
}

/// Starts the network of a node that knows `peers`.
pub(crate) async fn network(key: &Path, boot: u64, peers: &[String]) -> anyhow::Result<Net> {
    let identity = Identity::load_or_create(key)?;
    let options = Options {
        seat: SeatId(boot),
        swarm: Some(SwarmId([7; 32])),
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        peers: peers.to_vec(),
        mdns: false,
        kademlia: false,
        numeric_class: "test".to_owned(),
        loopback_only: true,
        ..Options::new(identity, Boot(boot))
    };
    let (handle, mut events, data) = traind_p2p::start(options)?;
    let listening = async {
        loop {
            match events.recv().await {
                Some(Event::Listening { address }) => return Ok(address),
                Some(_) => {}
                None => bail!("the network ended"),
            }
        }
    };
    let address = timeout(DEADLINE, listening).await??;
    Ok(Net { handle, events, data, address })
}

/// A node. Its network stops when it is dropped.
pub(crate) struct Node {
    pub(crate) store: Arc<Store>,
    pub(crate) transfers: Transfers,
    pub(crate) verdicts: Verdicts,
    pub(crate) network: Handle,
    pub(crate) address: String,
    pub(crate) folder: PathBuf,
}

impl Node {
    pub(crate) async fn start(
        folder: &TempDir,
        name: &str,
        boot: u64,
        peers: &[String],
    ) -> anyhow::Result<Self> {
        let folder = folder.path().join(name);
        let store = Arc::new(Store::open(&folder)?);
        let net = network(&store.identity_path(), boot, peers).await?;
        let verdicts = Verdicts::new(net.handle.node());
        let parts = TransferParts {
            node: net.handle.node(),
            clock: Clock::start(),
            network: net.handle.clone(),
            chunks: Arc::clone(store.chunks()),
            verdicts: verdicts.clone(),
        };
        let transfers = Transfers::start(parts)?;
        let (_none, session) = watch::channel(None);
        route_frames(net.data, session, transfers.clone())?;
        // Events of the control plane are nobody's here.
        let mut events = net.events;
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        Ok(Self { store, transfers, verdicts, network: net.handle, address: net.address, folder })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.network.node()
    }

    /// Writes a checkpoint of `chunks` chunks; all nodes write the same.
    pub(crate) fn write(&self, chunks: usize) -> anyhow::Result<ManifestId> {
        let state = state(chunks);
        let record = self.store.write_checkpoint(JOB, 5, Chain([1; 32]), Digest([2; 32]), &state)?;
        Ok(record.manifest)
    }

    /// Whether the checkpoint is here, byte for byte.
    pub(crate) fn holds(&self, chunks: usize) -> bool {
        self.store.read_checkpoint(JOB, 5).is_ok_and(|(_, found)| found == state(chunks))
    }

    /// Waits until `count` peers are joined.
    pub(crate) async fn meets(&self, count: usize) -> anyhow::Result<()> {
        let meeting = async {
            while self.network.peers().len() < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, meeting).await.context("peers were not met")
    }
}

/// Bytes that no compression and no repetition helps with.
pub(crate) fn state(chunks: usize) -> Vec<u8> {
    let mut bytes = vec![0; chunks * CHUNK_BYTES_MAX - 5];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}
