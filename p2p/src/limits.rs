//! Every bound and period of the network, with its unit and reason (L1).

use std::time::Duration;

use traind_protocol::wire::control::CONTROL_BYTES_MAX;

/// Worker threads of the network's own runtime: one can encrypt bulk bytes while the other serves heartbeats.
pub(crate) const WORKER_THREADS: usize = 2;
/// Time that the runtime's tasks get to end at shutdown.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Events that wait for the consumer, messages.
pub(crate) const EVENTS_MAX: usize = 1024;
/// Received data frames that wait for the consumer, frames. Small, since each may carry megabytes.
pub(crate) const DATA_EVENTS_MAX: usize = 64;
/// Commands of handles that wait for the driver.
pub(crate) const COMMANDS_MAX: usize = 256;
/// Frames and verdicts of all links that wait for the driver.
pub(crate) const LINK_EVENTS_MAX: usize = 64;
/// Undelivered events above which the driver takes no more frames of peers: they wait in their TCP windows.
pub(crate) const OUTBOX_FRAMES_MAX: usize = 64;
/// Undelivered events above which the driver does nothing else until the consumer takes some.
pub(crate) const OUTBOX_MAX: usize = 1024;

/// Control frames queued for one peer, frames.
pub(crate) const CONTROL_QUEUE_FRAMES_MAX: usize = 1024;
/// Control frames queued for one peer, bytes: eight of the largest.
pub(crate) const CONTROL_QUEUE_BYTES_MAX: usize = 8 * CONTROL_BYTES_MAX;
/// Longest frame on a control stream, bytes: the longest message and one byte that tells its kind.
pub(crate) const FRAME_BYTES_MAX: usize = CONTROL_BYTES_MAX + 1;
/// Greetings that a peer may send before it is accepted: the first, and another when it found its swarm.
pub(crate) const GREETINGS_MAX: usize = 4;

/// Addresses that a node publishes of itself, and that are kept of a peer.
pub(crate) const ADDRESSES_PER_PEER_MAX: usize = 4;
/// Longest textual address, bytes.
pub(crate) const ADDRESS_BYTES_MAX: usize = 256;
/// Longest numeric class, bytes, so that a greeting fits its limit.
pub(crate) const NUMERIC_CLASS_BYTES_MAX: usize = 512;
/// Peers named in one peer-exchange frame.
pub(crate) const EXCHANGED_PEERS_MAX: usize = 64;
/// Addresses that are dialled when nothing is connected there.
pub(crate) const TARGETS_MAX: usize = 512;
/// Names of interfaces whose addresses are not told.
pub(crate) const INTERFACE_PATTERNS_MAX: usize = 64;
/// Nodes whose traffic is counted one by one; of those that left, the ones beyond are forgotten.
pub(crate) const PEER_METERS_MAX: usize = 256;
/// Nodes remembered as refused.
pub(crate) const REFUSALS_MAX: usize = 256;

/// Connections to one peer: two when both sides dialled at once, two more while broken ones end.
pub(crate) const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Connections in all: 64 nodes and strangers in the middle of a handshake.
pub(crate) const CONNECTIONS_MAX: u32 = 512;
/// Connections being set up, each way.
pub(crate) const CONNECTIONS_PENDING_MAX: u32 = 64;
/// Streams on one connection: two for control, the rest for identify.
pub(crate) const STREAMS_PER_CONNECTION_MAX: usize = 16;
/// Time for the transport handshake of a connection.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Period of the driver's own deadlines, milliseconds.
pub(crate) const TICK_MS: u64 = 20;
/// A tick that comes this late, milliseconds, means that this process was not running: silence is then no evidence. Less
/// than the shortest silence that is a verdict, so that nobody is judged by a judge that slept.
pub(crate) const PAUSE_MS: u64 = 200;
/// Such a pause is worth a word to people from this length on, milliseconds; on busy cores shorter ones are common.
pub(crate) const PAUSE_TOLD_MS_MIN: u64 = 1_000;
/// Period of heartbeats, milliseconds.
pub(crate) const HEARTBEAT_MS: u64 = 100;
/// No peer is called silent before this, milliseconds: four heartbeats. On busy cores a thread that sleeps most of the
/// time is late by tens of milliseconds.
pub(crate) const SILENCE_MS_MIN: u64 = 400;
/// Nor before that and so many round trips: TCP repeats a lost segment after 200 ms and a few of them.
pub(crate) const SILENCE_ROUND_TRIPS: u64 = 8;
/// No peer of which fewer heartbeats are known is called silent before [`SILENCE_MS_MIN_UNKNOWN`].
pub(crate) const INTERVALS_KNOWN_MIN: usize = 10;
/// The same for a peer that was met just now, milliseconds: it may be starting on busy cores.
pub(crate) const SILENCE_MS_MIN_UNKNOWN: u64 = 3_000;
/// Every peer is called silent after this, milliseconds, whatever its history.
pub(crate) const SILENCE_MS_MAX: u64 = 10_000;
/// Heartbeat intervals kept for the failure detector.
pub(crate) const INTERVALS_MAX: usize = 100;
/// A connection that brought no acceptable greeting is closed after this, milliseconds. Two nodes that both look
/// for a swarm meet again at the next dial.
pub(crate) const GREETING_MS_MAX: u64 = 10_000;
/// A refused connection is held this long, milliseconds, so that our greeting reaches the other's log.
pub(crate) const REFUSED_HOLD_MS: u64 = 500;

