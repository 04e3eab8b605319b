//! Faults stop; then the job must go on, without any timer.

use traind_protocol::invariants::has_advanced;
use traind_protocol::view::{Member, Origin};

use crate::coverage::Fault;
use crate::node::node_index;
use crate::random::Random;
use crate::world::World;

/// A fair round in virtual time: within it every message arrives and every computation ends, milliseconds.
const ROUND_MS: u64 = 50;

/// Once faults have stopped everybody must make [`STEPS_TO_MAKE`] more steps within this much virtual time,
/// milliseconds: a member that has all micro-batches of a step, one a round, takes a second and a half. The worst seen stands in
/// the report.
const HEAL_MS_MAX: u64 = 3_000;

/// Steps that everybody must make once faults have stopped.
const STEPS_TO_MAKE: u64 = 3;

impl World {
    /// Faults stop, the dead are evicted: everybody makes three more steps. Then all rejoin, and again. Whether the job
    /// can go on.
    pub(crate) fn end(&mut self) -> bool {
        self.random = Random::new(self.plan.seed ^ self.action.wrapping_mul(0xd1b5_4a32_d192_ed03));
        self.report.heals += 1;
        self.tell(|| "HEAL".into());
        self.network.unblock_all();
        self.end_lies();
        for index in 0..self.nodes.len() {
            self.nodes[index].paused = false;
        }
        for (from, to, message) in std::mem::take(&mut self.network.limbo) {
            self.deliver(from, to, message);
        }
        self.hear_all();
        let latest = self.service.latest().clone();
        self.service.halt = false;
        let is_alive = |member: &Member| {
            let node = &self.nodes[node_index(member.node)];
            node.is_up() && node.life == member.life()
        };
        let living: Vec<Member> = latest.members.iter().copied().filter(is_alive).collect();
        if !living.iter().any(|member| self.service.is_acknowledged(member)) {
            self.report.lineages_lost += 1;
            if !self.service.continuity && !living.is_empty() {
                self.fail("S1", "the latest view has no living member with the state".into());
            }
            if self.violation.is_some() || !self.found_again() {
                return false;
            }
        } else if living.len() < latest.members.len() || latest.halt || self.lies.latest == Some(latest.epoch)
        {
            // A joiner that cannot tell who lies waits for another view: the coordinator takes it out after a while.
            self.commit(living);
        } else {
            self.announce();
        }
        self.make_steps("after the faults");
        self.halt_twice();
        let latest = self.service.latest().clone();
        let mut members = latest.members;
        for node in self.nodes.iter().filter(|node| node.is_up()) {
            if !members.iter().any(|member| member.node == node.life.node) {
                let tenure = latest.epoch.next();
                members.push(Member { node: node.life.node, boot: node.life.boot, tenure });
            }
        }
        self.commit(members);
        self.make_steps("after all rejoined");
        self.check_all_agree();
        self.check_models();
        self.check_work();
        self.check_samples();
        self.violation.is_none()
    }

    /// The job halts, somebody dies, it halts again at the same step; then it may go on.
    fn halt_twice(&mut self) {
        self.turn_halt(true);
        self.come_to_a_halt();
        let members = self.service.latest().members.clone();
        let Some(&victim) = self.random.pick(&members) else { return };
        let index = node_index(victim.node);
        let may_die = self.violation.is_none() && members.len() > 1 && self.is_carrier(index);
        if may_die && !self.plan.orderly && self.random.chance(500) {
            self.tell(|| format!("CRASH {index} while halted"));
            self.report.crashes += 1;
            self.stop(index);
            let living = members.into_iter().filter(|member| *member != victim).collect();
            if self.commit(living) {
                self.come_to_a_halt();
            }
        }
        self.service.halt = false;
    }

    /// Everybody says that it has stopped.
    fn come_to_a_halt(&mut self) {
        let until = self.clock + HEAL_MS_MAX;
        while self.clock < until {
            if self.violation.is_some() || self.service.drains.all_halted(self.service.latest()) {
                return;
            }
            self.run_round();
        }
        let view = self.service.latest();
        self.fail("P1", format!("no halt within {HEAL_MS_MAX} ms: {:#?} {view:?}", self.statuses()));
    }

