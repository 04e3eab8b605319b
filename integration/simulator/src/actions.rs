//! What happens at random while faults last.

use traind_protocol::ids::Epoch;
use traind_protocol::sync::{SyncBody, SyncInput};
use traind_protocol::view::Member;

use crate::node::{node_id, node_index};
use crate::plan::FaultRates;
use crate::world::{Word, World};

/// Actions at which the council looks whether a member may leave, per mille.
const DRAINS_LOOKED_AT_PER_MILLE: u64 = 100;

/// Actions that end a halt, per mille: many runs come to a stop before, some do not.
const HALTS_ENDED_PER_MILLE: u64 = 15;

/// Computations that fail, per mille.
const COMPUTATIONS_FAILED_PER_MILLE: u64 = 15;

impl World {
    /// One action: a fault by its rate, else something that moves the job on.
    pub(crate) fn act(&mut self) {
        let FaultRates { crash, restart, evict, join, break_path, partition, drain, halt } = self.plan.faults;
        let mut draw = self.random.next() % 1000;
        let mut hits = |rate: u64| {
            let hit = draw < rate;
            draw = if hit { u64::MAX } else { draw.wrapping_sub(rate) };
            hit
        };
        if hits(crash) {
            self.crash_one();
        } else if hits(restart) {
            self.restart_one();
        } else if hits(evict) {
            self.change_view(true);
        } else if hits(join) {
            self.change_view(false);
        } else if hits(break_path) {
            self.break_one();
        } else if hits(partition) {
            self.block_some();
        } else if hits(drain) {
            self.drain_one();
        } else if hits(halt) {
            self.turn_halt(true);
        } else {
            self.go_on();
        }
    }

    fn go_on(&mut self) {
        if self.service.drains.any() && self.random.chance(DRAINS_LOOKED_AT_PER_MILLE) {
            self.remove_drained();
        }
        if self.service.halt && self.random.chance(HALTS_ENDED_PER_MILLE) {
            self.turn_halt(false);
        }
        match self.random.below(100) {
            0..8 if !self.notices.is_empty() => {
                let position = self.random.below(self.notices.len());
                let (index, epoch) = self.notices.swap_remove(position);
                self.notice(index, epoch);
            }
            8..12 if !self.words.is_empty() => {
                let (index, word) = self.words.remove(0);
                self.hear(index, word);
            }
            12..16 if !self.network.unnoticed.is_empty() => {
                let position = self.random.below(self.network.unnoticed.len());
                let (at, of) = self.network.unnoticed.swap_remove(position);
                self.feed(at, SyncInput::PathOpened(node_id(of)));
            }
            16..19 if !self.network.limbo.is_empty() => {
                let position = self.random.below(self.network.limbo.len());
                let (from, to, message) = self.network.limbo[position].clone();
                if self.random.chance(500) {
                    self.network.limbo.swap_remove(position);
                }
                self.deliver(from, to, message);
            }
            19..20 => self.finish_some_loading(),
            20..50 => self.finish_some_task(),
            _ => self.deliver_some(),
        }
    }

    fn finish_some_loading(&mut self) {
        let loading: Vec<usize> =
            (0..self.nodes.len()).filter(|index| self.nodes[*index].loading.is_some()).collect();
        if let Some(&index) = self.random.pick(&loading) {
            self.finish_loading(index);
        }
    }

    fn finish_some_task(&mut self) {
        let busy: Vec<usize> =
            (0..self.nodes.len()).filter(|index| !self.nodes[*index].tasks.is_empty()).collect();
        if let Some(&index) = self.random.pick(&busy) {
            let position = self.random.below(self.nodes[index].tasks.len());
            let failed = self.random.chance(COMPUTATIONS_FAILED_PER_MILLE) && !self.plan.orderly;
            self.finish_task(index, position, failed);
        }
    }

    fn deliver_some(&mut self) {
        let pairs = self.network.deliverable();
        if let Some(&(from, to)) = self.random.pick(&pairs) {
            let overtakes = self.plan.reorder && self.random.chance(400);
            let count = self.network.under_way(from, to);
            let position = if overtakes { self.random.below(count) } else { 0 };
            if let Some(message) = self.network.take(from, to, position) {
                self.deliver(from, to, message);
            }
        }
    }

