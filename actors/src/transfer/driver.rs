//! The transfer thread: feeds the machines, runs their outputs in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use traind_protocol::ids::{ChunkId, Millis, NodeId};
use traind_protocol::ledger::Finding;
use traind_protocol::transfer::{
    Assembly, Chunk, ChunkOutcome, Donor, DonorInput, DonorOutput, Fetch, FetchInput, FetchOutput,
    TransferMessage, Verdict,
};
use traind_store::{Chunks, Manifest, StoreError};

use super::TransferParts;
use super::connections::Connections;
use super::fetching::{Fetching, Stage};
use super::held::HeldStates;
use super::messages::{
    CHUNK_MS_MAX, DONE_MAX, FETCHES_ACTIVE_MAX, FETCHES_MAX, FILE_THREADS, FetchError, Request,
    TransferInput, TransferStatus, What,
};
use super::serving::{say, serve};

/// Connections are looked at, and waits are ended, this often.
const TICK: Duration = Duration::from_millis(100);

/// What file work came to.
pub(super) enum Done {
    /// What of a fetch is missing here; `None` if its manifest is.
    Looked { what: What, missing: Result<Option<Vec<Chunk>>, FetchError> },
    /// A chunk that came was checked and written.
    Kept { what: What, from: NodeId, chunk: ChunkId, outcome: Result<(), StoreError> },
    /// All chunks of a manifest are here, and it says so.
    Finished { what: What, outcome: Result<(), FetchError> },
    /// A chunk was served.
    Served { to: NodeId, chunk: ChunkId, is_sent: bool },
    /// A manifest was served.
    ManifestServed { to: NodeId },
}

/// Everything that the thread owns.
pub(super) struct Driver {
    pub(super) parts: TransferParts,
    pub(super) told: watch::Sender<Vec<TransferStatus>>,
    pub(super) frames_dropped: Arc<AtomicU64>,
    pub(super) frames_dropped_seen: u64,
    pub(super) done: mpsc::Sender<Done>,
    pub(super) connections: Connections,
    /// In the order they came.
    pub(super) fetches: Vec<Fetching>,
    pub(super) assembly: Assembly,
    pub(super) donor: Donor,
    pub(super) held: Arc<HeldStates>,
    pub(super) stops: BTreeMap<(NodeId, ChunkId), Arc<AtomicBool>>,
    /// Who is sent a manifest: one at a time each.
    pub(super) manifests_served: BTreeSet<NodeId>,
}