    fn statuses(&self) -> Vec<String> {
        let status = |(index, node): (usize, &crate::node::SimNode)| {
            Some(format!("{index}: {:?}", node.machine.as_ref()?.status()))
        };
        self.nodes.iter().enumerate().filter_map(status).collect()
    }

    /// A person, or a majority that is lost, gives up a lineage that lives: what was of it counts no more.
    pub(crate) fn give_up_lineage(&mut self) {
        if self.nodes.iter().filter(|node| node.is_up()).count() >= 2 && self.begin_lineage() {
            self.strike(true);
        }
    }

    /// The lineage is lost: a new one starts from the newest checkpoint, which founders load. Steps after it are
    /// undone, as S1 allows once no synced member lives.
    fn found_again(&mut self) -> bool {
        self.fault.is_none() && self.begin_lineage()
    }

    fn begin_lineage(&mut self) -> bool {
        let founders: Vec<_> = self.nodes.iter().filter(|node| node.is_up()).map(|node| node.life).collect();
        if founders.is_empty() {
            return false;
        }
        let origin = match &self.checkpoint {
            Some((step, chain, _)) => {
                Origin::Checkpoint { step: *step, chain: *chain, digest: Default::default() }
            }
            None => Origin::Seed,
        };
        for index in 0..self.nodes.len() {
            self.note_all_of(Fault::Founding, index);
        }
        self.report.stable_steps += self.stable.len() as u64;
        self.stable = Default::default();
        self.service.found(founders, origin, &mut self.random);
        self.report.lineages_continued += 1;
        self.announce();
        true
    }

    fn hear_all(&mut self) {
        let unheard = std::mem::take(&mut self.unheard);
        self.words.extend(unheard);
        for said in std::mem::take(&mut self.words) {
            self.hear(said);
        }
    }

    fn make_steps(&mut self, when: &str) {
        let current = (0..self.nodes.len()).filter(|index| self.is_current(*index));
        let start = current.map(|index| self.nodes[index].step).max().unwrap_or(0);
        let goal = (start + STEPS_TO_MAKE).min(self.plan.steps);
        let began = self.clock;
        while self.clock < began + HEAL_MS_MAX {
            if self.violation.is_some() {
                return;
            }
            self.run_round();
            let members = &self.service.latest().members;
            let arrived = |member: &Member| {
                let index = node_index(member.node);
                self.is_current(index) && has_advanced(self.nodes[index].step, goal)
            };
            if members.iter().all(arrived) {
                self.report.heal_ms_max = self.report.heal_ms_max.max(self.clock - began);
                return;
            }
        }
        let (status, view) = (self.statuses(), self.service.latest());
        self.fail(
            "P1",
            format!("no {STEPS_TO_MAKE} steps {when} within {HEAL_MS_MAX} ms: {status:#?} {view:?}"),
        );
    }

    /// Everything that is under way happens once.
    fn run_round(&mut self) {
        self.clock += ROUND_MS;
        let clock = self.clock;
        self.tell(|| format!("ROUND to {clock} ms"));
        self.tick_fetches();
        self.hear_all();
        let latest = self.service.latest().clone();
        if std::mem::take(&mut self.complaints).contains(&latest.epoch) {
            self.commit(latest.members);
        }
        for (index, epoch) in std::mem::take(&mut self.notices) {
            self.notice(index, epoch);
        }
        for (at, of) in std::mem::take(&mut self.network.unnoticed) {
            self.path_renewed(at, of);
        }
        for index in 0..self.nodes.len() {
            self.finish_loading(index);
            for _ in 0..self.nodes[index].chunks.serving.len() {
                if !self.nodes[index].chunks.serving.is_empty() {
                    self.serve(index, 0);
                }
            }
            let count = self.nodes[index].tasks.len();
            for _ in 0..count {
                if !self.nodes[index].tasks.is_empty() {
                    self.finish_task(index, 0, false);
                }
            }
        }
        for (from, to) in self.network.deliverable() {
            for _ in 0..self.network.queue(from, to).len() {
                if let Some(message) = self.network.take(from, to, 0) {
                    self.deliver(from, to, message);
                }
            }
        }
        self.remove_drained();
    }
}
