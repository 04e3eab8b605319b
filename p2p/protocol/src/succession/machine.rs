//! The machine: what a node does where its council cannot decide, and where it hears of another one.

use std::collections::{BTreeMap, BTreeSet};

use super::input_output::{Own, SuccessionInput, SuccessionOptions, SuccessionOutput, Successor};
use super::legacy::Legacy;
use super::limits::{COME_OVER_MS, LEGACY_TRIES_MAX, STANDING_INTERVAL_MS, TURN_RETRY_MS};
use super::prospect::Prospect;
use super::{QuorumFacts, QuorumVerdict, QuorumWatch, Seen, gives_way, turns};
use crate::council::Council;
use crate::ids::{CouncilId, Millis, NodeId, SeatId};
use crate::ledger::limits::NODES_MAX;
use crate::ledger::{GENERATION_MAX, Ledger, LedgerCommand};
use crate::wire::control::Standing;

#[derive(Clone, Copy, Debug)]
struct Turning {
    council: CouncilId,
    weight: (u64, CouncilId),
    leader: NodeId,
    turn: u64,
    asked_at: Option<Millis>,
}

/// See the module.
pub struct Succession {
    options: SuccessionOptions,
    watch: QuorumWatch,
    connected: BTreeSet<NodeId>,
    /// When peers were lost, and whether their process is dead; at most [`NODES_MAX`].
    losses: BTreeMap<NodeId, (Millis, bool)>,
    /// The latest words of connected nodes.
    standings: BTreeMap<NodeId, Standing>,
    tells_at: Millis,
    founds_at: Option<Millis>,
    is_lost: bool,
    turning: Option<Turning>,
    turns: u64,
    prospect: Option<Prospect>,
    /// Connected nodes that the coordinator takes for such.
    shown: BTreeSet<NodeId>,
    /// Until when those that were here when this node founded its council may come over.
    kept_until: Millis,
    kept: BTreeSet<NodeId>,
    /// When the leader of the council that the own one gave way to was heard last.
    winner_heard: Option<(CouncilId, Millis)>,
    legacy_tries: u32,
}

impl Succession {
    /// For a process that starts at `now`.
    #[must_use]
    pub fn new(options: SuccessionOptions, now: Millis) -> Self {
        Self {
            watch: QuorumWatch::new(options.policy, now),
            options,
            connected: BTreeSet::new(),
            losses: BTreeMap::new(),
            standings: BTreeMap::new(),
            tells_at: now,
            founds_at: None,
            is_lost: false,
            turning: None,
            turns: 0,
            prospect: None,
            shown: BTreeSet::new(),
            kept_until: Millis::default(),
            kept: BTreeSet::new(),
            winner_heard: None,
            legacy_tries: 0,
        }
    }

    /// Takes note of `input` and says what is to be done.
    pub fn step(
        &mut self,
        now: Millis,
        own: Own<'_>,
        input: SuccessionInput,
        out: &mut Vec<SuccessionOutput>,
    ) {
        match input {
            SuccessionInput::PeerJoined(node) => self.joined(node, own, out),
            SuccessionInput::PeerLost { node, is_certain } => self.lost(now, node, is_certain),
            SuccessionInput::Standing { from, standing } => self.heard(now, own, from, standing, out),
            SuccessionInput::Seated { council, seat, turn } => self.seated(council, seat, turn),
            SuccessionInput::Message { from, seat, bytes } => {
                if let Some(prospect) = &mut self.prospect {
                    prospect.hear(now, from, seat, bytes, out);
                }
            }
            SuccessionInput::Tick => {
                if let Some(prospect) = &mut self.prospect {
                    prospect.tick(now, out);
                }
            }
        }
        if let Some(successor) = self.prospect.as_mut().and_then(Prospect::take_successor) {
            return self.go_over(now, own, successor, out);
        }
        if self.prospect.as_ref().is_some_and(Prospect::has_failed) {
            self.prospect = None;
        }
        self.tell(now, own, out);
        self.ask(now, out);
        self.show_peers(now, own, out);
        self.watch(now, own, out);
    }

