//! Timing and sizes of the council.

use raft::Config;

use crate::ids::SeatId;

/// Most voters. Seven survive three deaths; more only make every decision slower.
pub const VOTERS_MAX: usize = 7;

/// Most seats, voters and learners together. A configuration lists each of them in every snapshot.
pub const SEATS_MAX: usize = 4096;

/// Appends in flight to one follower. Bounds what waits for a slow link: times `append_bytes_max`, 16 MiB.
const APPENDS_IN_FLIGHT_MAX: usize = 64;

/// Timing and sizes of the council. Out-of-range values are raised to the smallest that work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouncilOptions {
    /// Length of a tick, milliseconds.
    pub tick_ms: u64,
    /// Ticks between two heartbeats of the leader.
    pub heartbeat_ticks: usize,
    /// Ticks of silence before a voter lets go of its leader. No vote is given before: this floors the failover
    /// where nothing but silence tells of a death.
    pub election_ticks: usize,
    /// Ticks between the campaigns of voters of successive rank, longer than a round trip and a write to disk.
    pub stagger_ticks: usize,
    /// Ticks between campaigns while the last leader is known to be dead.
    pub evidence_retry_ticks: usize,
    /// Ticks after which an unanswered snapshot is sent again.
    pub snapshot_retry_ticks: usize,
    /// Entries applied between two snapshots.
    pub entries_before_snapshot: u64,
    /// Most bytes of entries in one append, but always at least one entry.
    pub append_bytes_max: u64,
    /// Longest command, bytes. Longer ones are dropped.
    pub command_bytes_max: usize,
    /// Most bytes of uncommitted commands at the leader. Proposals beyond it are dropped.
    pub uncommitted_bytes_max: u64,
}

impl Default for CouncilOptions {
    fn default() -> Self {
        Self {
            tick_ms: 50,
            heartbeat_ticks: 2,
            election_ticks: 12,
            stagger_ticks: 2,
            evidence_retry_ticks: 4,
            snapshot_retry_ticks: 40,
            entries_before_snapshot: 1024,
            append_bytes_max: 256 << 10,
            command_bytes_max: 1 << 20,
            uncommitted_bytes_max: 16 << 20,
        }
    }
}

impl CouncilOptions {
    /// These options with every value in the range where the library works.
    pub(super) fn bounded(mut self) -> Self {
        self.tick_ms = self.tick_ms.max(1);
        self.heartbeat_ticks = self.heartbeat_ticks.max(1);
        self.election_ticks = self.election_ticks.max(self.heartbeat_ticks + 1);
        self.stagger_ticks = self.stagger_ticks.max(1);
        self.evidence_retry_ticks = self.evidence_retry_ticks.clamp(1, self.election_ticks);
        self.entries_before_snapshot = self.entries_before_snapshot.max(1);
        self.uncommitted_bytes_max = self.uncommitted_bytes_max.max(self.append_bytes_max);
        self
    }

    /// Silence after which a voter of `rank` campaigns, ticks. One more than the lease of the others, whose ticks fall
    /// at other instants, so that the first campaign meets no lease.
    pub(super) fn patience_ticks(&self, rank: usize) -> usize {
        self.election_ticks + 1 + rank.min(2 * VOTERS_MAX) * self.stagger_ticks
    }

    /// The library's configuration for `seat`. The range of its random election timeout holds every patience: the
    /// random value is replaced by [`Self::patience_ticks`] before each tick.
    pub(super) fn raft_config(&self, seat: SeatId, applied: u64) -> Config {
        Config {
            id: seat.0,
            applied,
            election_tick: self.election_ticks,
            heartbeat_tick: self.heartbeat_ticks,
            min_election_tick: self.election_ticks,
            max_election_tick: self.patience_ticks(2 * VOTERS_MAX) + 1,
            check_quorum: true,
            pre_vote: true,
            max_size_per_msg: self.append_bytes_max,
            max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
            max_uncommitted_size: self.uncommitted_bytes_max,
            ..Config::default()
        }
    }
}
