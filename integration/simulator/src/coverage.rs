//! Which faults met which messages: a table without an empty cell, or the schedules are not worth much.

use std::fmt;

use traind_protocol::index_set::IndexSet;
use traind_protocol::sync::SyncBody;
use traind_protocol::transfer::TransferMessage;

use crate::network::Packet;

/// What may happen to a message, or be the case where it is sent or heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its sender or receiver dies while it is under way.
    Crash,
    /// The node that it was sent to, or by, starts again while it is under way or kept.
    Restart,
    /// Its sender or receiver, alive, is put out while it is under way.
    Eviction,
    /// Its sender or receiver is admitted while it is under way, or has not got the state yet.
    Join,
    /// Its connection breaks while it is under way.
    Break,
    /// It is on, or is put on, a connection that is cut in its direction alone.
    Cut,
    /// It is on, or is put on, a connection that is cut both ways.
    Partition,
    /// Its receiver, or the node that it left, stands still.
    Pause,
    /// It never arrives.
    Loss,
    /// It arrives once more.
    Duplicate,
    /// Another one that was sent after it arrives before it.
    Reorder,
    /// It arrives after its connection was broken and renewed.
    Delay,
    /// It is of a view that its receiver has not entered, or comes after the next one.
    LateView,
    /// Its receiver enters a view beyond it.
    SkippedView,
    /// It is of a view that is over where it arrives.
    StaleEpoch,
    /// It is of a view that halts.
    Halt,
    /// Its sender or receiver is to leave in order.
    Drain,
    /// Its sender or receiver failed to compute a micro-batch of the step.
    Failure,
    /// It is lost as bulk of a view that its receiver has not entered.
    BulkDrop,
    /// It is of, or under way at the end of, a lineage that is lost.
    Founding,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Crash,
        Self::Restart,
        Self::Eviction,
        Self::Join,
        Self::Break,
        Self::Cut,
        Self::Partition,
        Self::Pause,
        Self::Loss,
        Self::Duplicate,
        Self::Reorder,
        Self::Delay,
        Self::LateView,
        Self::SkippedView,
        Self::StaleEpoch,
        Self::Halt,
        Self::Drain,
        Self::Failure,
        Self::BulkDrop,
        Self::Founding,
    ];

    /// Whether it passes over connections between members alone, where views and reports do not travel.
    fn is_of_connections(self) -> bool {
        matches!(self, Self::Break | Self::Cut | Self::Partition)
    }
}

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A state that asks for an answer.
    Fresh,
    /// A state.
    State,
    /// A sum over some micro-batches.
    Sum,
    /// The word that its sender is in a step and has no sum.
    NoSum,
    /// A result.
    Result,
    /// A question for a sum.
    NeedSum,
    /// A question for a result.
    NeedResult,
    /// A question for the state.
    NeedSnapshot,
    /// The list of the chunks of the state.
    Offer,
    /// A question for a chunk, or that it is needed no more.
    AskChunk,
    /// A chunk.
    Chunk,
    /// The word that a chunk is not to be had there, or not now.
    NoChunk,
    /// Report: has the state.
    Synced,
    /// Report: has applied a step.
    Applied,
    /// Report: has stopped.
    Halted,
    /// Report: a computation failed.
    Failed,
    /// A view, from the council.
    View,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Fresh,
        Self::State,
        Self::Sum,
        Self::NoSum,
        Self::Result,
        Self::NeedSum,
        Self::NeedResult,
        Self::NeedSnapshot,
        Self::Offer,
        Self::AskChunk,
        Self::Chunk,
        Self::NoChunk,
        Self::Synced,
        Self::Applied,
        Self::Halted,
        Self::Failed,
        Self::View,
    ];

    /// The kind of a message between members.
    pub(crate) fn of(packet: &Packet) -> Self {
        let message = match packet {
            Packet::Sync(message) => message,
            Packet::Chunk { message, .. } => {
                return match message {
                    TransferMessage::Piece { .. } => Self::Chunk,
                    TransferMessage::Ask { .. } | TransferMessage::Cancel { .. } => Self::AskChunk,
                    _ => Self::NoChunk,
                };
            }
        };
        match &message.body {
            SyncBody::State { fresh: true, .. } => Self::Fresh,
            SyncBody::State { .. } => Self::State,
            SyncBody::Contribution { microbatches, .. } if IndexSet::is_empty(microbatches) => Self::NoSum,
            SyncBody::Contribution { .. } => Self::Sum,
            SyncBody::Result { .. } => Self::Result,
            SyncBody::NeedContribution { .. } => Self::NeedSum,
            SyncBody::NeedResult { .. } => Self::NeedResult,
            SyncBody::NeedSnapshot => Self::NeedSnapshot,
            SyncBody::Offer { .. } => Self::Offer,
        }
    }

    /// Whether it is lost where a receiver has no room for messages of later views.
    pub(crate) fn is_bulk(self) -> bool {
        matches!(self, Self::Sum | Self::NoSum | Self::Result)
    }

    fn is_report(self) -> bool {
        matches!(self, Self::Synced | Self::Applied | Self::Halted | Self::Failed)
    }
}