    /// Tells the coordinator who is in another council. It would wait for work of theirs.
    fn show_peers(&mut self, now: Millis, own: Own<'_>, out: &mut Vec<SuccessionOutput>) {
        for &node in &self.connected {
            let is_kept = now < self.kept_until && self.kept.contains(&node);
            if self.is_here(own, node) || is_kept {
                if self.shown.insert(node) {
                    out.push(SuccessionOutput::PeerHere(node));
                }
            } else if self.shown.remove(&node) {
                out.push(SuccessionOutput::PeerElsewhere(node));
            }
        }
    }

    /// Whether `node`, which asks for a seat without saying that it comes over, is in another council.
    #[must_use]
    pub fn is_elsewhere(&self, own: &Ledger, node: NodeId) -> bool {
        self.standings.get(&node).is_some_and(|standing| standing.council != own.lineage.council)
    }

    /// When to call with [`SuccessionInput::Tick`] next.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let asks = self.turning.and_then(|turning| turning.asked_at).map(|at| at.plus(TURN_RETRY_MS));
        let prospect = self.prospect.as_ref().map(Prospect::deadline);
        [Some(self.tells_at), self.founds_at, asks, prospect]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.tells_at)
    }

    /// When this node founds a new council, if it is about to.
    #[must_use]
    pub fn founds_at(&self) -> Option<Millis> {
        self.founds_at
    }

    /// The council that this node is going over to, and its leader.
    #[must_use]
    pub fn turning_to(&self) -> Option<(CouncilId, NodeId)> {
        self.turning.map(|turning| (turning.council, turning.leader))
    }

    /// Whether a message of `council` for `seat` is for [`SuccessionInput::Message`].
    #[must_use]
    pub fn expects(&self, council: CouncilId, seat: SeatId) -> bool {
        self.prospect.as_ref().is_some_and(|prospect| prospect.is(council, seat))
    }

    /// What has to be in the ledger before `from`, which asks for a seat, gets one: its views' epochs must be below.
    #[must_use]
    pub fn before_admission(&self, own: &Ledger, from: NodeId) -> Option<LedgerCommand> {
        let theirs = self.standings.get(&from)?;
        let is_above = theirs.council != own.lineage.council && theirs.range > own.lineage.range;
        is_above.then_some(LedgerCommand::UniteCouncils { range: theirs.range })
    }

    fn joined(&mut self, node: NodeId, own: Own<'_>, out: &mut Vec<SuccessionOutput>) {
        if self.connected.len() < 2 * NODES_MAX {
            self.connected.insert(node);
        }
        // As the driver told the coordinator.
        self.shown.insert(node);
        self.kept.remove(&node);
        self.losses.remove(&node);
        if let Some(standing) = standing_of(own) {
            out.push(SuccessionOutput::TellTo(node, standing));
        }
    }

    fn lost(&mut self, now: Millis, node: NodeId, is_certain: bool) {
        self.connected.remove(&node);
        self.shown.remove(&node);
        self.standings.remove(&node);
        if self.losses.len() < NODES_MAX || self.losses.contains_key(&node) {
            self.losses.insert(node, (now, is_certain));
        }
        if self.turning.is_some_and(|turning| turning.leader == node) {
            self.turning = None;
            self.prospect = None;
        }
    }

    fn heard(
        &mut self,
        now: Millis,
        own: Own<'_>,
        from: NodeId,
        standing: Standing,
        out: &mut Vec<SuccessionOutput>,
    ) {
        if !self.connected.contains(&from) {
            return;
        }
        self.standings.insert(from, standing);
        let Some(council) = own.council else { return };
        let lineage = &council.replicated().lineage;
        if lineage.yielded == Some(standing.council) && standing.leads {
            self.winner_heard = Some((standing.council, now));
        }
        if council.is_settled_leader() && gives_way(lineage, &standing) {
            let (to, samples) = (standing.council, standing.samples);
            out.push(SuccessionOutput::Propose(LedgerCommand::YieldCouncil { to, samples }));
        }
        let weight = (standing.samples, standing.council);
        match &mut self.turning {
            // Another seat leads it now.
            Some(turning) if turning.council == standing.council && standing.leads => {
                turning.weight = weight;
                if std::mem::replace(&mut turning.leader, from) != from {
                    turning.asked_at = None;
                }
            }
            Some(turning) if turning.council == standing.council || turning.weight > weight => {}
            _ => {
                if turns(lineage, self.leader(own).is_some(), &standing) {
                    self.turns += 1;
                    let (council, leader, turn) = (standing.council, from, self.turns);
                    self.turning = Some(Turning { council, weight, leader, turn, asked_at: None });
                    self.prospect = None;
                }
            }
        }
    }

    fn seated(&mut self, council: CouncilId, seat: SeatId, turn: u64) {
        let is_asked = self.turning.is_some_and(|turning| (turning.council, turning.turn) == (council, turn));
        if is_asked && seat != SeatId::default() && !self.expects(council, seat) {
            let options = self.options.council.clone();
            self.prospect = Some(Prospect::new(council, seat, self.options.me, options));
        }
    }

    /// Asks the leader of the other council until its ledger is here.
    fn ask(&mut self, now: Millis, out: &mut Vec<SuccessionOutput>) {
        if let Some(turning) = &mut self.turning
            && turning.asked_at.is_none_or(|at| at.plus(TURN_RETRY_MS) <= now)
        {
            turning.asked_at = Some(now);
            out.push(SuccessionOutput::Turn { to: turning.leader, turn: turning.turn });
        }
    }

    /// Tells all which council this is, and its own council what it took along.
    fn tell(&mut self, now: Millis, own: Own<'_>, out: &mut Vec<SuccessionOutput>) {
        if now < self.tells_at {
            return;
        }
        self.tells_at = now.plus(STANDING_INTERVAL_MS);
        let Some(standing) = standing_of(own) else { return };
        out.push(SuccessionOutput::Tell(standing));
        let (Some(legacy), Some(council)) = (&self.options.legacy, own.council) else { return };
        let missing = legacy.missing(council.replicated());
        if missing.is_empty() || self.legacy_tries >= LEGACY_TRIES_MAX {
            self.options.legacy = None;
            return out.push(SuccessionOutput::LegacySettled { missing: missing.len() });
        }
        if council.leader().is_some() {
            self.legacy_tries += 1;
            out.extend(missing.into_iter().map(SuccessionOutput::Propose));
        }
    }

    /// Looks whether a majority is here, and founds the next council where it is time.
    fn watch(&mut self, now: Millis, own: Own<'_>, out: &mut Vec<SuccessionOutput>) {
        let Some(council) = own.council else { return };
        let facts = self.facts(now, own, council);
        let verdict = self.watch.step(now, &facts);
        let is_lost = verdict != QuorumVerdict::Holds;
        if is_lost
            && !self.is_lost
            && let Some(standing) = standing_of(own)
        {
            // The others need to know how far this node is.
            out.push(SuccessionOutput::Tell(standing));
        }
        self.is_lost = is_lost;
        self.founds_at = match verdict {
            QuorumVerdict::Holds => None,
            QuorumVerdict::Lost { until } => until,
            QuorumVerdict::Found => {
                let successor = self.found(own, council);
                if let Some(successor) = successor {
                    self.settle_in(now);
                    self.kept =
                        self.connected.iter().copied().filter(|node| self.is_here(own, *node)).collect();
                    self.kept_until = now.plus(COME_OVER_MS);
                    out.push(SuccessionOutput::Found(successor));
                }
                None
            }
        };
    }

    fn facts(&mut self, now: Millis, own: Own<'_>, council: &Council<Ledger>) -> QuorumFacts {
        let (me, ledger) = (self.options.me, council.replicated());
        let node_of = |seat: SeatId| {
            let known = ledger.node_of_seat(seat).or_else(|| own.said_seats.get(&seat).copied());
            if seat == council.seat() { me } else { known.unwrap_or_default() }
        };
        let quorums: Vec<BTreeSet<NodeId>> =
            council.quorums().into_iter().map(|seats| seats.into_iter().map(node_of).collect()).collect();
        let seen =
            quorums.iter().flatten().filter(|node| **node != me).map(|node| (*node, self.seen(own, *node)));
        let others = ledger.nodes.keys().filter(|node| **node != me && self.is_here(own, **node));
        let log_end_of = |node: &NodeId| self.standings.get(node).map(|standing| standing.log_end);
        let facts = QuorumFacts {
            me,
            seen: seen.collect(),
            leader_is_here: self.leader(own).is_some_and(|node| node != me),
            // Who goes over to another council founds none.
            log_end: (council.has_state() && self.turning.is_none()).then(|| council.log_end()),
            others: others.map(|node| (*node, log_end_of(node))).collect(),
            stranded_at: None,
            quorums,
        };
        let stranded_at = ledger.lineage.yielded.map(|to| match self.winner_heard {
            Some((winner, at)) if winner == to => at,
            _ => {
                self.winner_heard = Some((to, now));
                now
            }
        });
        QuorumFacts { stranded_at, ..facts }
    }

    /// Whether `node` is connected and in this node's council, as far as it said.
    fn is_here(&self, own: Own<'_>, node: NodeId) -> bool {
        let council = council_of(own);
        let word = self.standings.get(&node);
        self.connected.contains(&node) && word.is_none_or(|standing| Some(standing.council) == council)
    }

    /// The node that leads the own council, if it is this one or here.
    fn leader(&self, own: Own<'_>) -> Option<NodeId> {
        let council = own.council?;
        let seat = council.leader()?;
        if seat == council.seat() {
            return Some(self.options.me);
        }
        let node = council.replicated().node_of_seat(seat).or_else(|| own.said_seats.get(&seat).copied())?;
        self.is_here(own, node).then_some(node)
    }

    fn seen(&self, own: Own<'_>, node: NodeId) -> Seen {
        if self.is_here(own, node) {
            return Seen::Here;
        }
        match self.losses.get(&node) {
            Some(&(at, true)) => Seen::Died { at },
            Some(&(at, false)) => Seen::Silent { at },
            None => Seen::NeverMet,
        }
    }

    /// The next council, on the ledger as this node has it, with all that is in its log.
    fn found(&mut self, own: Own<'_>, council: &Council<Ledger>) -> Option<Successor> {
        let heard = self.standings.values().map(|standing| standing.council.generation);
        let heard = heard.filter(|generation| *generation < GENERATION_MAX);
        let lineage = &council.replicated().lineage;
        let known = [self.options.generation, lineage.council.generation, lineage.range_generation()];
        let generation = heard.chain(known).max().unwrap_or(0) + 1;
        if generation > GENERATION_MAX {
            return None;
        }
        let mut ledger = council.to_the_end(Ledger::default(), LedgerCommand::is_kept).ok()?;
        let id = CouncilId { generation, founder: self.options.me };
        let (mut outputs, end) = (Vec::new(), council.log_end());
        ledger.begin_council(id, council.seat(), end);
        let options = self.options.council.clone();
        let founded = Council::found_after(council.seat(), options, ledger, end, &mut outputs);
        self.options.generation = generation;
        Some(Successor {
            id,
            council: founded,
            outputs,
            seats: own.said_seats.clone(),
            legacy: None,
            continues: true,
        })
    }

    fn go_over(
        &mut self,
        now: Millis,
        own: Own<'_>,
        mut successor: Successor,
        out: &mut Vec<SuccessionOutput>,
    ) {
        if let Some(council) = own.council.filter(|council| council.has_state()) {
            let old = council.replicated().lineage.council;
            let new = &successor.council.replicated().lineage;
            successor.continues = new.continues(old, council.applied_end());
            let left = council.to_the_end(Ledger::default(), LedgerCommand::is_kept);
            let left = left.unwrap_or_else(|_| council.replicated().clone());
            let mut legacy = Legacy::of(&left, self.options.me);
            legacy.extend(self.options.legacy.take());
            self.options.legacy = Some(legacy);
        }
        successor.legacy.clone_from(&self.options.legacy);
        self.settle_in(now);
        out.push(SuccessionOutput::GoOver(successor));
    }

    /// What was known of the old council says nothing about the new one.
    fn settle_in(&mut self, now: Millis) {
        self.turning = None;
        self.prospect = None;
        self.watch = QuorumWatch::new(self.options.policy, now);
        self.founds_at = None;
        self.is_lost = false;
        self.tells_at = now;
        self.winner_heard = None;
        self.legacy_tries = 0;
    }
}

fn council_of(own: Own<'_>) -> Option<CouncilId> {
    own.council.map(|council| council.replicated().lineage.council)
}

/// This node's word on its council, if it is in one.
fn standing_of(own: Own<'_>) -> Option<Standing> {
    let council = own.council.filter(|council| council.has_state())?;
    let lineage = &council.replicated().lineage;
    Some(Standing {
        council: lineage.council,
        samples: lineage.samples,
        range: lineage.range,
        log_end: council.log_end(),
        leads: council.is_settled_leader() && lineage.yielded.is_none(),
    })
}
