//! What the driver tells the council.

use std::collections::BTreeSet;

use crate::ids::SeatId;

/// What the driver tells the council.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CouncilInput {
    /// The deadline came. Earlier it does nothing.
    Tick,
    /// A message arrived. The transport vouches for `from`.
    Message {
        /// Seat of the sender.
        from: SeatId,
        /// What [`CouncilOutput::Send`](super::CouncilOutput::Send) gave over there.
        bytes: Vec<u8>,
    },
    /// Put this command into the log. A seat that is not the leader forwards it; forwarding may lose or repeat it,
    /// so commands are idempotent and whoever waits for one proposes it again.
    Propose(Vec<u8>),
    /// The seats that should vote and learn. Only the leader listens; it goes there by joint consensus and in
    /// stages: new voters learn until they are caught up, then all of them vote at once. A leader that is to leave
    /// first hands over to a voter that stays, and the new leader has to be asked again. A later target replaces an
    /// earlier one.
    ChangeSeats {
        /// Seats that should vote: 1 to [`VOTERS_MAX`](super::VOTERS_MAX), otherwise nothing changes.
        voters: BTreeSet<SeatId>,
        /// Seats that should learn. A seat in both sets votes.
        learners: BTreeSet<SeatId>,
    },
    /// Hand leadership to this seat. Only the leader listens, and only if the seat is another voter that answers and has
    /// nearly all of the log; otherwise nothing happens. Until it leads, proposals are dropped; if it does not within
    /// an election timeout, this seat goes on leading and may be asked again.
    TransferLeadership {
        /// Who is to lead.
        to: SeatId,
    },
    /// A connection to this seat is new. A seat that leads says so at once: who starts anew need not wait for a heartbeat.
    Reachable(SeatId),
    /// Messages to this seat may have been lost.
    Unreachable(SeatId),
    /// Evidence that the process of this seat is dead: connection reset and redial refused. If it led, its lease
    /// ends now. Taken back by the next message from it. Wrong evidence costs nothing but a refused campaign.
    PeerDied(SeatId),
}
