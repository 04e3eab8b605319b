//! What happens at random while faults last.

use traind_protocol::ids::Epoch;
use traind_protocol::sync::SyncInput;
use traind_protocol::view::Member;

use crate::coverage::{Fault, Kind};
use crate::network::Packet;
use crate::node::{node_id, node_index};
use crate::plan::FaultRates;
use crate::random::Random;
use crate::world::{Said, Word, World};

/// Actions at which the council looks whether a member may leave, per mille.
const DRAINS_LOOKED_AT_PER_MILLE: u64 = 100;

/// Actions that end a halt, per mille: many runs come to a stop before, some do not.
const HALTS_ENDED_PER_MILLE: u64 = 15;

/// Computations that fail, per mille.
const COMPUTATIONS_FAILED_PER_MILLE: u64 = 15;

/// Notices of a view, and reports, that are lost; those that come twice; per mille.
const LOST_PER_MILLE: u64 = 60;
const REPEATED_PER_MILLE: u64 = 60;

impl World {
    /// One action: a fault by its rate, else something that moves the job on. Each has a stream of chance of its own, so
    /// that one left out changes the others as little as can be.
    pub(crate) fn act(&mut self) {
        self.action += 1;
        self.clock += 1;
        self.random = Random::new((self.plan.seed << 24 ^ self.action).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rates = self.plan.faults;
        let FaultRates { crash, restart, evict, join, break_path, partition, pause, drain, halt, found, lie } =
            rates;
        let mut draw = self.random.next() % 1000;
        let mut hits = |rate: u64| {
            let hit = draw < rate;
            draw = if hit { u64::MAX } else { draw.wrapping_sub(rate) };
            hit
        };
        let faults: [fn(&mut Self); 11] = [
            Self::crash_one,
            Self::restart_one,
            |world| world.change_view(true),
            |world| world.change_view(false),
            Self::break_one,
            Self::block_some,
            Self::pause_one,
            Self::drain_one,
            |world| world.turn_halt(true),
            Self::give_up_lineage,
            Self::lie_one,
        ];
        let rates = [crash, restart, evict, join, break_path, partition, pause, drain, halt, found, lie];
        match rates.into_iter().position(&mut hits) {
            Some(which) if self.schedule.keeps(self.action) => faults[which](self),
            Some(_) => {}
            None => self.go_on(),
        }
    }

    fn go_on(&mut self) {
        if self.service.drains.any() && self.random.chance(DRAINS_LOOKED_AT_PER_MILLE) {
            self.remove_drained();
        }
        if self.service.halt && self.random.chance(HALTS_ENDED_PER_MILLE) {
            self.turn_halt(false);
        }
        self.put_out_liars();
        self.flood_some();
        self.tick_fetches();
        match self.random.below(100) {
            0..8 if !self.notices.is_empty() => self.hear_of_some_view(),
            8..12 if !self.words.is_empty() => self.hear_some_word(),
            12..16 if !self.network.unnoticed.is_empty() => {
                let position = self.random.below(self.network.unnoticed.len());
                let (at, _) = self.network.unnoticed[position];
                if !self.nodes[at].paused {
                    let (at, of) = self.network.unnoticed.swap_remove(position);
                    self.path_renewed(at, of);
                }
            }
            16..19 if !self.network.limbo.is_empty() => self.deliver_late(),
            19..20 => self.finish_some_loading(),
            20..24 => self.serve_some(),
            24..50 => self.finish_some_task(),
            _ => self.deliver_some(),
        }
    }

    fn hear_of_some_view(&mut self) {
        let position = self.random.below(self.notices.len());
        let (index, epoch) = self.notices[position];
        if self.nodes[index].paused {
            return self.coverage.note(Fault::Pause, Kind::View);
        }
        if !self.random.chance(REPEATED_PER_MILLE) {
            self.notices.swap_remove(position);
        } else {
            self.coverage.note(Fault::Duplicate, Kind::View);
        }
        if self.notices.iter().any(|(hearer, other)| *hearer == index && *other < epoch) {
            self.coverage.note(Fault::Reorder, Kind::View);
        }
        // The ledger shows the newest view again as soon as anybody asks.
        if epoch < self.service.latest().epoch && self.random.chance(LOST_PER_MILLE) {
            return self.coverage.note(Fault::Loss, Kind::View);
        }
        self.notice(index, epoch);
    }

    fn hear_some_word(&mut self) {
        let reorders = self.plan.reorder && self.random.chance(400);
        let position = if reorders { self.random.below(self.words.len()) } else { 0 };
        let said = self.words.remove(position);
        if self.words[..position].iter().any(|other| other.life == said.life) {
            self.coverage.note(Fault::Reorder, said.kind());
        }
        if self.random.chance(LOST_PER_MILLE) {
            self.coverage.note(Fault::Loss, said.kind());
            return self.unheard.push(said);
        }
        if self.random.chance(REPEATED_PER_MILLE) {
            self.coverage.note(Fault::Duplicate, said.kind());
            self.unheard.push(said);
        }
        if !self.unheard.is_empty() && self.random.chance(300) {
            let again = self.random.below(self.unheard.len());
            self.words.push(self.unheard.swap_remove(again));
        }
        self.hear(said);
    }

    fn deliver_late(&mut self) {
        let position = self.random.below(self.network.limbo.len());
        let (from, to, message) = self.network.limbo[position].clone();
        if self.nodes[to].paused {
            return;
        }
        let kind = Kind::of(&message);
        if self.random.chance(500) {
            self.network.limbo.swap_remove(position);
        } else {
            self.coverage.note(Fault::Duplicate, kind);
        }
        self.coverage.note(Fault::Delay, kind);
        self.deliver(from, to, message);
    }

    fn finish_some_loading(&mut self) {
        let loading: Vec<usize> = (0..self.nodes.len())
            .filter(|index| self.nodes[*index].loading.is_some() && !self.nodes[*index].paused)
            .collect();
        if let Some(&index) = self.random.pick(&loading) {
            self.finish_loading(index);
        }
    }

    fn finish_some_task(&mut self) {
        let busy: Vec<usize> = (0..self.nodes.len())
            .filter(|index| !self.nodes[*index].tasks.is_empty() && !self.nodes[*index].paused)
            .collect();
        if let Some(&index) = self.random.pick(&busy) {
            let position = self.random.below(self.nodes[index].tasks.len());
            let fails = self.random.chance(COMPUTATIONS_FAILED_PER_MILLE) && !self.plan.orderly;
            let failed = fails && self.schedule.keeps(self.action);
            self.finish_task(index, position, failed);
        }
    }

    fn serve_some(&mut self) {
        let busy: Vec<usize> = (0..self.nodes.len())
            .filter(|index| !self.nodes[*index].chunks.serving.is_empty() && !self.nodes[*index].paused)
            .collect();
        match self.random.pick(&busy) {
            Some(&index) => {
                let position = self.random.below(self.nodes[index].chunks.serving.len());
                self.serve(index, position);
            }
            None => self.finish_some_task(),
        }
    }

    fn deliver_some(&mut self) {
        let mut pairs = self.network.deliverable();
        pairs.retain(|(_, to)| !self.nodes[*to].paused);
        if let Some(&(from, to)) = self.random.pick(&pairs) {
            let overtakes = self.plan.reorder && self.random.chance(400);
            let queue = self.network.queue(from, to);
            let position = if overtakes { self.random.below(queue.len()) } else { 0 };
            let overtaken: Vec<Kind> = queue.iter().take(position).map(Kind::of).collect();
            overtaken.into_iter().for_each(|kind| self.coverage.note(Fault::Reorder, kind));
            if let Some(message) = self.network.take(from, to, position) {
                self.deliver(from, to, message);
            }
        }
    }

    /// A message arrives, unless it is bulk of a later epoch in a run where such is lost.
    pub(crate) fn deliver(&mut self, from: usize, to: usize, message: Packet) {
        let epoch =
            self.nodes[to].place.as_ref().and_then(|place| place.view).map_or(Epoch(0), |view| view.1);
        let kind = Kind::of(&message);
        self.note_arrival(from, to, &message);
        if self.plan.bulk_dropped && kind.is_bulk() && message.view().1 > epoch {
            return self.coverage.note(Fault::BulkDrop, kind);
        }
        match message {
            Packet::Sync(message) => self.feed(to, SyncInput::Message { from: node_id(from), message }),
            Packet::Chunk { message, .. } => self.heard_of_chunk(to, from, message),
        }
    }

    /// A node learns of a view.
    pub(crate) fn notice(&mut self, index: usize, epoch: Epoch) {
        self.note_view(index, epoch);
        if let Some(view) = self.service.view(epoch).cloned() {
            self.feed(index, SyncInput::EnterView(view));
        }
    }

    /// The council hears a life.
    pub(crate) fn hear(&mut self, said: Said) {
        self.note_word(&said);
        let Said { life, epoch, word } = said;
        match word {
            Word::Synced { tenure } => self.service.acknowledge(life, tenure),
            Word::Halted => self.service.drains.halted(life, epoch),
            Word::Failed => self.complaints.push(epoch),
            Word::Applied { step, chain } => {
                if let Some(member) = self.service.latest().member(life).copied() {
                    self.service.drains.applied(&member, epoch, step);
                }
                if let Some(chains) = self.service.report_applied(life, epoch, step, chain) {
                    if chains.iter().any(|other| *other != chain) {
                        self.fail("B1", format!("members of epoch {} report two chains", epoch.0));
                    }
                    let lineage = self.service.view(epoch).map(|view| view.incarnation);
                    if lineage == Some(self.service.latest().incarnation) {
                        self.claim_stable(step, chain, "all of a view have reported it");
                        self.save_checkpoint(node_index(life.node), step);
                    }
                }
            }
        }
    }

    /// The state of a step just found stable goes into a checkpoint now and then, if its holder still has it.
    fn save_checkpoint(&mut self, index: usize, step: u64) {
        let node = &self.nodes[index];
        if node.step == step && step.is_multiple_of(2) && self.is_current(index) {
            self.checkpoint = Some((step, node.chain, node.model.to_bytes()));
        }
    }

    /// Whether the job can go on without `index`.
    fn survives_without(&self, index: usize) -> bool {
        (0..self.nodes.len()).any(|other| other != index && self.is_carrier(other))
    }

    /// Whether `index` has the state and the council knows it.
    pub(crate) fn is_carrier(&self, index: usize) -> bool {
        let member = self.service.latest().member(self.nodes[index].life);
        self.is_current(index) && member.is_some_and(|member| self.service.is_acknowledged(member))
    }

    fn crash_one(&mut self) {
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|index| self.nodes[*index].is_up()).collect();
        let Some(&index) = self.random.pick(&alive) else { return };
        if alive.len() < 2 || (self.plan.survivable && !self.survives_without(index)) {
            return;
        }
        self.tell(|| format!("CRASH {index}"));
        self.report.crashes += 1;
        self.strike(true);
        self.stop(index);
    }

