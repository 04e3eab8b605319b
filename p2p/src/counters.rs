//! Counters of the network since its start.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A snapshot of the counters, since the start of the network.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The running counters.
        #[derive(Debug, Default)]
        pub(crate) struct Meters {
            $(pub(crate) $name: Meter,)*
        }

        impl Meters {
            pub(crate) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.get(),)* }
            }
        }
    };
}

/// One running counter. Relaxed: counters order nothing.
#[derive(Debug, Default)]
pub(crate) struct Meter(AtomicU64);

impl Meter {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// For what goes up and down.
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    /// Frames written to control streams, heartbeats among them.
    control_frames_sent,
    /// Bytes of these, with their lengths.
    control_bytes_sent,
    /// Frames read from control streams.
    control_frames_received,
    /// Bytes of these, with their lengths.
    control_bytes_received,
    /// Control messages not taken because the peer's queue was full.
    control_dropped_full,
    /// Frames written to bulk connections.
    data_frames_sent,
    /// Payload bytes of these.
    data_payload_bytes_sent,
    /// Frames read from bulk connections.
    data_frames_received,
    /// Payload bytes of these.
    data_payload_bytes_received,
    /// Bulk connections reset because their queue was full.
    data_resets_full,
    /// Queued data frames dropped with a broken bulk connection.
    data_frames_dropped,
    /// Bulk connections opened for sending.
    data_paths_opened,
    /// Bulk handshakes refused or failed: not authenticated, not joined, not TLS.
    data_handshakes_refused,
    /// Frames that were oversize, malformed or out of turn on control streams; each cost its sender the connection.
    control_violations,
    /// The same on bulk connections.
    data_violations,
    /// Peers joined.
    peers_joined,
    /// Peers lost.
    peers_lost,
    /// Hellos refused because of another swarm.
    hellos_refused_swarm,
    /// Hellos refused because of another protocol version.
    hellos_refused_version,
    /// Hellos refused because they named another node than the authenticated one.
    hellos_refused_impostor,
    /// Connections closed because no acceptable hello came in time.
    hellos_missing,
    /// Inbound connections that failed before they were authenticated.
    connections_failed_inbound,
    /// Dials that failed.
    dials_failed,
    /// Dials begun.
    dials_begun,
    /// Connections of joined peers that broke and came back before the peer was called lost.
    links_regained,
    /// Addresses told by others that were not kept because the table was full.
    addresses_dropped,
    /// Addresses of earlier meetings forgotten because nobody answered there for too long.
    peers_forgotten,
    /// Peers first heard of by multicast DNS.
    peers_found_mdns,
    /// Peers first heard of by Kademlia.
    peers_found_kademlia,
    /// Members in Kademlia's routing table now; goes up and down.
    kademlia_peers,
    /// Upload cap of bulk connections now, bytes per second; zero without one.
    upload_bytes_per_second_max,
}
