//! A council that lost its majority, and councils that meet: founds the next one, tells which one this node is in, and
//! goes over to another.

use std::collections::BTreeMap;

use traind_protocol::council::{Council, CouncilInput, CouncilOptions, CouncilOutput};
use traind_protocol::ids::{CouncilId, Millis, NodeId, SeatId};
use traind_protocol::ledger::limits::NODES_MAX;
use traind_protocol::ledger::{GENERATION_MAX, Ledger};
use traind_protocol::succession::limits::STANDING_INTERVAL_MS;
use traind_protocol::succession::{QuorumFacts, QuorumLossPolicy, QuorumVerdict, QuorumWatch, Seen, turns};
use traind_protocol::wire::control::{ControlMessage, Standing};

use super::driver::{CouncilDriver, CouncilError, GENERATION_KEY};

/// A seat in another council, in which this node has nothing durable yet.
pub(super) struct Prospect {
    council: CouncilId,
    pub(super) group: Council<Ledger>,
    /// Who is in which seat there, as far as they said it.
    seats: BTreeMap<SeatId, NodeId>,
}

/// What the driver keeps for it.
pub(super) struct Succession {
    watch: QuorumWatch,
    /// The latest words of connected nodes, at most [`NODES_MAX`].
    standings: BTreeMap<NodeId, Standing>,
    tells_at: Millis,
    /// When this node founds a new council.
    pub(super) founds_at: Option<Millis>,
    is_lost: bool,
    /// The council that this node goes over to, and who leads it.
    turning: Option<(CouncilId, NodeId)>,
    pub(super) prospect: Option<Prospect>,
}

impl Succession {
    pub(super) fn new(policy: QuorumLossPolicy, now: Millis) -> Self {
        Self {
            watch: QuorumWatch::new(policy, now),
            standings: BTreeMap::new(),
            tells_at: now,
            founds_at: None,
            is_lost: false,
            turning: None,
            prospect: None,
        }
    }

    /// When something is due by the clock alone.
    pub(super) fn deadline(&self) -> Millis {
        self.founds_at.map_or(self.tells_at, |at| at.min(self.tells_at))
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.standings.remove(&node);
        if self.turning.is_some_and(|(_, leader)| leader == node) {
            self.turning = None;
            self.prospect = None;
        }
    }

    pub(super) fn is_turning(&self) -> bool {
        self.turning.is_some()
    }

    pub(super) fn turning_leader(&self) -> Option<NodeId> {
        self.turning.map(|(_, leader)| leader)
    }

    pub(super) fn is_turning_to(&self, council: CouncilId) -> bool {
        self.turning.is_some_and(|(to, _)| to == council)
    }

    /// Whether a message is for the seat in the council that this node goes over to.
    pub(super) fn is_of_prospect(&self, council: CouncilId, to: SeatId) -> bool {
        self.prospect
            .as_ref()
            .is_some_and(|prospect| prospect.council == council && prospect.group.seat() == to)
    }
}

/// The state of a node that joins `council` and knows nothing of it yet.
pub(super) fn joining(council: CouncilId) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.lineage.council = council;
    ledger
}

impl CouncilDriver {
    /// This node's word on its council, if it is in one.
    fn own_standing(&self) -> Option<Standing> {
        let council = self.council.as_ref().filter(|council| council.has_state())?;
        let lineage = &council.replicated().lineage;
        Some(Standing {
            council: lineage.council,
            samples: lineage.samples,
            log_end: council.log_end(),
            leads: council.is_settled_leader() && lineage.yielded.is_none(),
        })
    }

    pub(super) fn tell_standing_to(&self, node: NodeId) {
        if let Some(standing) = self.own_standing() {
            self.send(node, ControlMessage::Standing(standing));
        }
    }

    /// Tells everyone, if the last time is long enough ago.
    pub(super) fn tell_standing(&mut self) {
        let now = self.now();
        if now < self.succession.tells_at {
            return;
        }
        self.succession.tells_at = now.plus(STANDING_INTERVAL_MS);
        if let Some(standing) = self.own_standing() {
            // It is said again in a second.
            let _ = self.parts.network.broadcast_control(ControlMessage::Standing(standing));
        }
    }