    /// The process of `index` ends, and some of what it sent last, and of what was on its way to it, is lost.
    pub(crate) fn stop(&mut self, index: usize) {
        self.note_all_of(Fault::Crash, index);
        let life = self.nodes[index].life;
        self.nodes[index].crash();
        self.network.crash(index, &mut self.random);
        self.paths_lost(index);
        let said = self.words.iter().filter(|said| said.life == life).count();
        let mut arrives = self.random.below(said + 1);
        self.words.retain(|said| {
            let is_kept = said.life != life || arrives > 0;
            arrives -= usize::from(said.life == life && is_kept);
            is_kept
        });
        self.unheard.retain(|said| said.life != life);
        self.notices.retain(|(hearer, _)| *hearer != index);
    }

    fn restart_one(&mut self) {
        let dead: Vec<usize> = (0..self.nodes.len()).filter(|index| !self.nodes[*index].is_up()).collect();
        if let Some(&index) = self.random.pick(&dead) {
            self.strike(false);
            self.restart(index);
        }
    }

    /// A dead node starts, and reads in its ledger of the newest view, of some older ones before.
    pub(crate) fn restart(&mut self, index: usize) {
        self.tell(|| format!("RESTART {index}"));
        self.report.restarts += 1;
        self.note_all_of(Fault::Restart, index);
        self.network.restart(index, &mut self.random);
        self.nodes[index].start(&self.plan, self.genesis, self.fault);
        let latest = self.service.latest().epoch.0;
        let first = latest.saturating_sub(self.random.below(3) as u64).max(1);
        self.notices.extend((first..=latest).map(|epoch| (index, Epoch(epoch))));
        self.coverage.note(Fault::Restart, Kind::View);
    }