/// A closed connection that is back within this, milliseconds, was no loss.
pub(crate) const REDIAL_MS_MAX: u64 = 1_000;
/// Pause between redials within that time, milliseconds.
pub(crate) const REDIAL_PAUSE_MS: u64 = 20;
/// First pause after a failed dial, milliseconds.
pub(crate) const BACK_OFF_MS_MIN: u64 = 200;
/// Longest pause after failed dials of addresses that people gave, milliseconds: somebody waits for that peer.
pub(crate) const CONFIGURED_PAUSE_MS_MAX: u64 = 30_000;
/// Longest pause after failed dials of addresses of earlier meetings, milliseconds: most of them are gone for good.
pub(crate) const REMEMBERED_PAUSE_MS_MAX: u64 = 300_000;
/// Longest pause after failed dials of addresses that others told, milliseconds: they are tried for minutes only.
pub(crate) const LEARNED_PAUSE_MS_MAX: u64 = 10_000;
/// A pause is longer by up to this part of it, so that nodes that failed together do not come back together.
pub(crate) const BACK_OFF_JITTER_DIVISOR: u64 = 4;
/// Addresses of earlier meetings that are dialled.
pub(crate) const REMEMBERED_MAX: usize = 128;
/// Failed dials in a row after which such an address is forgotten: a day at the longest pause. Only those are counted
/// that failed while other peers were joined; else it is this node that is cut off.
pub(crate) const REMEMBERED_FAILURES_MAX: u32 = 288;
/// After a change of this host's addresses everything is dialled again within this, milliseconds.
pub(crate) const NETWORK_CHANGED_MS_MAX: u64 = 1_000;
/// Longest description of a failed dial that is kept, bytes.
pub(crate) const DIAL_ERROR_BYTES_MAX: usize = 300;
/// Period of telling handles which peers cannot be reached, milliseconds.
pub(crate) const UNREACHED_REPORT_MS: u64 = 500;
/// Addresses that others told are forgotten when nobody answered there for this long, milliseconds.
pub(crate) const LEARNED_MS_MAX: u64 = 600_000;
/// The node with the larger id waits this long, milliseconds, before it dials a peer that both heard of.
pub(crate) const YIELD_MS: u64 = 300;
/// A node that was refused is not dialled for this long, milliseconds.
pub(crate) const REFUSED_MS: u64 = 60_000;

/// Frames queued for one peer's bulk connection, frames.
pub(crate) const BULK_QUEUE_FRAMES_MAX: usize = 4096;
/// Bytes queued for one peer's bulk connection. One frame alone may be longer.
pub(crate) const BULK_QUEUE_BYTES_MAX: usize = 1 << 30;
/// Inbound bulk connections in their handshake.
pub(crate) const BULK_HANDSHAKES_MAX: usize = 64;
/// Time for connecting and for the handshake of a bulk connection.
pub(crate) const BULK_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to open a bulk connection to a joined peer.
pub(crate) const BULK_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Under an upload cap, bytes are allowed in slices of this many: a frame of a gigabyte must not have the link to itself.
pub(crate) const UPLOAD_SLICE_BYTES: usize = 64 << 10;
/// Under an upload cap, what was not used is kept for this long, milliseconds: the burst is at most that much of the
/// rate, or one slice.
pub(crate) const UPLOAD_BURST_MS: u64 = 100;

/// Time that one Kademlia query gets in all; what it found by then is kept.
pub(crate) const KADEMLIA_QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest Kademlia message, bytes: twenty peers with four addresses of fifty bytes each, three times over.
pub(crate) const KADEMLIA_MESSAGE_BYTES_MAX: usize = 16 << 10;
/// First pause between two searches, milliseconds.
pub(crate) const KADEMLIA_PAUSE_MS_MIN: u64 = 2_000;
/// Longest pause between two searches, milliseconds: while nobody comes or goes there is nothing to find.
pub(crate) const KADEMLIA_PAUSE_MS_MAX: u64 = 300_000;