    /// A peer told which council it is in.
    pub(super) fn standing(&mut self, from: NodeId, standing: Standing) {
        let known = &mut self.succession.standings;
        if !self.peers.contains_key(&from) || (known.len() >= NODES_MAX && !known.contains_key(&from)) {
            return;
        }
        known.insert(from, standing);
        let has_leader = self.coordinator_node().is_some_and(|node| self.is_here(node));
        let Some(ledger) = self.ledger() else { return };
        let turns = turns(&ledger.lineage, has_leader, &standing);
        if turns && self.succession.turning.is_none() {
            tracing::warn!(
                own = %ledger.lineage.council, council = %standing.council, leader = %from.short(),
                "this node's council cannot decide and another one is further: going over to it"
            );
            self.succession.turning = Some((standing.council, from));
            self.registering.hurry();
            self.register();
        }
    }

    /// The other council has a seat for this node: takes part there, and keeps the old state until the new one is here.
    pub(super) fn start_prospect(&mut self, leader: NodeId, council: CouncilId, seat: SeatId) {
        let is_known = self
            .succession
            .prospect
            .as_ref()
            .is_some_and(|known| known.council == council && known.group.seat() == seat);
        if !is_known {
            let group = Council::join(seat, CouncilOptions::default(), joining(council));
            let seats = [(seat, self.parts.me.node)].into();
            self.succession.prospect = Some(Prospect { council, group, seats });
            tracing::info!(%council, seat = seat.0, leader = %leader.short(), "waits for the other council's ledger");
        }
    }

    pub(super) fn hear_for_prospect(
        &mut self,
        from: NodeId,
        seat: SeatId,
        bytes: Vec<u8>,
    ) -> Result<(), CouncilError> {
        if let Some(prospect) = &mut self.succession.prospect
            && (prospect.seats.len() < NODES_MAX || prospect.seats.contains_key(&seat))
        {
            prospect.seats.insert(seat, from);
        }
        self.step_prospect(CouncilInput::Message { from: seat, bytes })
    }

    /// Steps the seat in the other council. Nothing of it is durable before its ledger is here, which replaces the old
    /// one in one write; until then it is a follower that promised nothing.
    pub(super) fn step_prospect(&mut self, input: CouncilInput) -> Result<(), CouncilError> {
        let now = self.now();
        let Some(prospect) = &mut self.succession.prospect else { return Ok(()) };
        let mut outputs = Vec::new();
        prospect.group.step(now, input, &mut outputs);
        let Some(position) = outputs.iter().position(brings_state) else {
            let (council, from) = (prospect.council, prospect.group.seat());
            for output in outputs {
                match output {
                    CouncilOutput::Send { to, bytes } => {
                        let node = self.succession.prospect.as_ref().and_then(|known| known.seats.get(&to));
                        if let Some(&node) = node {
                            self.send(node, ControlMessage::Raft { council, from, to, bytes });
                        }
                    }
                    CouncilOutput::Poisoned => self.succession.prospect = None,
                    _ => {}
                }
            }
            return Ok(());
        };
        let mut outputs = outputs.split_off(position);
        if let Some(CouncilOutput::Persist(record)) = outputs.first_mut() {
            // All of the old log, whatever its indices.
            record.compact_before = Some(u64::MAX);
        }
        self.go_over(outputs)
    }

    /// The other council's ledger is here: from now on it is this node's.
    fn go_over(&mut self, outputs: Vec<CouncilOutput>) -> Result<(), CouncilError> {
        let Some(prospect) = self.succession.prospect.take() else { return Ok(()) };
        let (seat, council) = (prospect.group.seat(), prospect.council);
        tracing::warn!(old = %self.council_id(), new = %council, seat = seat.0, "this node is in another council now");
        self.leader_changed(None, 0);
        self.said_seats = prospect.seats;
        let leader = prospect.group.leader();
        let term = prospect.group.term();
        self.seat = seat;
        self.council = Some(prospect.group);
        self.settle_in();
        self.run_council_outputs(outputs)?;
        self.take_seat(seat)?;
        self.leader_changed(leader, term);
        Ok(())
    }

    /// What was known of the old council says nothing about the new one.
    fn settle_in(&mut self) {
        let now = self.now();
        self.succession.turning = None;
        self.succession.prospect = None;
        self.succession.watch = QuorumWatch::new(self.succession.watch.policy(), now);
        self.succession.founds_at = None;
        self.succession.is_lost = false;
        self.succession.tells_at = now;
        self.seats_shown = Default::default();
        self.dirty = true;
    }

