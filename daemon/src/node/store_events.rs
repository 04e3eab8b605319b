//! What happened to checkpoints and chunks between two sights of the ledger, in words.

use traind_protocol::ledger::{Finding, JobRecord, Ledger, Verdict};

use super::ledger_events::LedgerEvent;
use crate::control::api::EventKind;

/// What nodes found wrong with chunks, or with each other, since.
pub(super) fn verdicts(before: &Ledger, after: &Ledger, events: &mut Vec<LedgerEvent>) {
    let new = after.verdicts_total.saturating_sub(before.verdicts_total);
    let new = usize::try_from(new).unwrap_or(usize::MAX).min(after.verdicts.len());
    events.extend(after.verdicts.iter().skip(after.verdicts.len() - new).map(verdict));
}

fn verdict(verdict: &Verdict) -> LedgerEvent {
    let Verdict { node, by, finding, object } = verdict;
    let (name, witness, object) = (node.friendly_name(), by.friendly_name(), object.short());
    let misbehaved = EventKind::NodeMisbehaved;
    let (kind, message) = match finding {
        Finding::WrongBytes => (
            EventKind::ChunkRefused,
            format!("{name} sent {witness} other bytes than those of chunk {object}"),
        ),
        Finding::WrongPieces => {
            (EventKind::ChunkRefused, format!("{name} sent {witness} pieces that do not make chunk {object}"))
        }
        Finding::WrongManifest => {
            (EventKind::ChunkRefused, format!("{name} sent {witness} another manifest than {object}"))
        }
        Finding::Damaged => {
            (EventKind::ChunkDamaged, format!("chunk {object} on the disk of {name} is damaged"))
        }
        Finding::Replaced => (
            EventKind::ChunkReplaced,
            format!("{name} got its damaged chunk {object} again from another node"),
        ),
        Finding::Malformed => (misbehaved, format!("{name} sent {witness} what is no message of the job")),
        Finding::Contradictory => {
            (misbehaved, format!("{name} sent different sums or results where there is one, says {witness}"))
        }
        Finding::NoSuchView => {
            (misbehaved, format!("{name} spoke to {witness} of a view that does not exist"))
        }
        Finding::Flood => {
            (misbehaved, format!("{name} sent {witness} many times more messages than it has reason to"))
        }
        Finding::FalseAccusations => {
            (misbehaved, format!("{name} accused one member after another, and nobody else did"))
        }
    };
    LedgerEvent::of_node(kind, *node, message)
}

/// Who got a copy of a checkpoint that was known before, and who lost one.
pub(super) fn copies(before: &JobRecord, after: &JobRecord, events: &mut Vec<LedgerEvent>) {
    for entry in after.checkpoints.iter().chain(&after.initial) {
        let known = before.checkpoints.iter().chain(&before.initial);
        let Some(known) = known.into_iter().find(|known| known.state() == entry.state()) else { continue };
        let (name, step) = (&after.name, entry.step);
        for node in entry.holders.difference(&known.holders) {
            let message = format!("{name}: {} holds the checkpoint of step {step} too", node.friendly_name());
            let event = LedgerEvent::of_job(EventKind::CheckpointCopied, after, step, message);
            events.push(LedgerEvent { node: Some(*node), ..event });
        }
        for node in known.holders.difference(&entry.holders) {
            let message = format!(
                "{name}: {} does not have the checkpoint of step {step} any more",
                node.friendly_name()
            );
            let event = LedgerEvent::of_job(EventKind::CheckpointLost, after, step, message);
            events.push(LedgerEvent { node: Some(*node), ..event });
        }
    }
}
