//! Everything that is opened before the actors start: data directory, identity, network.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use traind_actors::Parts;
use traind_actors::fatal::Fatal;
use traind_p2p::{DataEvent, Event, Handle, Identity, Options};
use traind_protocol::ids::{Boot, Life, SeatId, SwarmId};
use traind_protocol::succession::QuorumLossPolicy;
use traind_protocol::wire::control::Registration;
use traind_store::Store;

use super::leftovers::sweep_leftovers;
use crate::settings::Settings;

/// Where the swarm is kept in the store.
const SWARM_KEY: &str = traind_actors::network::SWARM_KEY;

/// Where the actors keep the seat; the network tells it in its hello.
const SEAT_KEY: &str = traind_actors::council::SEAT_KEY;

/// A node whose outside is open.
pub(super) struct Opened {
    pub(super) me: Life,
    pub(super) registration: Registration,
    pub(super) swarm: Option<SwarmId>,
    pub(super) network: Handle,
    memory_bytes_max: Option<u64>,
    data_set_bytes_max: Option<u64>,
    microbatch_time_min: Duration,
    spares_upload: bool,
    on_quorum_loss: QuorumLossPolicy,
    found: Option<SwarmId>,
    events: mpsc::Receiver<Event>,
    data: mpsc::Receiver<DataEvent>,
    store: Arc<Store>,
}

impl Opened {
    /// Opens the data directory and starts the network.
    ///
    /// # Errors
    /// When the directory is another daemon's or of another version, or an address cannot be listened on.
    pub(super) fn open(settings: &Settings, threads: usize) -> anyhow::Result<Self> {
        let store = Store::open(&settings.data_dir)
            .with_context(|| format!("opening the data directory {}", settings.data_dir.display()))?;
        let store = Arc::new(store);
        sweep_leftovers(&settings.data_dir);
        let identity =
            Identity::load_or_create(&store.identity_path()).context("reading this node's identity")?;
        let me = Life { node: identity.node(), boot: fresh_boot() };
        let numeric_class = traind_training::numeric_class(&settings.device);
        let registration = Registration {
            boot: me.boot,
            numeric_class: numeric_class.clone(),
            device: settings.device.clone(),
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            failure_label: settings.failure_label.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let remembered_swarm = bytes32(&store, SWARM_KEY)?.map(SwarmId);
        let seat = seat(&store)?;
        remember(&store, settings.network.swarm, remembered_swarm)?;
        let mut swarm = settings.network.swarm.or(remembered_swarm);
        let mut found = None;
        if swarm.is_none() && settings.network.peers.is_empty() {
            let founded = SwarmId(*blake3::hash(&me.node.0).as_bytes());
            store.put_local(SWARM_KEY, &founded.0).context("remembering the swarm")?;
            tracing::info!(swarm = %founded, "founding a swarm");
            (swarm, found) = (Some(founded), Some(founded));
        } else if seat.is_none() && swarm == Some(SwarmId(*blake3::hash(&me.node.0).as_bytes())) {
            // Founded before, but stopped before the council's first record was on disk.
            found = swarm;
        }
        let options = Options {
            seat: seat.unwrap_or_default(),
            swarm,
            listen: settings.network.listen.clone(),
            peers: settings.network.peers.clone(),
            remembered: store.remembered_peers().context("reading remembered peers")?,
            mdns: settings.network.mdns,
            kademlia: settings.network.kademlia,
            interfaces_excluded: settings.network.interfaces_excluded.clone(),
            upload_bytes_per_second_max: settings.limits.upload_bytes_per_second_max,
            chunk_bytes_per_second_max: settings.limits.transfer_bytes_per_second_max,
            numeric_class,
            loopback_only: settings.dev,
            ..Options::new(identity, me.boot)
        };
        let (network, events, data) = traind_p2p::start(options).context("starting the network")?;
        let memory_bytes_max = settings.limits.memory_bytes_max;
        let microbatch_time_min = settings.limits.micro_batch_time_min;
        Ok(Self {
            me,
            registration,
            swarm,
            network,
            memory_bytes_max,
            data_set_bytes_max: settings.limits.data_set_bytes_max,
            microbatch_time_min,
            spares_upload: settings.limits.upload_bytes_per_second_max.is_some(),
            on_quorum_loss: settings.on_quorum_loss,
            found,
            events,
            data,
            store,
        })
    }

    /// The store, for whoever exports checkpoints and takes models in.
    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// What the actors take over.
    pub(super) fn into_parts(self, fatal: Fatal) -> Parts {
        Parts {
            me: self.me,
            registration: self.registration,
            found: self.found,
            network: self.network,
            events: self.events,
            data: self.data,
            store: self.store,
            memory_bytes_max: self.memory_bytes_max,
            data_set_bytes_max: self.data_set_bytes_max,
            microbatch_time_min: self.microbatch_time_min,
            spares_upload: self.spares_upload,
            on_quorum_loss: self.on_quorum_loss,
            fatal,
        }
    }
}

/// Keeps a swarm that the settings name, so that a start without them founds no other. What the data directory holds is of
/// one swarm.
fn remember(store: &Store, named: Option<SwarmId>, remembered: Option<SwarmId>) -> anyhow::Result<()> {
    match (named, remembered) {
        (Some(named), None) => store.put_local(SWARM_KEY, &named.0).context("remembering the swarm"),
        (Some(named), Some(remembered)) if named != remembered => bail!(
            "the data directory is of swarm {remembered}, and `network.swarm` is {named}: name its own swarm or none, or \
             start with another data directory"
        ),
        _ => Ok(()),
    }
}

/// A nonce for this process: the standard library seeds its hashers from the system's randomness.
fn fresh_boot() -> Boot {
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    Boot(hasher.finish())
}

fn bytes32(store: &Store, key: &str) -> anyhow::Result<Option<[u8; 32]>> {
    let stored = store.get_local(key).with_context(|| format!("reading {key} from the store"))?;
    stored
        .map(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).with_context(|| format!("{key} in the store")))
        .transpose()
}

fn seat(store: &Store) -> anyhow::Result<Option<SeatId>> {
    let stored = store.get_local(SEAT_KEY).context("reading the seat from the store")?;
    let seat = stored
        .map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).context("the seat in the store"))
        .transpose()?;
    Ok(seat.map(|bytes| SeatId(u64::from_le_bytes(bytes))))
}