    /// Looks whether a majority is here, and founds the next council where it is time.
    pub(super) fn watch_quorum(&mut self) -> Result<(), CouncilError> {
        let (now, Some(facts)) = (self.now(), self.quorum_facts()) else { return Ok(()) };
        let verdict = self.succession.watch.step(now, &facts);
        let is_lost = verdict != QuorumVerdict::Holds;
        if is_lost && !self.succession.is_lost {
            // The others need to know how far this node is.
            self.succession.tells_at = now;
            self.tell_standing();
            tracing::warn!(policy = ?self.succession.watch.policy(), "a majority of the council is lost");
        }
        self.succession.is_lost = is_lost;
        let founds_at = match verdict {
            QuorumVerdict::Lost { until } => until,
            QuorumVerdict::Holds => None,
            QuorumVerdict::Found => return self.found_next(),
        };
        if founds_at != self.succession.founds_at {
            self.succession.founds_at = founds_at;
            self.dirty = true;
        }
        Ok(())
    }

    fn quorum_facts(&self) -> Option<QuorumFacts> {
        let (me, council) = (self.parts.me.node, self.council.as_ref()?);
        let ledger = council.replicated();
        let nodes_of = |seats: std::collections::BTreeSet<SeatId>| {
            let node = |seat: SeatId| self.node_of(seat).unwrap_or_default();
            seats.into_iter().map(node).collect()
        };
        let quorums: Vec<std::collections::BTreeSet<NodeId>> =
            council.quorums().into_iter().map(nodes_of).collect();
        let seen = quorums.iter().flatten().filter(|node| **node != me).map(|node| (*node, self.seen(*node)));
        let leader = self.coordinator_node().filter(|node| *node != me);
        let others = ledger.nodes.keys().filter(|node| **node != me && self.is_here(**node));
        Some(QuorumFacts {
            me,
            seen: seen.collect(),
            leader_is_here: leader.is_some_and(|node| self.is_here(node)),
            // Who goes over to another council founds none.
            log_end: (council.has_state() && !self.succession.is_turning()).then(|| council.log_end()),
            others: others
                .map(|node| (*node, self.succession.standings.get(node).map(|standing| standing.log_end)))
                .collect(),
            quorums,
        })
    }

    /// Whether `node` is connected and in this node's council, as far as it said.
    fn is_here(&self, node: NodeId) -> bool {
        let elsewhere = self.succession.standings.get(&node);
        self.peers.contains_key(&node)
            && elsewhere.is_none_or(|standing| standing.council == self.council_id())
    }

    fn seen(&self, node: NodeId) -> Seen {
        if self.is_here(node) {
            return Seen::Here;
        }
        match self.lost.get(&node) {
            Some(loss) if loss.is_certain => Seen::Died { at: loss.at },
            Some(loss) => Seen::Silent { at: loss.at },
            None => Seen::NeverMet,
        }
    }

    /// Founds the next council on the ledger as this node has it, with all that is in its log.
    fn found_next(&mut self) -> Result<(), CouncilError> {
        let Some(council) = &self.council else { return Ok(()) };
        let stored = self.parts.store.get_local(GENERATION_KEY).map_err(CouncilError::Load)?;
        let stored =
            stored.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok()).map(u64::from_le_bytes);
        let heard = self.succession.standings.values().map(|standing| standing.council.generation);
        let newest = heard.filter(|generation| *generation < GENERATION_MAX).chain(stored);
        let generation = newest.fold(self.council_id().generation, u64::max) + 1;
        let mut ledger = council.to_the_end(Ledger::default()).map_err(|error| CouncilError::Recover {
            reason: format!("the ledger to found a new council on: {error}"),
        })?;
        let id = CouncilId { generation, founder: self.parts.me.node };
        tracing::warn!(old = %self.council_id(), new = %id, "a majority is lost and its grace is over: founding a new council");
        ledger.begin_council(id, self.seat);
        // Before anyone can hear of it: no later council of this node may have the same name.
        let stored = self.parts.store.put_local(GENERATION_KEY, &generation.to_le_bytes());
        stored.map_err(CouncilError::Persist)?;
        let (end, mut outputs) = (council.log_end(), Vec::new());
        let founded = Council::found_after(self.seat, CouncilOptions::default(), ledger, end, &mut outputs);
        self.leader_changed(None, 0);
        self.council = Some(founded);
        self.settle_in();
        self.run_council_outputs(outputs)
    }
}

/// Whether this record replaces the whole state.
fn brings_state(output: &CouncilOutput) -> bool {
    matches!(output, CouncilOutput::Persist(record) if record.snapshot.is_some())
}
