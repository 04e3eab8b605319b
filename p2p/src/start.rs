//! Starting the network: everything that can fail, fails here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use libp2p::Multiaddr;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use crate::address;
use crate::bulk::TlsTransport;
use crate::bulk::tls::Credentials;
use crate::dial_words::root_of;
use crate::event::{DataEvent, Event};
use crate::handle::{Handle, Settings};
use crate::interfaces::InterfaceNames;
use crate::limits::{
    COMMANDS_MAX, DATA_EVENTS_MAX, EVENTS_MAX, NUMERIC_CLASS_BYTES_MAX, SHUTDOWN_TIMEOUT, WORKER_THREADS,
};
use crate::listening::{ListenError, try_listen};
use crate::options::Options;
use crate::registry::Shared;
use crate::swarm::{Channels, Driver, Publish, build};

/// An error of a library below, kept as the cause only.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the network did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address of `listen` is no multiaddr.
    #[error("listen address '{address}'")]
    ListenAddress {
        /// The text.
        address: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// An address of `peers` cannot be dialled.
    #[error("peer address '{address}'")]
    PeerAddress {
        /// The text.
        address: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// The numeric class does not fit a hello.
    #[error("numeric class of {bytes} bytes, {NUMERIC_CLASS_BYTES_MAX} are allowed")]
    NumericClass {
        /// Its length.
        bytes: usize,
    },
    /// Threads or the runtime could not be made.
    #[error("start network threads")]
    Threads(#[source] io::Error),
    /// The certificate of the bulk connections could not be made.
    #[error("set up bulk connections")]
    Tls(#[source] Cause),
    /// The bulk listener could not be made.
    #[error("open bulk listener on '{ip}'")]
    BulkListen {
        /// Where.
        ip: IpAddr,
        /// What is wrong with it, and what to do about it.
        #[source]
        source: ListenError,
    },
    /// Bulk connections could not be served.
    #[error("serve bulk connections")]
    Bulk(#[source] Cause),
    /// The swarm could not be built.
    #[error("build swarm")]
    Swarm(#[source] Cause),
    /// Nothing can listen there.
    #[error("listen on '{address}'")]
    Listen {
        /// The address.
        address: String,
        /// What is wrong with it, and what to do about it.
        #[source]
        source: ListenError,
    },
    /// An entry of `interfaces_excluded` is no name of interfaces.
    #[error("interface name '{pattern}'")]
    InterfaceName {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
}

/// The running network: a handle, its events and its data events. Both receivers must be drained; while one is full,
/// the network takes no more from peers.
type Started = (Handle, mpsc::Receiver<Event>, mpsc::Receiver<DataEvent>);

/// Starts the network on threads of its own.
///
/// # Errors
/// When an option is not usable, or sockets, certificates or threads cannot be made.
pub fn start(options: Options) -> Result<Started, StartError> {
    let listen = listen_addresses(&options)?;
    let excluded = InterfaceNames::parse(&options.interfaces_excluded);
    let excluded =
        excluded.map_err(|(pattern, error)| StartError::InterfaceName { pattern, source: error.into() })?;
    let publish = Publish::new(options.loopback_only, &listen, excluded);
    if options.numeric_class.len() > NUMERIC_CLASS_BYTES_MAX {
        return Err(StartError::NumericClass { bytes: options.numeric_class.len() });
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("p2p-worker")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let node = options.identity.node();
    let shared =
        Arc::new(Shared::new(options.upload_bytes_per_second_max, options.chunk_bytes_per_second_max));
    let (settings_sender, settings) = watch::channel(Settings { seat: options.seat, ..Settings::default() });
    let (commands_sender, commands) = mpsc::channel(COMMANDS_MAX);
    let (events, events_receiver) = mpsc::channel(EVENTS_MAX);
    let (data, data_receiver) = mpsc::channel(DATA_EVENTS_MAX);
    let channels = Channels { events, commands, settings };
    let made = {
        let _guard = runtime.enter();
        make_driver(&options, listen, publish, Arc::clone(&shared), channels, data)
    };
    let driver = match made {
        Ok(driver) => driver,
        Err(error) => {
            // Dropping it would block, which panics where the caller has a runtime of its own.
            runtime.shutdown_background();
            return Err(error);
        }
    };
    let bulk_port = driver.bulk_port();
    let thread = thread::Builder::new()
        .name("p2p".to_owned())
        .spawn(move || run(runtime, driver))
        .map_err(StartError::Threads)?;
    let handle = Handle::new(node, bulk_port, shared, commands_sender, settings_sender, thread);
    Ok((handle, events_receiver, data_receiver))
}

fn run(runtime: Runtime, driver: Driver) {
    // On a worker, beside the tasks that wake it.
    let driving = runtime.spawn(driver.run());
    if let Err(error) = runtime.block_on(driving) {
        tracing::error!(%error, "network driver ended");
    }
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
}

fn make_driver(
    options: &Options,
    listen: Vec<Multiaddr>,
    publish: Publish,
    shared: Arc<Shared>,
    channels: Channels,
    data: mpsc::Sender<DataEvent>,
) -> Result<Driver, StartError> {
    let credentials =
        Credentials::new(options.identity.keypair()).map_err(|error| StartError::Tls(error.into()))?;
    for address in &listen {
        let free = address::socket(address).map_or(Ok(()), try_listen);
        free.map_err(|source| StartError::Listen { address: address.to_string(), source })?;
    }
    let listener = bulk_listener(&listen, options.loopback_only)?;
    let bulk = TlsTransport::start(listener, credentials, Arc::clone(&shared), data);
    let bulk = bulk.map_err(|error| StartError::Bulk(error.into()))?;
    let mut swarm = build(options, &publish).map_err(|error| StartError::Swarm(error.into()))?;
    for address in listen {
        let listening = swarm.listen_on(address.clone());
        listening.map_err(|error| StartError::Listen {
            address: address.to_string(),
            source: listen_error(&address, &error),
        })?;
    }
    let mut driver = Driver::new(options, swarm, shared, channels, Arc::new(bulk), publish);
    for text in &options.peers {
        let kept = driver.keep_address(text);
        kept.map_err(|error| StartError::PeerAddress { address: text.clone(), source: error.into() })?;
    }
    for text in &options.remembered {
        if let Err(error) = driver.remember_address(text) {
            tracing::warn!(address = text, %error, "remembered address not usable");
        }
    }
    Ok(driver)
}

/// The cause of all: each layer of the transport says again what the one below said.
fn listen_error(address: &Multiaddr, error: &(dyn std::error::Error + 'static)) -> ListenError {
    let system = root_of(error).and_then(io::Error::raw_os_error).map(io::Error::from_raw_os_error);
    match (address::socket(address), system) {
        (Some(at), Some(system)) => ListenError::new(at, system),
        _ => {
            let last = std::iter::successors(Some(error), |error| error.source()).last();
            ListenError::Other(last.unwrap_or(error).to_string())
        }
    }
}

fn listen_addresses(options: &Options) -> Result<Vec<Multiaddr>, StartError> {
    let parse = |text: &String| {
        let parsed = text.parse::<Multiaddr>();
        parsed.map_err(|error| StartError::ListenAddress { address: text.clone(), source: error.into() })
    };
    options.listen.iter().map(parse).collect()
}

/// On the one IP that the control listeners share, else on all.
fn bulk_listener(listen: &[Multiaddr], loopback_only: bool) -> Result<TcpListener, StartError> {
    let mut ips = listen.iter().map(address::ip);
    let first = ips.next().flatten();
    let ip = match first {
        _ if loopback_only => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(ip) if ips.all(|other| other == first) => ip,
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let bound = TcpListener::bind(SocketAddr::new(ip, 0));
    let bound = match bound {
        // A host without IPv6.
        Err(_) if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))
        }
        bound => bound,
    };
    let at = SocketAddr::new(ip, 0);
    bound.map_err(|error| StartError::BulkListen { ip, source: ListenError::new(at, error) })
}
