//! Carries out what the library has ready: write, send, apply, in the order that keeps promises.
//!
//! The order per round: a leader's appends (they promise nothing of its own disk), the record, everything that
//! depends on the record, the commit index, then the commands. So a vote or an acknowledgement never leaves before its
//! record, and what was applied is always below the commit index on disk.

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, Entry, EntryType, HardState, Message, Snapshot};
use raft::{INVALID_ID, Ready, StateRole};

use super::{Council, CouncilOutput, CouncilRecord};
use crate::ids::SeatId;
use crate::replicated::Replicated;

/// Why the machine cannot go on.
pub(super) type Fault = String;

impl<R: Replicated> Council<R> {
    /// Runs until the library has nothing more to do, then tells what changed.
    pub(super) fn settle(&mut self, out: &mut Vec<CouncilOutput>) -> Result<(), Fault> {
        loop {
            while self.node.has_ready() {
                let ready = self.node.ready();
                self.carry_out(ready, out)?;
            }
            let lacked_a_seat = !self.node.store().snapshot_has(&self.conf_state());
            if lacked_a_seat || self.snapshot_is_due() {
                self.take_snapshot(out)?;
            }
            if !lacked_a_seat || self.node.raft.state != StateRole::Leader {
                break;
            }
            // The new seat waits for this snapshot.
            self.node.raft.bcast_append();
        }
        self.tell_leader(out);
        Ok(())
    }

    fn carry_out(&mut self, mut ready: Ready, out: &mut Vec<CouncilOutput>) -> Result<(), Fault> {
        let early = ready.take_messages();
        let stored = self.node.store().hard_state();
        let vote_is_durable = ready.hs().is_none_or(|new| (new.term, new.vote) == (stored.term, stored.vote));
        let mut late = Vec::new();
        if vote_is_durable {
            send(early, out)?;
        } else {
            // Raft lets a leader send before it writes, but a sole voter becomes leader in the same round in which it
            // votes for itself: its term has to be durable before anyone hears of it.
            late = early;
        }
        if !ready.snapshot().is_empty() {
            self.install(ready.snapshot().clone(), out)?;
        }
        self.write(ready.entries(), ready.hs().cloned(), out)?;
        send(late, out)?;
        send(ready.take_persisted_messages(), out)?;
        let mut committed = ready.take_committed_entries();

        let mut light = self.node.advance_append(ready);
        if let Some(commit) = light.commit_index() {
            let mut hard_state = self.node.store().hard_state().clone();
            hard_state.commit = commit;
            self.write(&[], Some(hard_state), out)?;
        }
        send(light.take_messages(), out)?;
        committed.extend(light.take_committed_entries());
        self.apply(&committed, out)?;
        self.step_down_if_demoted();
        self.node.advance_apply();
        Ok(())
    }

    fn write(
        &mut self,
        entries: &[Entry],
        hard_state: Option<HardState>,
        out: &mut Vec<CouncilOutput>,
    ) -> Result<(), Fault> {
        let mut record = CouncilRecord::default();
        for entry in entries {
            record.entries.push((entry.index, encode(entry)?));
        }
        if !self.node.mut_store().append(entries) {
            return Err("entries to write do not join the log".to_owned());
        }
        if let Some(hard_state) = hard_state {
            record.hard_state = Some(encode(&hard_state)?);
            self.node.mut_store().set_hard_state(hard_state);
        }
        if !record.is_empty() {
            out.push(CouncilOutput::Persist(record));
        }
        Ok(())
    }