    /// A message arrives, unless it is bulk of a later epoch in a run where such is lost.
    pub(crate) fn deliver(&mut self, from: usize, to: usize, message: traind_protocol::sync::SyncMessage) {
        let epoch =
            self.nodes[to].place.as_ref().and_then(|place| place.view).map_or(Epoch(0), |view| view.1);
        let is_bulk = matches!(
            message.body,
            SyncBody::Contribution { .. } | SyncBody::Result { .. } | SyncBody::Snapshot { .. }
        );
        if !(self.plan.bulk_dropped && is_bulk && message.epoch > epoch) {
            self.feed(to, SyncInput::Message { from: node_id(from), message });
        }
    }

    /// A node learns of a view.
    pub(crate) fn notice(&mut self, index: usize, epoch: Epoch) {
        if let Some(view) = self.service.view(epoch).cloned() {
            self.feed(index, SyncInput::EnterView(view));
        }
    }

    /// The council hears a node.
    pub(crate) fn hear(&mut self, index: usize, word: Word) {
        let life = self.nodes[index].life;
        match word {
            Word::Synced { tenure } => self.service.acknowledge(life, tenure),
            Word::Halted { epoch } => self.service.drains.halted(life, epoch),
            Word::Applied { epoch, step, chain } => {
                if let Some(member) = self.service.latest().member(life).copied() {
                    self.service.drains.applied(&member, epoch, step);
                }
                if let Some(chains) = self.service.report_applied(life, epoch, step, chain) {
                    if chains.iter().any(|other| *other != chain) {
                        self.fail("B1", format!("members of epoch {} report two chains", epoch.0));
                    }
                    self.claim_stable(step, chain, "all of a view have reported it");
                    self.save_checkpoint(index, step);
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
        self.stop(index);
    }

    /// The process of `index` ends, and some of what it sent last is lost.
    pub(crate) fn stop(&mut self, index: usize) {
        self.nodes[index].crash();
        self.network.crash(index, &mut self.random);
        self.words.retain(|(sender, _)| *sender != index);
        self.notices.retain(|(hearer, _)| *hearer != index);
    }

    fn restart_one(&mut self) {
        let dead: Vec<usize> = (0..self.nodes.len()).filter(|index| !self.nodes[*index].is_up()).collect();
        let Some(&index) = self.random.pick(&dead) else { return };
        self.tell(|| format!("RESTART {index}"));
        self.report.restarts += 1;
        self.network.restart(index);
        self.nodes[index].start(&self.plan, self.genesis, self.fault);
        self.notices.push((index, self.service.latest().epoch));
    }

    /// Evicts one or two members, dead or alive, or admits a node, or both.
    fn change_view(&mut self, evicts: bool) {
        let latest = self.service.latest();
        let (epoch, mut members) = (latest.epoch.next(), latest.members.clone());
        let (mut evicted_alive, mut joined) = (0, 0);
        if evicts {
            let count = 1 + self.random.below(2) * self.random.below(2);
            for _ in 0..count {
                if members.len() > 1 {
                    let (position, alive) = self.choose_evicted(&members);
                    members.remove(position);
                    evicted_alive += u64::from(alive);
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
                joined = 1;
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
            self.report.evictions_of_the_living += evicted_alive;
            self.report.joins += joined;
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
            self.network.break_path(one, other, &mut self.random);
        }
    }

    fn block_some(&mut self) {
        let one = self.random.below(self.nodes.len());
        if self.random.chance(500) {
            let other = self.random.below(self.nodes.len());
            let blocked = !self.network.is_blocked(one, other);
            self.network.block(one, other, blocked);
            self.report.partitions += u64::from(blocked);
        } else {
            let blocked = self.random.chance(400);
            for other in 0..self.nodes.len() {
                self.network.block(one, other, blocked);
            }
            self.report.partitions += u64::from(blocked);
        }
    }
}