    /// A process stands still, or one that does goes on.
    fn pause_one(&mut self) {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|index| self.nodes[*index].is_up()).collect();
        let paused: Vec<usize> = up.iter().copied().filter(|index| self.nodes[*index].paused).collect();
        let wakes = !paused.is_empty() && self.random.chance(600);
        let Some(&index) = self.random.pick(if wakes { &paused } else { &up }) else { return };
        let was = std::mem::replace(&mut self.nodes[index].paused, !wakes);
        self.tell(|| format!("{} {index}", if wakes { "WAKE" } else { "PAUSE" }));
        self.strike(!was);
        if !was {
            self.report.pauses += 1;
            self.note_all_of(Fault::Pause, index);
        }
    }

    /// Evicts one or two members, dead or alive, or admits a node, or both.
    fn change_view(&mut self, evicts: bool) {
        let latest = self.service.latest();
        let (epoch, mut members) = (latest.epoch.next(), latest.members.clone());
        let (mut evicted, mut joined) = (Vec::new(), None);
        if evicts {
            let count = 1 + self.random.below(2) * self.random.below(2);
            for _ in 0..count {
                if members.len() > 1 {
                    let (position, alive) = self.choose_evicted(&members);
                    let member = members.remove(position);
                    evicted.extend(alive.then_some(node_index(member.node)));
                }
            }
        }
        if !evicts || self.random.chance(200) {
            let outside: Vec<usize> = (0..self.nodes.len())
                .filter(|index| {
                    let node = &self.nodes[*index];
                    node.is_up() && !members.iter().any(|member| member.life() == node.life)
                })
                .collect();
            if let Some(&index) = self.random.pick(&outside) {
                let life = self.nodes[index].life;
                members.retain(|member| member.node != life.node);
                members.push(Member { node: life.node, boot: life.boot, tenure: epoch });
                joined = Some(index);
            } else if !evicts {
                return;
            }
        }
        if self.plan.survivable && self.service.continuity {
            let carries = |member: &Member| member.tenure < epoch && self.is_carrier(node_index(member.node));
            if !members.iter().any(carries) {
                return;
            }
        }
        if self.commit(members) {
            self.strike(!evicted.is_empty());
            self.report.evictions_of_the_living += evicted.len() as u64;
            self.report.joins += u64::from(joined.is_some());
            evicted.into_iter().for_each(|index| self.note_all_of(Fault::Eviction, index));
            joined.into_iter().for_each(|index| self.note_all_of(Fault::Join, index));
        }
    }

    fn choose_evicted(&mut self, members: &[Member]) -> (usize, bool) {
        let is_alive = |member: &Member| {
            let node = &self.nodes[node_index(member.node)];
            node.is_up() && node.life == member.life()
        };
        let dead: Vec<usize> = (0..members.len()).filter(|index| !is_alive(&members[*index])).collect();
        let position = match self.random.pick(&dead).copied() {
            Some(position) if self.random.chance(600) => position,
            _ => self.random.below(members.len()),
        };
        (position, !dead.contains(&position))
    }

    /// Commits a view and lets every node hear of it some time.
    pub(crate) fn commit(&mut self, members: Vec<Member>) -> bool {
        let latest = self.service.latest();
        let lags = |member: &Member| {
            let place = self.nodes[node_index(member.node)].place.as_ref();
            place.is_some_and(|place| !place.synced || place.view.is_none_or(|view| view.1 < latest.epoch))
        };
        let cascades = latest.members.iter().any(lags);
        if !self.service.commit(members, &mut self.random) {
            return false;
        }
        self.report.views += 1;
        self.report.views_cascading += u64::from(cascades);
        self.announce();
        true
    }

    /// Every node may hear of the latest view.
    pub(crate) fn announce(&mut self) {
        let epoch = self.service.latest().epoch;
        self.notices.extend((0..self.nodes.len()).map(|index| (index, epoch)));
        if self.trace.is_some() {
            let view = self.service.latest().clone();
            self.tell(|| format!("COMMIT {view:?}"));
        }
        self.check_all_agree();
    }

    fn break_one(&mut self) {
        let (one, other) = (self.random.below(self.nodes.len()), self.random.below(self.nodes.len()));
        if one != other {
            self.tell(|| format!("BREAK {one} {other}"));
            self.report.paths_broken += 1;
            self.strike(true);
            let queues = [(one, other), (other, one)].map(|(from, to)| self.network.queue(from, to));
            let kinds: Vec<Kind> = queues.into_iter().flatten().map(Kind::of).collect();
            kinds.into_iter().for_each(|kind| self.coverage.note(Fault::Break, kind));
            let lost = self.network.break_path(one, other, &mut self.random);
            lost.iter().for_each(|message| self.coverage.note(Fault::Loss, Kind::of(message)));
        }
    }

    /// Cuts or mends a connection one way, both ways, or all of a node's.
    fn block_some(&mut self) {
        let one = self.random.below(self.nodes.len());
        let other = self.random.below(self.nodes.len());
        let (blocked, pairs) = match self.random.below(4) {
            0 => (!self.network.is_blocked(one, other), vec![(one, other)]),
            1 => (!self.network.is_blocked(one, other), vec![(one, other), (other, one)]),
            _ => {
                let all = (0..self.nodes.len()).flat_map(|other| [(one, other), (other, one)]);
                (self.random.chance(400), all.collect())
            }
        };
        self.tell(|| format!("{} {pairs:?}", if blocked { "CUT" } else { "MEND" }));
        for (from, to) in &pairs {
            self.network.block(*from, *to, blocked);
        }
        for (from, to) in pairs {
            let kinds: Vec<Kind> = self.network.queue(from, to).iter().map(Kind::of).collect();
            kinds.into_iter().for_each(|kind| self.note_blocked(from, to, kind));
        }
        self.report.partitions += u64::from(blocked);
        self.strike(blocked);
    }
}
