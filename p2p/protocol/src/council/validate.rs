//! Refuses messages on which the consensus library would abort or be misled, before it sees them.
//!
//! The library trusts its peers: a commit index beyond the log, a configuration that contradicts itself or an empty
//! proposal end in a panic. What an admitted peer may say within the rules of Raft is not judged here.

use std::collections::BTreeSet;

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, ConfState, Entry, EntryType, Message, MessageType};
use raft::{INVALID_ID, Raft, StateRole};

use super::log::Log;
use super::options::{CouncilOptions, SEATS_MAX};
use crate::ids::SeatId;
use crate::wire::control::CONTROL_BYTES_MAX;

/// Highest term and index that are believed: far above any life's worth, far below where sums overflow.
const NUMBER_MAX: u64 = 1 << 60;

/// Context by which the library marks the campaign of a successor that the leader asked for.
const TRANSFER_CONTEXT: &[u8] = b"CampaignTransfer";

/// What makes a message acceptable, or why it is not.
pub(super) type Verdict = Result<(), &'static str>;

/// The message in `bytes`, if a library in the state of `raft` can take it from `from`.
pub(super) fn admit(
    bytes: &[u8],
    from: SeatId,
    raft: &Raft<Log>,
    options: &CouncilOptions,
) -> Result<Message, &'static str> {
    if bytes.len() > CONTROL_BYTES_MAX {
        return Err("too long");
    }
    let message = Message::parse_from_bytes(bytes).map_err(|_| "does not decode")?;
    check_envelope(&message, from, raft)?;
    check_numbers(&message)?;
    check_parts(&message)?;
    match message.get_msg_type() {
        MessageType::MsgPropose => check_proposal(&message, raft, options)?,
        MessageType::MsgAppend => check_leader(&message, raft).and_then(|()| check_append(&message))?,
        MessageType::MsgHeartbeat => {
            check_leader(&message, raft).and_then(|()| check_heartbeat(&message, raft))?
        }
        MessageType::MsgSnapshot => check_leader(&message, raft).and_then(|()| check_snapshot(&message))?,
        MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse => check_response(&message, raft)?,
        MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
            check_vote(&message, raft)?
        }
        MessageType::MsgTimeoutNow => check_handover(&message, raft)?,
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => {}
        _ => return Err("not a kind that travels"),
    }
    Ok(message)
}

fn check_envelope(message: &Message, from: SeatId, raft: &Raft<Log>) -> Verdict {
    if message.unknown_fields.fields.is_some() {
        return Err("unknown fields");
    }
    if message.from != from.0 || from.0 == INVALID_ID {
        return Err("not from the seat that it names");
    }
    if message.from == raft.id {
        return Err("from this seat itself");
    }
    if message.to != raft.id { Err("for another seat") } else { Ok(()) }
}

fn check_numbers(message: &Message) -> Verdict {
    let numbers = [
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.commit_term,
        message.reject_hint,
    ];
    if numbers.into_iter().any(|number| number > NUMBER_MAX) {
        return Err("number out of range");
    }
    // Proposals alone have no term; the library takes any other message without one for its own.
    if (message.term == 0) != (message.get_msg_type() == MessageType::MsgPropose) {
        return Err("term missing or out of place");
    }
    if message.log_term > message.term && message.get_msg_type() != MessageType::MsgAppendResponse {
        return Err("log is ahead of its term");
    }
    Ok(())
}

/// Parts that this council never uses, or not in this kind of message.
fn check_parts(message: &Message) -> Verdict {
    let kind = message.get_msg_type();
    if message.request_snapshot != 0 || message.priority != 0 || message.deprecated_priority != 0 {
        return Err("unused part is set");
    }
    let is_transfer = kind == MessageType::MsgRequestVote && message.context == TRANSFER_CONTEXT;
    if !message.context.is_empty() && !is_transfer {
        return Err("unused context is set");
    }
    if !message.entries.is_empty() && !matches!(kind, MessageType::MsgAppend | MessageType::MsgPropose) {
        return Err("entries out of place");
    }
    if message.has_snapshot() && kind != MessageType::MsgSnapshot {
        return Err("snapshot out of place");
    }
    Ok(())
}

/// Only a leader takes proposals. The library would pass them on, for ever if two seats take each other for it.
fn check_proposal(message: &Message, raft: &Raft<Log>, options: &CouncilOptions) -> Verdict {
    if raft.state != StateRole::Leader {
        return Err("proposal to a seat that does not lead");
    }
    let [entry] = message.get_entries() else { return Err("proposal is not one command") };
    if entry.get_entry_type() != EntryType::EntryNormal || entry.data.is_empty() || !entry.context.is_empty()
    {
        return Err("proposal is no command");
    }
    if entry.data.len() > options.command_bytes_max { Err("command too long") } else { Ok(()) }
}