/// Why this fault cannot meet this message; `None` where it can, and must.
#[must_use]
pub fn impossible(fault: Fault, kind: Kind) -> Option<&'static str> {
    let between_members = !kind.is_report() && kind != Kind::View;
    match (fault, kind) {
        (fault, _) if fault.is_of_connections() && !between_members => {
            Some("reports and views go by way of the council; see the joint table")
        }
        (Fault::BulkDrop, _) if !kind.is_bulk() => Some("not bulk: there is always room for it"),
        (Fault::Delay, _) if !between_members => Some("the council has no connection that is renewed"),
        (Fault::LateView | Fault::SkippedView, kind) if kind.is_report() => {
            Some("the council knows every view that it committed, in order")
        }
        _ => None,
    }
}

/// How often each fault met each kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    cells: [[u64; Kind::ALL.len()]; Fault::ALL.len()],
}

impl Coverage {
    /// One more.
    pub(crate) fn note(&mut self, fault: Fault, kind: Kind) {
        self.cells[fault as usize][kind as usize] += 1;
    }

    /// How often.
    #[must_use]
    pub fn count(&self, fault: Fault, kind: Kind) -> u64 {
        self.cells[fault as usize][kind as usize]
    }

    /// Adds another table.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.cells.iter_mut().flatten().zip(other.cells.iter().flatten());
        pairs.for_each(|(own, other)| *own += other);
    }

    /// Cells in which nothing happened though it can.
    #[must_use]
    pub fn empty(&self) -> Vec<(Fault, Kind)> {
        let all = Fault::ALL.into_iter().flat_map(|fault| Kind::ALL.map(|kind| (fault, kind)));
        all.filter(|(fault, kind)| self.count(*fault, *kind) == 0 && impossible(*fault, *kind).is_none())
            .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<12}", "")?;
        for kind in Kind::ALL {
            write!(formatter, "{:>13}", format!("{kind:?}"))?;
        }
        writeln!(formatter)?;
        let mut reasons: Vec<&str> = Vec::new();
        for fault in Fault::ALL {
            write!(formatter, "{:<12}", format!("{fault:?}"))?;
            for kind in Kind::ALL {
                match impossible(fault, kind) {
                    Some(reason) => {
                        let known = reasons.iter().position(|other| *other == reason);
                        let number = known.unwrap_or_else(|| {
                            reasons.push(reason);
                            reasons.len() - 1
                        });
                        write!(formatter, "{:>13}", format!("({})", number + 1))?;
                    }
                    None => write!(formatter, "{:>13}", self.count(fault, kind))?,
                }
            }
            writeln!(formatter)?;
        }
        for (number, reason) in reasons.iter().enumerate() {
            writeln!(formatter, "({}) {reason}", number + 1)?;
        }
        Ok(())
    }
}
