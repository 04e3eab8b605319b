//! The council: a few voters that agree on one log of commands, with learners that follow it.
//!
//! A pure machine around the `raft` crate: no IO, no clock, and none of the library's randomness has an effect (see
//! `election`). Its driver runs the outputs of a step in order and makes each [`CouncilOutput::Persist`] durable
//! before what follows it. Messages are checked before the library sees them (`validate`), and what it still panics
//! on is caught: the machine then says [`CouncilOutput::Poisoned`] and is recovered from disk. That needs unwinding
//! panics, the default.
//!
//! Raft as in Ongaro's thesis (2014): pre-vote (9.6), check-quorum (6.2), learners (4.2.1), joint consensus (4.3),
//! leadership transfer (3.10).

mod election;
mod error;
mod input;
mod log;
mod options;
mod output;
mod ready;
mod record;
mod seats;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::eraftpb::{ConfState, EntryType, Message, MessageType, Snapshot};
use raft::{GetEntriesContext, INVALID_ID, RawNode, StateRole};
use slog::{Discard, Logger, o};

pub use self::error::CouncilError;
pub use self::input::CouncilInput;
pub use self::options::{CouncilOptions, SEATS_MAX, VOTERS_MAX};
pub use self::output::CouncilOutput;
pub use self::record::{CouncilRecord, RecoveredCouncil};

use self::election::Evidence;
use self::log::Log;
use self::ready::{Fault, encode};
use self::seats::Seats;
use crate::ids::{Millis, SeatId};
use crate::replicated::Replicated;
use crate::wire::DecodeError;

/// Index and term of the snapshot with which a founded log starts. Not zero, so that every other seat begins with a
/// snapshot and never with a guess at the first configuration.
const FOUNDING: u64 = 1;

/// One seat of the council.
pub struct Council<R: Replicated> {
    seat: SeatId,
    options: CouncilOptions,
    node: RawNode<Log>,
    replicated: R,
    applied_index: u64,
    evidence: Evidence,
    /// Where [`CouncilInput::ChangeSeats`] wants to go, while this seat leads.
    target: Option<Seats>,
    /// Ticks since a snapshot went out, by receiver.
    snapshot_ticks: BTreeMap<u64, usize>,
    /// Index of a snapshot that `replicated` restored ahead of the library.
    restored: Option<u64>,
    told_leader: (Option<SeatId>, u64),
    tick_at: Option<Millis>,
    poison: Option<Fault>,
}

impl<R: Replicated> Council<R> {
    /// A new group of which `seat` is the only voter, on the state that `replicated` is now. It leads at once. Its
    /// first record replaces whatever an earlier group left on the disk; messages of that group must not reach it.
    ///
    /// # Panics
    /// If `seat` is zero, which names no seat.
    pub fn found(seat: SeatId, options: CouncilOptions, replicated: R, out: &mut Vec<CouncilOutput>) -> Self {
        Self::found_after(seat, options, replicated, (0, 0), out)
    }

    /// The same with terms and indices above `end`, the term and index of the last entry of the group before: what
    /// names an entry of both by its index is never misled.
    ///
    /// # Panics
    /// If `seat` is zero, which names no seat.
    pub fn found_after(
        seat: SeatId,
        options: CouncilOptions,
        replicated: R,
        end: (u64, u64),
        out: &mut Vec<CouncilOutput>,
    ) -> Self {
        let mut snapshot = Snapshot::default();
        snapshot.data = replicated.snapshot().into();
        snapshot.mut_metadata().index = end.1 + FOUNDING;
        snapshot.mut_metadata().term = end.0 + FOUNDING;
        snapshot.mut_metadata().mut_conf_state().voters = vec![seat.0];
        let log = Log::starting_with(snapshot.clone());
        let encoded = (|| {
            Ok::<_, Fault>(CouncilRecord {
                hard_state: Some(encode(log.hard_state())?),
                conf_state: Some(encode(snapshot.get_metadata().get_conf_state())?),
                snapshot: Some(encode(&snapshot)?),
                compact_before: Some(u64::MAX),
                entries: Vec::new(),
            })
        })();
        let mut council =
            Self::start(seat, options, replicated, log).expect("a group of one seat is consistent");
        match encoded {
            Ok(record) => {
                out.push(CouncilOutput::Persist(record));
                council.guarded(out, |council, out| {
                    council.campaign_if_alone();
                    council.settle(out)
                });
            }
            Err(fault) => council.poison(fault, out),
        }
        council
    }

    /// A seat with an empty log that waits for the leader's snapshot.
    ///
    /// # Panics
    /// If `seat` is zero, which names no seat.
    pub fn join(seat: SeatId, options: CouncilOptions, replicated: R) -> Self {
        Self::start(seat, options, replicated, Log::default()).expect("an empty log is consistent")
    }

