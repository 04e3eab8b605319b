//! Every delay of the succession.

/// After the process of a voter died the others wait so long for it, ms: some round trips, so that a death that everyone
/// sees is seen by all before anyone acts.
pub const DIED_GRACE_MS: u64 = 250;

/// A voter that is only silent is waited for so long, ms: it may live behind a cut, and go on there.
pub const SILENCE_GRACE_MS: u64 = 10_000;

/// A voter that was never met since this process started is waited for so long, ms: after a power cut machines take
/// their time.
pub const NEVER_MET_GRACE_MS: u64 = 60_000;

/// Each survivor that is further, or whose log is not known, gets so long to found the next council first, ms.
pub const RANK_MS: u64 = 500;

/// Time from one word of a node on its council to the next, ms.
pub const STANDING_INTERVAL_MS: u64 = 1_000;

/// A node that goes over to another council asks its leader this often, ms.
pub const TURN_RETRY_MS: u64 = 200;

/// What a node took along from a council that ended is proposed so often, about once a second; what the ledger refuses
/// until then it never takes.
pub const LEGACY_TRIES_MAX: u32 = 60;

/// Longest encoded legacy, bytes: as long as a ledger.
pub const LEGACY_BYTES_MAX: usize = crate::wire::control::CONTROL_BYTES_MAX;

/// Survivors that are connected when one of them founds a council count as here for so long, ms, until they have come over:
/// a second until they hear of it, and some round trips. They keep their state and their place in the job's view.
pub const COME_OVER_MS: u64 = 3_000;
