//! The composition root: opens the store, starts network and actors, serves the control socket, stops all in reverse.

mod api_views;
mod backend;
mod follow;
mod history;
mod opened;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use traind_actors::NodeActors;
use traind_actors::fatal::Fatal;

use crate::control::ControlServer;
use crate::ready::{ReadyLine, announce};
use crate::service::ServiceNotifier;
use crate::settings::Settings;
use crate::stop_signal::{StopHandle, StopSignal};
use backend::Backend;
use opened::Opened;

/// How long the first listening address may take: binding a socket is a matter of milliseconds.
const LISTENING_WAIT_MAX: Duration = Duration::from_secs(5);

/// Runs one daemon until `stop` is told or something it cannot do without fails.
///
/// # Errors
/// When the data directory, the network or the control socket cannot be opened, or a part died for good.
pub fn run(settings: Settings, stop: StopSignal, notifier: ServiceNotifier) -> anyhow::Result<()> {
    let started = Instant::now();
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    traind_training::set_threads(threads);
    let opened = Opened::open(&settings)?;
    let node = opened.me.node;
    tracing::info!(node = %node, name = node.friendly_name(), threads, "traind starts");
    actix::System::new().block_on(serve(settings, threads, opened, stop, notifier, started))
}

async fn serve(
    settings: Settings,
    threads: usize,
    opened: Opened,
    mut stop: StopSignal,
    notifier: ServiceNotifier,
    started: Instant,
) -> anyhow::Result<()> {
    let (fatal, mut raised) = Fatal::channel();
    let network = opened.network.clone();
    let (swarm, numeric_class) = (opened.swarm, opened.registration.numeric_class.clone());
    let actors = traind_actors::start(opened.into_parts(fatal)).context("starting the node")?;
    let (stop_server, server_stopped) = StopHandle::new();
    let server = ControlServer::bind(&settings.control_socket)
        .with_context(|| format!("opening the control socket {}", settings.control_socket.display()))?;
    let facts = backend::Facts { swarm, threads, numeric_class, started };
    let backend = Arc::new(Backend::new(actors.clone(), network.clone(), &settings, facts));
    let serving = actix::spawn(server.serve(backend, server_stopped));
    let address = first_address(&actors).await?;
    let line = ReadyLine { socket: settings.control_socket.clone(), address, node: actors.node.to_hex() };
    announce(&settings.ready, &line).context("telling that the daemon is ready")?;
    tracing::info!(address = line.address, socket = %line.socket.display(), "ready");
    notifier.ready("started, looks for its peers");
    let reason = tokio::select! {
        () = stop.stopped() => None,
        reason = raised.recv() => reason,
    };
    tracing::info!("stopping");
    notifier.stopping("stopping");
    stop_server.stop();
    actors.stop().await;
    // The server ends by itself once it was told; a panic in it is no reason not to stop.
    let _ = serving.await;
    network.shutdown();
    match reason {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
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