    /// The seat as it was when `recovered` was written. `replicated` is a fresh state: the snapshot and the committed
    /// entries are replayed into it, without outputs. From an empty disk this is [`Self::join`].
    ///
    /// # Errors
    /// When the disk does not hold a consistent council.
    pub fn recover(
        seat: SeatId,
        options: CouncilOptions,
        mut replicated: R,
        recovered: RecoveredCouncil,
    ) -> Result<Self, CouncilError> {
        let log = Log::recover(&recovered)?;
        if log.snapshot_index() > 0 {
            replicated.restore(log.snapshot_data()).map_err(CouncilError::Restore)?;
        }
        let started = catch_unwind(AssertUnwindSafe(|| Self::start(seat, options, replicated, log)));
        let mut council = started.map_err(|panic| CouncilError::Replay { reason: reason_of(&*panic) })??;
        let mut replay = Vec::new();
        council.guarded(&mut replay, |council, out| council.settle(out));
        match council.poison.take() {
            Some(reason) => Err(CouncilError::Replay { reason }),
            None => Ok(council),
        }
    }

    fn start(seat: SeatId, options: CouncilOptions, replicated: R, log: Log) -> Result<Self, CouncilError> {
        let options = options.bounded();
        let applied_index = log.snapshot_index();
        let logger = Logger::root(Discard, o!());
        let node = RawNode::new(&options.raft_config(seat, applied_index), log, &logger);
        let node = node.map_err(|error| CouncilError::Start(Box::new(error)))?;
        Ok(Self {
            seat,
            options,
            node,
            replicated,
            applied_index,
            evidence: Evidence::default(),
            target: None,
            snapshot_ticks: BTreeMap::new(),
            restored: None,
            told_leader: (None, 0),
            tick_at: None,
            poison: None,
        })
    }

    /// Takes one input at `now` and appends what has to be done to `out`.
    pub fn step(&mut self, now: Millis, input: CouncilInput, out: &mut Vec<CouncilOutput>) {
        if self.poison.is_some() {
            return;
        }
        let tick_at = *self.tick_at.get_or_insert(now);
        if matches!(input, CouncilInput::Tick) {
            if now < tick_at {
                return;
            }
            // One tick per call: a stall of this process is no silence of the others.
            let next = tick_at.plus(self.options.tick_ms);
            self.tick_at = Some(if next > now { next } else { now.plus(self.options.tick_ms) });
        }
        self.guarded(out, |council, out| {
            council.campaign_if_alone();
            council.take(input, out);
            council.settle(out)
        });
    }

    fn take(&mut self, input: CouncilInput, out: &mut Vec<CouncilOutput>) {
        match input {
            CouncilInput::Tick => {
                self.tick_election();
                self.resend_snapshots();
                self.pursue_target();
            }
            CouncilInput::Message { from, bytes } => self.receive(from, &bytes, out),
            CouncilInput::Propose(command) => self.propose(command, out),
            CouncilInput::ChangeSeats { voters, learners } => self.aim_at(voters, learners),
            CouncilInput::TransferLeadership { to } => self.hand_over_to(to),
            CouncilInput::Reachable(seat) => self.greet(seat),
            CouncilInput::Unreachable(seat) => self.note_unreachable(seat),
            CouncilInput::PeerDied(seat) => self.note_death(seat),
        }
    }

    fn receive(&mut self, from: SeatId, bytes: &[u8], out: &mut Vec<CouncilOutput>) {
        let admitted = validate::admit(bytes, from, &self.node.raft, &self.options);
        let admitted = admitted.and_then(|message| self.restore_ahead(&message).map(|()| message));
        let message = match admitted {
            Ok(message) => message,
            Err(reason) => return out.push(CouncilOutput::MessageRefused { from, reason }),
        };
        self.note_life(from);
        if self.node.step(message).is_err() {
            out.push(CouncilOutput::MessageRefused { from, reason: "dropped by the consensus library" });
        }
    }

    /// A snapshot that the library would install is restored before the library commits itself to it, so that one that
    /// the replicated state cannot read is refused like any other malformed message.
    fn restore_ahead(&mut self, message: &Message) -> validate::Verdict {
        let raft = &self.node.raft;
        if message.get_msg_type() != MessageType::MsgSnapshot || message.term < raft.term {
            return Ok(());
        }
        let metadata = message.get_snapshot().get_metadata();
        let conf_state = metadata.get_conf_state();
        let seats = conf_state.voters.iter().chain(&conf_state.learners).chain(&conf_state.voters_outgoing);
        let leads = raft.state == StateRole::Leader && message.term == raft.term;
        if leads
            || metadata.index < raft.raft_log.committed
            || raft.raft_log.match_term(metadata.index, metadata.term)
            || !seats.into_iter().any(|seat| *seat == raft.id)
        {
            return Ok(());
        }
        self.replicated.restore(message.get_snapshot().get_data()).map_err(|_| "snapshot does not decode")?;
        self.restored = Some(metadata.index);
        Ok(())
    }

    fn propose(&mut self, command: Vec<u8>, out: &mut Vec<CouncilOutput>) {
        // The log marks its own entries by an empty command.
        let acceptable = !command.is_empty() && command.len() <= self.options.command_bytes_max;
        if !acceptable || self.node.propose(Vec::new(), command.clone()).is_err() {
            out.push(CouncilOutput::ProposalDropped(command));
        }
    }