/// Starts the thread, which ends when the inbox closes.
pub(super) fn start(
    parts: TransferParts,
    inbox: mpsc::Receiver<TransferInput>,
    told: watch::Sender<Vec<TransferStatus>>,
    (frames_dropped, held): (Arc<AtomicU64>, Arc<HeldStates>),
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(FILE_THREADS)
        .thread_name("chunk-files")
        .build()?;
    let (done, results) = mpsc::channel(DONE_MAX);
    let driver = Driver {
        parts,
        told,
        frames_dropped,
        frames_dropped_seen: 0,
        done,
        connections: Connections::default(),
        fetches: Vec::new(),
        assembly: Assembly::default(),
        donor: Donor::default(),
        held,
        stops: BTreeMap::new(),
        manifests_served: BTreeSet::new(),
    };
    std::thread::Builder::new().name("transfer".to_owned()).spawn(move || {
        runtime.block_on(driver.run(inbox, results));
        // File work that is under way is finished, so that the store can be closed behind it.
        runtime.shutdown_timeout(Duration::from_secs(5));
    })?;
    Ok(())
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::Receiver<TransferInput>, mut results: mpsc::Receiver<Done>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(done) = results.recv() => self.done(done),
                input = inbox.recv() => match input {
                    Some(input) => self.told(input),
                    None => break,
                },
                _ = tick.tick() => self.tick(),
            }
        }
        for fetching in self.fetches {
            fetching.end(Err(FetchError::Stopped));
        }
    }

    fn told(&mut self, input: TransferInput) {
        match input {
            TransferInput::Frame { from, header, payload } => match TransferMessage::decode(&header, payload)
            {
                Ok(message) => self.heard(from, message),
                Err(error) => {
                    tracing::debug!(peer = %from.short(), %error, "frame is no message about chunks")
                }
            },
            TransferInput::PathOpened(node) => {
                self.lost(node);
                self.joined(node);
            }
            TransferInput::Fetch(request) => self.requested(request),
            TransferInput::FetchState { state, chunks, only_these, request } => {
                self.state_requested(state, &chunks, only_these, request);
            }
            TransferInput::Forget(what) => self.end(what, Err(FetchError::Forgotten)),
            TransferInput::Damaged(chunk) => {
                self.parts.verdicts.note(self.parts.node, Finding::Damaged, chunk);
                self.requested(Request { what: What::Chunk(chunk), sources: Vec::new(), reply: None });
            }
        }
    }

    fn requested(&mut self, request: Request) {
        let Request { what, sources, reply } = request;
        if !self.fetches.iter().any(|fetching| fetching.what == what) {
            if self.fetches.len() >= FETCHES_MAX {
                if let Some(reply) = reply {
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(Err(FetchError::TooMany { fetches: self.fetches.len() }));
                }
                return;
            }
            self.fetches.push(Fetching::new(what, self.parts.clock.now()));
        }
        let me = self.parts.node;
        if let Some(fetching) = self.fetching(what) {
            fetching.sources.extend(sources.into_iter().filter(|node| *node != me));
            fetching.join(reply);
        }
        self.begin_waiting();
        self.offer_sources(what);
    }

    /// Begins fetches that wait, while there is room.
    fn begin_waiting(&mut self) {
        // A state is waited for by all members of its job: it takes no turn.
        let is_active = |fetching: &&Fetching| !matches!(fetching.stage, Stage::Waiting);
        let is_of_disk = |fetching: &&Fetching| !matches!(fetching.what, What::State(_));
        let active = self.fetches.iter().filter(is_active).filter(is_of_disk).count();
        let waiting: Vec<What> = self
            .fetches
            .iter()
            .filter(|fetching| !is_active(fetching))
            .map(|fetching| fetching.what)
            .take(FETCHES_ACTIVE_MAX.saturating_sub(active))
            .collect();
        waiting.into_iter().for_each(|what| self.look(what, None));
    }

    /// Looks at what is missing here; `manifest` is one that has come.
    pub(super) fn look(&mut self, what: What, manifest: Option<Manifest>) {
        if let Some(fetching) = self.fetching(what) {
            fetching.stage = Stage::Looking;
        }
        let chunks = Arc::clone(&self.parts.chunks);
        self.work(
            move || Done::Looked { what, missing: missing(&chunks, what, manifest) },
            Done::Looked { what, missing: Err(FetchError::Panicked) },
        );
    }

    /// Runs file work beside this thread; `panicked` is its result if it panics.
    pub(super) fn work(&self, work: impl FnOnce() -> Done + Send + 'static, panicked: Done) {
        let done = self.done.clone();
        tokio::spawn(async move {
            let result = tokio::task::spawn_blocking(work).await.unwrap_or(panicked);
            // The thread that waits for it has ended.
            let _ = done.send(result).await;
        });
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Looked { what, missing: Ok(None) } => {
                if let Some(fetching) = self.fetching(what) {
                    fetching.stage = Stage::Manifest { asked: None, deferred: BTreeMap::new() };
                }
                self.ask_for_manifests();
            }
            Done::Looked { what, missing: Ok(Some(missing)) } => {
                let fetch = Fetch::new(self.parts.node, &missing);
                if let Some(fetching) = self.fetching(what) {
                    fetching.stage = Stage::Chunks(Box::new(fetch));
                }
                self.offer_sources(what);
                self.feed(what, FetchInput::Tick);
            }
            Done::Looked { what, missing: Err(error) } => self.end(what, Err(error)),
            Done::Kept { what, from, chunk, outcome } => self.kept(what, from, chunk, outcome),
            Done::Finished { what, outcome } => {
                if let (What::Chunk(chunk), Ok(())) = (what, &outcome) {
                    self.parts.verdicts.note(self.parts.node, Finding::Replaced, chunk);
                }
                self.end(what, outcome);
            }
            Done::Served { to, chunk, is_sent } => {
                self.stops.remove(&(to, chunk));
                self.give(DonorInput::Served { to, chunk, is_sent });
            }
            Done::ManifestServed { to } => {
                self.manifests_served.remove(&to);
            }
        }
    }

    fn kept(&mut self, what: What, from: NodeId, chunk: ChunkId, outcome: Result<(), StoreError>) {
        let outcome = match outcome {
            Ok(()) => ChunkOutcome::Good,
            Err(StoreError::WrongContent { .. }) => ChunkOutcome::Differs,
            Err(error) => return self.end(what, Err(FetchError::Store(error))),
        };
        self.feed(what, FetchInput::Checked { from, chunk, outcome });
        // What is in memory alone is not on the disk for others.
        if outcome == ChunkOutcome::Good && !matches!(what, What::State(_)) {
            let all: Vec<What> = self.fetches.iter().map(|fetching| fetching.what).collect();
            let is_of_disk = |other: &What| *other != what && !matches!(other, What::State(_));
            for other in all.into_iter().filter(is_of_disk) {
                self.feed(other, FetchInput::Held(chunk));
            }
        }
    }

    pub(super) fn end(&mut self, what: What, outcome: Result<(), FetchError>) {
        let Some(position) = self.fetches.iter().position(|fetching| fetching.what == what) else { return };
        let fetching = self.fetches.remove(position);
        if let Err(error) = &outcome {
            tracing::warn!(?what, error = crate::session::chain_of(error), "fetch ended");
        }
        fetching.end(outcome);
        self.begin_waiting();
        self.publish();
    }

    pub(super) fn feed_all(&mut self, input: impl Fn() -> FetchInput) {
        let all: Vec<What> = self.fetches.iter().map(|fetching| fetching.what).collect();
        for what in all {
            self.feed(what, input());
        }
    }

    pub(super) fn feed(&mut self, what: What, input: FetchInput) {
        let now = self.parts.clock.now();
        let mut out = Vec::new();
        if let Some(Fetching { stage: Stage::Chunks(fetch), .. }) = self.fetching(what) {
            fetch.step(now, input, &mut out);
        }
        for output in out {
            match output {
                FetchOutput::Ask { to, chunk } => {
                    let message = TransferMessage::Ask { chunk: chunk.id, bytes: chunk.bytes };
                    say(&self.parts.network, to, message);
                }
                FetchOutput::Cancel { to, chunk } => {
                    self.assembly.forget(to, chunk);
                    say(&self.parts.network, to, TransferMessage::Cancel { chunk });
                }
                FetchOutput::Distrust { node, chunk, verdict } => {
                    tracing::error!(peer = %node, name = node.friendly_name(), %chunk, ?verdict, "a chunk was refused; nothing of this node is trusted here");
                    let finding = match verdict {
                        Verdict::WrongBytes => Finding::WrongBytes,
                        Verdict::WrongPieces => Finding::WrongPieces,
                    };
                    self.parts.verdicts.note(node, finding, chunk);
                    if let Some(fetching) = self.fetching(what) {
                        fetching.distrusted.insert(node);
                    }
                }
                FetchOutput::Complete => self.finish(what),
            }
        }
    }

    fn finish(&self, what: What) {
        let chunks = Arc::clone(&self.parts.chunks);
        let finish = move || {
            let outcome = match what {
                What::Manifest(manifest) => chunks.finish_manifest(manifest).map_err(FetchError::Store),
                What::Chunk(_) | What::State(_) => Ok(()),
            };
            Done::Finished { what, outcome }
        };
        self.work(finish, Done::Finished { what, outcome: Err(FetchError::Panicked) });
    }

    pub(super) fn give(&mut self, input: DonorInput) {
        let mut out = Vec::new();
        self.donor.step(input, &mut out);
        for output in out {
            match output {
                DonorOutput::Serve { to, chunk } => {
                    let stop = Arc::new(AtomicBool::new(false));
                    self.stops.insert((to, chunk.id), Arc::clone(&stop));
                    let network = self.parts.network.clone();
                    let sources = (Arc::clone(&self.held), Arc::clone(&self.parts.chunks));
                    let done = self.done.clone();
                    tokio::spawn(async move {
                        let is_sent = serve(network, sources, to, chunk, stop).await;
                        // The thread that waits for it has ended.
                        let _ = done.send(Done::Served { to, chunk: chunk.id, is_sent }).await;
                    });
                }
                DonorOutput::Stop { to, chunk } => {
                    if let Some(stop) = self.stops.get(&(to, chunk)) {
                        stop.store(true, Ordering::Release);
                    }
                }
                DonorOutput::Say { to, message } => say(&self.parts.network, to, message),
            }
        }
    }

    pub(super) fn look_at_connections(&mut self) {
        let (came, went) = self.connections.refresh(&self.parts.network);
        for node in went {
            self.lost(node);
        }
        for node in came {
            self.joined(node);
        }
    }

    fn tick(&mut self) {
        self.look_at_connections();
        let now = self.parts.clock.now();
        for what in self.given_up(now) {
            self.end(what, Err(FetchError::NoSource));
        }
        let is_due = |fetching: &&Fetching| matches!(&fetching.stage, Stage::Chunks(fetch) if fetch.deadline().is_some_and(|at| at <= now));
        let due: Vec<What> = self.fetches.iter().filter(is_due).map(|fetching| fetching.what).collect();
        for what in due {
            self.feed(what, FetchInput::Tick);
        }
        self.ask_for_manifests();
        self.publish();
    }

    /// Single chunks that nobody could give: they make room for others, and whoever finds them damaged asks again.
    fn given_up(&self, now: Millis) -> Vec<What> {
        let is_given_up = |fetching: &&Fetching| {
            matches!(fetching.what, What::Chunk(_)) && now.since(fetching.began_at) >= CHUNK_MS_MAX
        };
        self.fetches.iter().filter(is_given_up).map(|fetching| fetching.what).collect()
    }

    fn joined(&mut self, node: NodeId) {
        let may_have = |fetching: &&Fetching| fetching.sources.is_empty() || fetching.sources.contains(&node);
        let whats: Vec<What> = self.fetches.iter().filter(may_have).map(|fetching| fetching.what).collect();
        for what in whats {
            self.feed(what, FetchInput::SourceJoined(node));
        }
    }

    fn lost(&mut self, node: NodeId) {
        self.assembly.forget_sender(node);
        self.feed_all(|| FetchInput::SourceLost(node));
        self.give(DonorInput::ReceiverLost(node));
    }

    fn offer_sources(&mut self, what: What) {
        let Some(sources) = self.fetching(what).map(|fetching| fetching.sources.clone()) else { return };
        for node in self.connections.among(&sources) {
            self.feed(what, FetchInput::SourceJoined(node));
        }
    }

    pub(super) fn ask_for_manifests(&mut self) {
        let now = self.parts.clock.now();
        let mut asked = Vec::new();
        for fetching in &mut self.fetches {
            let connected = self.connections.among(&fetching.sources);
            if let (What::Manifest(manifest), Some(to)) =
                (fetching.what, fetching.manifest_source(now, &connected))
            {
                asked.push((to, manifest));
            }
        }
        for (to, manifest) in asked {
            say(&self.parts.network, to, TransferMessage::AskManifest { manifest });
        }
    }

    fn publish(&self) {
        let status: Vec<TransferStatus> = self.fetches.iter().map(Fetching::status).collect();
        self.told.send_if_modified(|told| {
            let changed = *told != status;
            *told = status;
            changed
        });
    }

    pub(super) fn fetching(&mut self, what: What) -> Option<&mut Fetching> {
        self.fetches.iter_mut().find(|fetching| fetching.what == what)
    }
}

/// What of a fetch is missing here; `None` if its manifest is.
fn missing(
    chunks: &Chunks,
    what: What,
    manifest: Option<Manifest>,
) -> Result<Option<Vec<Chunk>>, FetchError> {
    let chunk = |chunk: traind_store::ChunkRef| Chunk { id: chunk.id, bytes: chunk.bytes };
    match what {
        What::Manifest(id) => {
            if let Some(manifest) = manifest {
                chunks.begin_manifest(&manifest)?;
            }
            match chunks.missing_chunks(id) {
                Ok(missing) => Ok(Some(missing.into_iter().map(chunk).collect())),
                Err(StoreError::NoSuchManifest { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        What::Chunk(id) => {
            for record in chunks.manifests(None)? {
                // A damaged manifest names nothing.
                let Ok(manifest) = chunks.manifest(record.id) else { continue };
                if let Some(found) = manifest.chunks.iter().find(|chunk| chunk.id == id) {
                    return Ok(Some(vec![chunk(*found)]));
                }
            }
            Err(FetchError::NoSuchChunk { chunk: id })
        }
        // Nothing of it is on the disk.
        What::State(_) => Ok(Some(Vec::new())),
    }
}