    /// The leader's snapshot takes the place of our state and log.
    fn install(&mut self, snapshot: Snapshot, out: &mut Vec<CouncilOutput>) -> Result<(), Fault> {
        let index = snapshot.get_metadata().index;
        if self.restored.take() != Some(index) {
            let restored = self.replicated.restore(snapshot.get_data());
            restored.map_err(|error| format!("restore from the leader's snapshot: {error}"))?;
        }
        let mut hard_state = self.node.raft.hard_state();
        hard_state.commit = index;
        let log = self.node.mut_store();
        let record = CouncilRecord {
            hard_state: Some(encode(&hard_state)?),
            conf_state: Some(encode(snapshot.get_metadata().get_conf_state())?),
            snapshot: Some(encode(&snapshot)?),
            compact_before: Some(log.last().max(index) + 1),
            ..CouncilRecord::default()
        };
        log.install(snapshot);
        log.set_hard_state(hard_state);
        out.push(CouncilOutput::Persist(record));
        out.push(CouncilOutput::StateReplaced);
        self.applied_index = index;
        Ok(())
    }

    fn apply(&mut self, committed: &[Entry], out: &mut Vec<CouncilOutput>) -> Result<(), Fault> {
        for entry in committed {
            match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => {}
                EntryType::EntryNormal => {
                    self.replicated.apply(entry.index, &entry.data);
                    out.push(CouncilOutput::Applied { index: entry.index, command: entry.data.to_vec() });
                }
                EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => self.apply_change(entry, out)?,
            }
            self.applied_index = entry.index;
        }
        Ok(())
    }

    /// A change that does not decode or does not fit changes nothing, the same way on every seat.
    fn apply_change(&mut self, entry: &Entry, out: &mut Vec<CouncilOutput>) -> Result<(), Fault> {
        let Ok(change) = ConfChangeV2::parse_from_bytes(&entry.data) else { return Ok(()) };
        let was_member = self.is_member();
        let Ok(conf_state) = self.node.apply_conf_change(&change) else { return Ok(()) };
        let conf_state = Some(encode(&conf_state)?);
        out.push(CouncilOutput::Persist(CouncilRecord { conf_state, ..CouncilRecord::default() }));
        self.forget_strangers();
        if was_member && !self.is_member() {
            out.push(CouncilOutput::Removed);
        }
        Ok(())
    }

    fn snapshot_is_due(&self) -> bool {
        self.applied_index >= self.node.store().snapshot_index() + self.options.entries_before_snapshot
    }

    /// Replaces the applied part of the log by a snapshot of the state.
    fn take_snapshot(&mut self, out: &mut Vec<CouncilOutput>) -> Result<(), Fault> {
        let index = self.applied_index;
        let term =
            self.node.raft.raft_log.term(index).map_err(|error| format!("term of entry {index}: {error}"))?;
        let mut snapshot = Snapshot::default();
        snapshot.data = self.replicated.snapshot().into();
        snapshot.mut_metadata().index = index;
        snapshot.mut_metadata().term = term;
        snapshot.mut_metadata().set_conf_state(self.conf_state());
        out.push(CouncilOutput::Persist(CouncilRecord {
            conf_state: Some(encode(&self.conf_state())?),
            snapshot: Some(encode(&snapshot)?),
            compact_before: Some(index + 1),
            ..CouncilRecord::default()
        }));
        self.node.mut_store().compact(snapshot);
        Ok(())
    }

    fn tell_leader(&mut self, out: &mut Vec<CouncilOutput>) {
        let raft = &self.node.raft;
        let leader = (raft.leader_id != INVALID_ID).then_some(SeatId(raft.leader_id));
        let term = if leader.is_some() { raft.term } else { self.told_leader.1 };
        if let Some(leader) = leader {
            self.evidence.last_leader = leader.0;
            self.evidence.campaigns = 0;
        }
        if (leader, term) != self.told_leader {
            self.told_leader = (leader, term);
            out.push(CouncilOutput::LeaderChanged { leader, term: raft.term });
        }
    }
}

/// The bytes of a message or record of the library.
pub(super) fn encode(message: &impl protobuf::Message) -> Result<Vec<u8>, Fault> {
    message.write_to_bytes().map_err(|error| format!("encode: {error}"))
}

fn send(messages: Vec<Message>, out: &mut Vec<CouncilOutput>) -> Result<(), Fault> {
    for message in messages {
        out.push(CouncilOutput::Send { to: SeatId(message.to), bytes: encode(&message)? });
    }
    Ok(())
}
