//! Drives the succession of councils: what it found or goes over to is on disk before anyone hears of it.

use traind_protocol::coordinator::CoordinatorInput;
use traind_protocol::council::CouncilOptions;
use traind_protocol::ids::NodeId;
use traind_protocol::succession::{
    Legacy, Own, QuorumLossPolicy, SuccessionInput, SuccessionOptions, SuccessionOutput, Successor,
};
use traind_protocol::wire::control::ControlMessage;
use traind_store::{Store, StoreError};

use super::driver::{CouncilDriver, CouncilError, Next};
use crate::session::chain_of;

/// Where the highest generation of a council that this node founded is kept in the store.
const GENERATION_KEY: &str = "council_generation";

/// Where is kept what this node took along from a council that ended.
const LEGACY_KEY: &str = "council_legacy";

/// What the disk says of it.
pub(super) fn options(
    store: &Store,
    me: NodeId,
    policy: QuorumLossPolicy,
) -> Result<SuccessionOptions, CouncilError> {
    let stored = store.get_local(GENERATION_KEY).map_err(CouncilError::Load)?;
    let generation = stored.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok());
    let legacy = store.get_local(LEGACY_KEY).map_err(CouncilError::Load)?;
    let legacy = legacy.filter(|bytes| !bytes.is_empty()).map(|bytes| Legacy::decode(&bytes));
    let legacy = legacy.transpose().map_err(|error| CouncilError::Recover { reason: chain_of(&error) })?;
    Ok(SuccessionOptions {
        me,
        policy,
        council: CouncilOptions::default(),
        generation: generation.map_or(0, u64::from_le_bytes),
        legacy,
    })
}

impl CouncilDriver {
    pub(super) fn step_succession(&mut self, input: SuccessionInput) -> Result<(), CouncilError> {
        let (now, mut outputs) = (self.now(), Vec::new());
        let own = Own { council: self.council.as_ref(), said_seats: &self.said_seats };
        let founds_at = self.succession.founds_at();
        self.succession.step(now, own, input, &mut outputs);
        self.dirty |= founds_at != self.succession.founds_at();
        for output in outputs {
            match output {
                SuccessionOutput::Tell(standing) => {
                    // It is said again in a second.
                    let _ = self.parts.network.broadcast_control(ControlMessage::Standing(standing));
                }
                SuccessionOutput::TellTo(node, standing) => {
                    self.send(node, ControlMessage::Standing(standing));
                }
                SuccessionOutput::PeerElsewhere(node) => {
                    if let Some(&boot) = self.peers.get(&node) {
                        let reason = "it is in another council".to_owned();
                        let lost = CoordinatorInput::PeerLost { node, boot, death_is_certain: false, reason };
                        self.next.push_back(Next::Coordinator(lost));
                    }
                }
                SuccessionOutput::PeerHere(node) => {
                    if let Some(&boot) = self.peers.get(&node) {
                        let joined = CoordinatorInput::PeerJoined { node, boot };
                        self.next.push_back(Next::Coordinator(joined));
                    }
                }
                SuccessionOutput::Turn { to, turn } => {
                    let registration = self.parts.registration.clone();
                    self.send(to, ControlMessage::Turn { registration, turn });
                }
                SuccessionOutput::Propose(command) => self.propose(&command),
                SuccessionOutput::Send { to, council, from, seat, bytes } => {
                    self.send(to, ControlMessage::Raft { council, from, to: seat, bytes });
                }
                SuccessionOutput::Found(successor) => {
                    tracing::warn!(
                        old = %self.council_id(), new = %successor.id,
                        "a majority is lost and its grace is over: this node founds a new council"
                    );
                    self.keep(GENERATION_KEY, &successor.id.generation.to_le_bytes())?;
                    self.succeed(successor)?;
                }
                SuccessionOutput::GoOver(successor) => {
                    tracing::warn!(
                        old = %self.council_id(), new = %successor.id,
                        "this node goes over to another council, which is further"
                    );
                    if let Some(legacy) = &successor.legacy {
                        self.keep(LEGACY_KEY, &legacy.encode())?;
                    }
                    self.detours += u64::from(!successor.continues);
                    self.succeed(successor)?;
                }
                SuccessionOutput::LegacySettled { missing } => {
                    if missing > 0 {
                        tracing::error!(
                            missing,
                            "the council refuses some of what this node took along; it is given up"
                        );
                    }
                    self.keep(LEGACY_KEY, &[])?;
                }
            }
        }
        Ok(())
    }

    /// Another council takes the place of this one.
    fn succeed(&mut self, successor: Successor) -> Result<(), CouncilError> {
        self.leader_changed(None, 0);
        // What was said to the old council is nothing for the new one.
        self.next.retain(|next| !matches!(next, Next::Council(_)));
        self.said_seats = successor.seats;
        let seat = successor.council.seat();
        let (leader, term) = (successor.council.leader(), successor.council.term());
        self.seat = seat;
        self.council = Some(successor.council);
        self.seats_shown = Default::default();
        self.run_council_outputs(successor.outputs)?;
        // A crash before this is made good by the ledger, which knows the seat.
        self.take_seat(seat)?;
        if !self.leading {
            self.leader_changed(leader, term);
        }
        self.dirty = true;
        Ok(())
    }

    fn keep(&self, key: &str, value: &[u8]) -> Result<(), CouncilError> {
        self.parts.store.put_local(key, value).map_err(|error: StoreError| CouncilError::Persist(error))
    }
}
