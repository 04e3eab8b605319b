//! A node on one of the hosts: says what happens, one line each, until its input ends.

use std::io::Read;
use std::path::{Path, PathBuf};

use traind_p2p::{Event, Identity, Options, start};
use traind_protocol::ids::{Boot, SwarmId};

/// What a node is to do.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) identity: PathBuf,
    pub(crate) mdns: bool,
    pub(crate) is_filter_off: bool,
    pub(crate) peer: Option<String>,
}

impl Orders {
    /// As arguments of this program.
    pub(crate) fn write(self, folder: &Path, index: usize) -> Vec<String> {
        let identity = folder.join(index.to_string()).display().to_string();
        let flags = [self.mdns, self.is_filter_off].map(|flag| flag.to_string());
        let [mdns, is_filter_off] = flags;
        ["node".to_owned(), identity, mdns, is_filter_off].into_iter().chain(self.peer).collect()
    }

    pub(crate) fn read(arguments: &[String]) -> Self {
        Self {
            identity: arguments[0].clone().into(),
            mdns: arguments[1] == "true",
            is_filter_off: arguments[2] == "true",
            peer: arguments.get(3).cloned(),
        }
    }
}

pub(crate) fn run(orders: &Orders) {
    let identity = Identity::load_or_create(&orders.identity).unwrap();
    let mut options = Options {
        swarm: Some(SwarmId([7; 32])),
        listen: vec!["/ip4/0.0.0.0/tcp/7440".to_owned()],
        peers: orders.peer.iter().cloned().collect(),
        mdns: orders.mdns,
        peer_exchange: false,
        ..Options::new(identity, Boot(1))
    };
    if orders.is_filter_off {
        options.interfaces_excluded = Vec::new();
    }
    let (handle, mut events, mut data) = start(options).unwrap();
    std::thread::spawn(move || while data.blocking_recv().is_some() {});
    let saying = std::thread::spawn(move || {
        while let Some(event) = events.blocking_recv() {
            match event {
                Event::Listening { address } => println!("listening {address}"),
                Event::PeerJoined { address, .. } => println!("joined {address}"),
                Event::PeerLost { node, evidence, .. } => println!("lost {} {evidence:?}", node.short()),
                _ => {}
            }
        }
    });
    let _ = std::io::stdin().read(&mut [0u8; 1]);
    let counters = handle.counters();
    println!("found by mDNS {}, by Kademlia {}", counters.peers_found_mdns, counters.peers_found_kademlia);
    handle.shutdown();
    saying.join().unwrap();
}
