//! Every bound of a transfer, with its unit and reason (L1).

/// Longest chunk, bytes: on one disk 4 MiB reach its speed, and a few of them fit the memory of anything.
pub const CHUNK_BYTES_MAX: u32 = 4 << 20;

/// Longest state of a job, bytes: 2.8 billion parameters with AdamW. Its list of chunks then takes 300 kB, of which a member may
/// hold one from every other.
pub const STATE_BYTES_MAX: u64 = 32 << 30;

/// Bytes of a chunk in one frame. What is urgent waits for no more than this on the same connection: 2 ms at 1 Gbit/s.
pub const PIECE_BYTES_MAX: u32 = 256 << 10;

/// Longest text of a manifest, bytes: what the store writes at most.
pub const MANIFEST_BYTES_MAX: usize = crate::wire::data::TRANSFER_PAYLOAD_BYTES_MAX;

/// A source that was asked for a manifest gets this long, milliseconds, before the next is asked.
pub const MANIFEST_MS_MAX: u64 = 2_000;

/// Sources of one fetch: every node of the largest swarm.
pub const SOURCES_MAX: usize = 64;

/// Chunks asked of one source at a time, at least: one on its way, one behind it, so that the way is never empty.
pub const IN_FLIGHT_CHUNKS_MIN: usize = 2;

/// Chunks asked of one source at a time, at most.
pub const IN_FLIGHT_CHUNKS_MAX: usize = 16;

/// Bytes asked of all sources at a time: they are in memory until they are checked and written.
pub const IN_FLIGHT_BYTES_MAX: u64 = 64 << 20;

/// A source is asked for what it sends in this time, milliseconds, by its measured rate.
pub const IN_FLIGHT_MS: u64 = 500;

/// Period over which a source's rate is measured, milliseconds.
pub const RATE_PERIOD_MS: u64 = 250;

/// A source that sent nothing for this long, milliseconds, though it was asked, is taken for stuck.
pub const STUCK_MS: u64 = 1_500;

/// The same where nobody else can be asked: the question is said again, in case a connection lost it.
pub const STUCK_ALONE_MS: u64 = 4 * STUCK_MS;

/// A chunk is asked elsewhere too when that is this many times quicker than to wait for it.
pub const HEDGE_FACTOR: u64 = 3;

/// And when waiting would take at least this long, milliseconds.
pub const HEDGE_MS_MIN: u64 = 500;

/// Sources that are asked for one chunk at a time; stuck ones do not count.
pub const HEDGE_COPIES_MAX: usize = 2;

/// A source that lacks a chunk is asked for it again after this, milliseconds: it may be getting it.
pub const LACKS_RETRY_MS: u64 = 2_000;

/// Longest pause that a busy source can ask for, milliseconds.
pub const BUSY_MS_MAX: u64 = 10_000;

/// A donor that has too much to do is asked again after this, milliseconds.
pub const BUSY_MS: u64 = 300;

/// Nodes named by a busy donor.
pub const REFERRALS_MAX: usize = 4;

/// Receivers that a donor serves side by side. Beyond it each chunk is sent once and then to be had from its receivers.
pub const RECEIVERS_SERVED_MAX: usize = 3;

/// Receivers that wait at a donor; the largest swarm.
pub const RECEIVERS_MAX: usize = 64;

/// Chunks that one receiver may have asked of a donor: what [`IN_FLIGHT_CHUNKS_MAX`] allows, twice over.
pub const ASKED_CHUNKS_MAX: usize = 2 * IN_FLIGHT_CHUNKS_MAX;

/// Chunks of which a donor remembers who got them: 64 GiB; of more the earliest in the order of ids are forgotten.
pub const SERVED_CHUNKS_MAX: usize = 1 << 14;
