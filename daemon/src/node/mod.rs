//! The composition root: opens the store, starts network and actors, serves the control socket, stops all in reverse.

mod api_views;
mod backend;
mod council_events;
mod drains;
mod figures;
mod follow;
mod history;
mod leaving;
mod ledger_events;
mod leftovers;
mod observation;
mod opened;
mod store_events;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use traind_actors::NodeActors;
use traind_actors::fatal::Fatal;

use crate::control::ControlServer;
use crate::observe::{LogRing, MetricsServer};
use crate::ready::{ReadyLine, announce};
use crate::service::{Liveness, ServiceNotifier, run_watchdog, status_words, tell_status, tell_stopping};
use crate::settings::{SettingOrigin, Settings};
use crate::stop_signal::{StopHandle, StopSignal};
use backend::Backend;
use figures::Figures;
use leaving::{Leave, leave};
use observation::Observation;
use opened::Opened;

/// How long the first listening address may take: binding a socket is a matter of milliseconds.
const LISTENING_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a part may take to say that it is there: the slowest writes a checkpoint meanwhile.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// What the command line gives to a node.
pub struct Launch {
    /// The settings.
    pub settings: Settings,
    /// Where each came from.
    pub origins: Vec<SettingOrigin>,
    /// Who tells it to stop.
    pub stop: StopSignal,
    /// The service manager.
    pub notifier: ServiceNotifier,
    /// The latest records of the log.
    pub logs: LogRing,
}

/// Where in the data directory tokenizers are kept that jobs train.
const TOKENIZERS_DIRECTORY: &str = "tokenizers";

/// Runs one daemon until it is told to stop, leaves its swarm, or something it cannot do without fails.
///
/// # Errors
/// When the data directory, the network or the control socket cannot be opened, or a part died for good.
pub fn run(launch: Launch) -> anyhow::Result<()> {
    let started = Instant::now();
    let threads = match launch.settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    traind_training::set_threads(threads);
    let opened = Opened::open(&launch.settings, threads)?;
    traind_training::set_tokenizer_cache(&launch.settings.data_dir.join(TOKENIZERS_DIRECTORY));
    let node = opened.me.node;
    tracing::info!(node = %node, name = node.friendly_name(), threads, "traind starts");
    actix::System::new().block_on(serve(launch, threads, opened, started))
}

async fn serve(launch: Launch, threads: usize, opened: Opened, started: Instant) -> anyhow::Result<()> {
    let Launch { settings, origins, mut stop, notifier, logs } = launch;
    let (fatal, mut raised) = Fatal::channel();
    let network = opened.network.clone();
    let (swarm, store) = (opened.swarm, opened.store());
    let numeric_class = opened.registration.numeric_class.clone();
    let actors = traind_actors::start(opened.into_parts(fatal)).context("starting the node")?;
    let observation = Observation::start(&settings, logs, &actors.view)?;
    let facts = backend::Facts {
        swarm,
        threads,
        numeric_class,
        origins,
        store,
        logs: observation.logs.clone(),
        events: observation.events.clone(),
        recorder: observation.recorder(),
        started,
    };
    let (stop_server, server_stopped) = StopHandle::new();
    let (leaves, mut left) = StopHandle::new();
    let server = ControlServer::bind(&settings.control_socket)
        .with_context(|| format!("opening the control socket {}", settings.control_socket.display()))?;
    let backend = Arc::new(Backend::new(actors.clone(), network.clone(), &settings, facts, leaves));
    let serving = actix::spawn(server.serve(Arc::clone(&backend), server_stopped.clone()));
    let scraped = serve_metrics(&settings, &backend, server_stopped.clone()).await?;
    let address = first_address(&actors).await?;
    let line = ReadyLine { socket: settings.control_socket.clone(), address, node: actors.node.to_hex() };
    announce(&settings.ready, &line).context("telling that the daemon is ready")?;
    tracing::info!(address = line.address, socket = %line.socket.display(), "ready");
    notifier.ready("started, looks for its peers");
    let reason = tokio::select! {
        () = stop.stopped() => {
            let patience = settings.stop.drain_max;
            leave_in_order(&actors, &backend, &notifier, patience, &mut stop).await;
            None
        }
        () = left.stopped() => None,
        reason = raised.recv() => reason,
        () = stay_alive(&actors, &backend, &notifier) => None,
    };
    tracing::info!("stopping");
    notifier.stopping("stopping");
    stop_server.stop();
    actors.stop().await;
    // The server ends by itself once it was told; a panic in it is no reason not to stop.
    let _ = serving.await;
    if let Some(scraped) = scraped {
        let _ = scraped.await;
    }
    observation.stop().await;
    network.shutdown();
    match reason {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}

/// Answers scrapes, where that is wanted.
async fn serve_metrics(
    settings: &Settings,
    backend: &Arc<Backend>,
    stop: StopSignal,
) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
    let Some(address) = settings.metrics.listen else { return Ok(None) };
    let server = MetricsServer::bind(address).await.context("opening metrics.listen")?;
    tracing::info!(address = %server.local_address(), "metrics are answered");
    let source = Arc::new(Figures { backend: Arc::clone(backend) });
    Ok(Some(actix::spawn(server.serve(source, stop))))
}

/// Tells the service manager how the daemon is, for ever.
async fn stay_alive(actors: &NodeActors, backend: &Backend, notifier: &ServiceNotifier) {
    let words = || status_words(&backend.present_status());
    tokio::join!(
        tell_status(notifier.clone(), words),
        run_watchdog(notifier.clone(), Probe { actors: actors.clone() }),
        std::future::pending::<()>(),
    );
}

/// Hands over what this node does, and tells the service manager what that waits for.
async fn leave_in_order(
    actors: &NodeActors,
    backend: &Backend,
    notifier: &ServiceNotifier,
    patience: Duration,
    stop: &mut StopSignal,
) {
    let words = || format!("handing over work: {}", backend.waits_for().join(", "));
    let telling = async {
        tell_stopping(notifier.clone(), words).await;
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = leave(actors, patience, stop) => outcome,
        () = telling => return,
    };
    match outcome {
        Leave::Done => tracing::info!("nothing of this node is needed any more"),
        Leave::CutShort { by, waits_for } => {
            tracing::warn!(by, waits_for = waits_for.join(", "), "stopping with work not handed over");
        }
    }
}

/// Whether the parts of this daemon answer.
struct Probe {
    actors: NodeActors,
}

impl Liveness for Probe {
    async fn unanswered(&self) -> Vec<&'static str> {
        self.actors.unanswered(ANSWER_WAIT_MAX).await
    }
}

/// Waits until the network listens; before that nobody could be told how to reach this node.
async fn first_address(actors: &NodeActors) -> anyhow::Result<String> {
    let mut reachability = actors.reachability.clone();
    let known =
        tokio::time::timeout(LISTENING_WAIT_MAX, reachability.wait_for(|known| !known.listening.is_empty()));
    let known = known.await.context("the network does not listen on any address: check network.listen")??;
    Ok(known.listening[0].clone())
}