    /// Runs `work` so that neither a panic nor its half-done outputs get out.
    fn guarded(
        &mut self,
        out: &mut Vec<CouncilOutput>,
        work: impl FnOnce(&mut Self, &mut Vec<CouncilOutput>) -> Result<(), Fault>,
    ) {
        let length = out.len();
        let result = catch_unwind(AssertUnwindSafe(|| work(self, out)));
        let result = result.unwrap_or_else(|panic| Err(reason_of(&*panic)));
        let unused =
            self.restored.take().map(|index| format!("library did not install the snapshot at {index}"));
        if let Some(fault) = result.err().or(unused) {
            out.truncate(length);
            self.poison(fault, out);
        }
    }

    fn poison(&mut self, fault: Fault, out: &mut Vec<CouncilOutput>) {
        self.poison = Some(fault);
        out.push(CouncilOutput::Poisoned);
    }

    fn conf_state(&self) -> ConfState {
        self.node.raft.prs().conf().to_conf_state()
    }

    /// When to call with [`CouncilInput::Tick`] next. Zero, at once, for a machine that was never stepped.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        if self.poison.is_some() { Millis(u64::MAX) } else { self.tick_at.unwrap_or_default() }
    }

    /// The seat itself.
    #[must_use]
    pub fn seat(&self) -> SeatId {
        self.seat
    }

    /// The leader, as far as this seat knows.
    #[must_use]
    pub fn leader(&self) -> Option<SeatId> {
        let leader = self.node.raft.leader_id;
        (leader != INVALID_ID && self.poison.is_none()).then_some(SeatId(leader))
    }

    /// Whether this seat leads. Another may lead a later term already.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader && self.poison.is_none()
    }

    /// Whether this seat leads and has applied an entry of its own term: it knows all that earlier leaders committed.
    #[must_use]
    pub fn is_settled_leader(&self) -> bool {
        self.is_leader() && self.node.raft.apply_to_current_term()
    }

    /// The current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// Seats that vote; during a change, those that will.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<SeatId> {
        self.conf_state().voters.iter().copied().map(SeatId).collect()
    }

    /// Seats that learn; during a change, those that will.
    #[must_use]
    pub fn learners(&self) -> BTreeSet<SeatId> {
        let conf_state = self.conf_state();
        conf_state.learners.iter().chain(&conf_state.learners_next).copied().map(SeatId).collect()
    }

    /// Whether this seat votes or learns, by the configuration that it has applied.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.node.raft.prs().get(self.seat.0).is_some()
    }

    /// The replicated state, up to [`Self::applied_index`].
    #[must_use]
    pub fn replicated(&self) -> &R {
        &self.replicated
    }

    /// Index of the last entry applied.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// Term and index of the last entry of the log, committed or not.
    #[must_use]
    pub fn log_end(&self) -> (u64, u64) {
        let log = &self.node.raft.raft_log;
        (log.last_term(), log.last_index())
    }

    /// Term and index of the last entry applied.
    #[must_use]
    pub fn applied_end(&self) -> (u64, u64) {
        (self.node.raft.raft_log.term(self.applied_index).unwrap_or(u64::MAX), self.applied_index)
    }

    /// The replicated state with those commands of the end of the log that `keeps` names, in `fresh`. Where a majority is
    /// lost, nobody can tell any more whether they were committed.
    ///
    /// # Errors
    /// When `fresh` cannot be restored from a snapshot of the state, which would be a defect.
    pub fn to_the_end(&self, mut fresh: R, keeps: impl Fn(&[u8]) -> bool) -> Result<R, DecodeError> {
        fresh.restore(&self.replicated.snapshot())?;
        let log = &self.node.raft.raft_log;
        let behind = log.entries(self.applied_index + 1, None, GetEntriesContext::empty(false));
        for entry in behind.unwrap_or_default() {
            let is_command = entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty();
            if is_command && keeps(&entry.data) {
                fresh.apply(entry.index, &entry.data);
            }
        }
        Ok(fresh)
    }

    /// Whether this seat has a state at all: one that joined and waits for its first snapshot has none.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.applied_index > 0
    }

    /// The sets of voters of which each needs a majority: one, or two during a change.
    #[must_use]
    pub fn quorums(&self) -> Vec<BTreeSet<SeatId>> {
        let conf_state = self.conf_state();
        let sets = [conf_state.voters, conf_state.voters_outgoing];
        let seats = |set: &Vec<u64>| set.iter().copied().map(SeatId).collect();
        sets.iter().filter(|set| !set.is_empty()).map(seats).collect()
    }

    /// What broke, once the machine has said [`CouncilOutput::Poisoned`].
    #[must_use]
    pub fn poison_reason(&self) -> Option<&str> {
        self.poison.as_deref()
    }
}

/// The text of a panic.
fn reason_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic without a text").to_owned()
}