/// One term has one leader.
fn check_leader(message: &Message, raft: &Raft<Log>) -> Verdict {
    if message.term != raft.term {
        return Ok(());
    }
    let known = raft.leader_id;
    if known != INVALID_ID && known != message.from { Err("second leader of a term") } else { Ok(()) }
}

fn check_append(message: &Message) -> Verdict {
    let mut previous_term = message.log_term;
    for (offset, entry) in message.entries.iter().enumerate() {
        if entry.index != message.index + 1 + offset as u64 {
            return Err("entries are not contiguous");
        }
        if entry.term == 0 || entry.term < previous_term || entry.term > message.term {
            return Err("terms of entries do not grow");
        }
        previous_term = entry.term;
        check_entry(entry)?;
    }
    Ok(())
}

fn check_entry(entry: &Entry) -> Verdict {
    match entry.get_entry_type() {
        EntryType::EntryNormal => Ok(()),
        EntryType::EntryConfChange => Err("unused kind of entry"),
        EntryType::EntryConfChangeV2 => match ConfChangeV2::parse_from_bytes(&entry.data) {
            Ok(change) if change.changes.len() <= 2 * SEATS_MAX => Ok(()),
            Ok(_) => Err("too many seats"),
            Err(_) => Err("configuration change does not decode"),
        },
    }
}

fn check_heartbeat(message: &Message, raft: &Raft<Log>) -> Verdict {
    // Behind our term it is only answered. Otherwise its commit index is believed without a look at the log.
    if message.term >= raft.term && message.commit > raft.raft_log.last_index() {
        return Err("commit is beyond the log");
    }
    Ok(())
}

fn check_snapshot(message: &Message) -> Verdict {
    let metadata = message.get_snapshot().get_metadata();
    if metadata.index == 0 || metadata.index > NUMBER_MAX {
        return Err("snapshot index out of range");
    }
    if metadata.term == 0 || metadata.term > message.term {
        return Err("snapshot term out of range");
    }
    check_conf_state(metadata.get_conf_state())
}

/// The configuration must be one that the library reproduces exactly: it aborts on any other.
fn check_conf_state(conf_state: &ConfState) -> Verdict {
    let parts =
        [&conf_state.voters, &conf_state.learners, &conf_state.voters_outgoing, &conf_state.learners_next];
    if parts.iter().map(|part| part.len()).sum::<usize>() > 2 * SEATS_MAX {
        return Err("too many seats");
    }
    let [voters, learners, outgoing, learners_next] =
        parts.map(|part| part.iter().copied().collect::<BTreeSet<u64>>());
    let sizes = [voters.len(), learners.len(), outgoing.len(), learners_next.len()];
    if sizes != parts.map(|part| part.len()) {
        return Err("configuration names a seat twice");
    }
    if [&voters, &learners, &outgoing, &learners_next].iter().any(|part| part.contains(&INVALID_ID)) {
        return Err("configuration names no seat");
    }
    let joint = !outgoing.is_empty();
    let consistent = !voters.is_empty()
        && learners.is_disjoint(&voters)
        && learners.is_disjoint(&outgoing)
        && learners_next.is_subset(&outgoing)
        && learners_next.is_disjoint(&voters)
        && (joint || !conf_state.auto_leave);
    if consistent { Ok(()) } else { Err("configuration contradicts itself") }
}

fn check_response(message: &Message, raft: &Raft<Log>) -> Verdict {
    // A higher term makes us step down, whoever says it; a lower one is ignored.
    if message.term != raft.term {
        return Ok(());
    }
    check_member(message, raft)?;
    let last_index = raft.raft_log.last_index();
    if raft.state == StateRole::Leader && (message.index > last_index || message.reject_hint > last_index) {
        return Err("acknowledges what was never sent");
    }
    Ok(())
}

fn check_vote(message: &Message, raft: &Raft<Log>) -> Verdict {
    check_member(message, raft)?;
    let granted_early = message.get_msg_type() == MessageType::MsgRequestPreVoteResponse && !message.reject;
    if granted_early && message.term != raft.term + 1 { Err("vote for another campaign") } else { Ok(()) }
}

fn check_handover(message: &Message, raft: &Raft<Log>) -> Verdict {
    if message.term != raft.term || message.from != raft.leader_id {
        return Err("handover by a seat that does not lead");
    }
    Ok(())
}

fn check_member(message: &Message, raft: &Raft<Log>) -> Verdict {
    if raft.prs().get(message.from).is_none() { Err("answer from a seat outside the group") } else { Ok(()) }
}
