//! Ordered leaves and halts, at random, and what must hold of them.

use traind_protocol::ids::{Chain, Epoch};
use traind_protocol::index_set::IndexSet;
use traind_protocol::invariants::halts_alike;
use traind_protocol::view::Member;

use crate::coverage::Fault;
use crate::node::{Halt, node_index};
use crate::world::{Word, World};

impl World {
    /// A member that has the state is to leave: the next view leases it nothing.
    pub(crate) fn drain_one(&mut self) {
        let latest = self.service.latest();
        let may = |member: &Member| {
            self.is_carrier(node_index(member.node)) && !self.service.drains.is_leaving(member)
        };
        let candidates: Vec<Member> = latest.members.iter().copied().filter(may).collect();
        let (members, since) = (latest.members.clone(), latest.epoch.next());
        let Some(&member) = self.random.pick(&candidates) else { return };
        if candidates.len() < 2 {
            return;
        }
        self.tell(|| format!("DRAIN {}", node_index(member.node)));
        self.report.drains += 1;
        self.strike(false);
        self.service.drains.begin(&member, since);
        self.note_all_of(Fault::Drain, node_index(member.node));
        self.commit(members);
    }

    /// Takes out the members that are to leave and may. Some of their processes end at once, with what they sent last.
    pub(crate) fn remove_drained(&mut self) {
        let latest = self.service.latest().clone();
        let is_synced = |member: &Member| self.service.is_acknowledged(member);
        let synced: Vec<Member> = latest.members.iter().copied().filter(is_synced).collect();
        let ready = self.service.drains.ready(&latest, &synced, self.plan.steps);
        if ready.is_empty() || self.violation.is_some() {
            return;
        }
        let members = latest.members.into_iter().filter(|member| !ready.contains(member)).collect();
        if !self.commit(members) {
            return;
        }
        self.report.drained += ready.len() as u64;
        for member in ready {
            let index = node_index(member.node);
            if self.random.chance(700) && self.nodes[index].life == member.life() && self.nodes[index].is_up()
            {
                self.tell(|| format!("LEAVE {index}"));
                self.stop(index);
            }
        }
    }

    /// Halts the job, or lets it go on.
    pub(crate) fn turn_halt(&mut self, halt: bool) {
        if self.service.halt != halt {
            self.service.halt = halt;
            let members = self.service.latest().members.clone();
            if self.commit(members) {
                self.report.halts += u64::from(halt);
                self.strike(false);
            } else {
                self.service.halt = !halt;
            }
        }
    }

    /// H1: a member says that it has stopped.
    pub(crate) fn halted(&mut self, index: usize, epoch: Epoch, step: u64, chain: Chain) {
        self.report.halted += 1;
        self.say(index, Word::Halted);
        let known = *self.halts.entry(epoch).or_insert((step, chain));
        if !halts_alike(known, (step, chain)) {
            let what = format!("node {index} halts at step {step} where another did at {}", known.0);
            self.fail("H1", what);
        }
        // Who has stopped is not to be overtaken: a halt that begins anew, as somebody died, ends where it did. Whoever was
        // taken out meanwhile, and does not know it yet, may stop a step later: what it alone held is given up.
        let counts = self.is_current(index);
        let began = self.service.halt_began(epoch);
        for other in 0..self.nodes.len() {
            let Some(halt) = self.nodes[other].halt.filter(|_| counts && self.is_current(other)) else {
                continue;
            };
            if self.service.halt_began(halt.epoch) == began && halt.step != step {
                let what = format!("node {index} halts at step {step}, {other} did at {}", halt.step);
                self.fail("H1", what);
            }
        }
        // Once the job goes on, others may have begun the next step before this member has come to its end.
        let latest = self.service.latest();
        let lasts = latest.halt && self.service.halt_began(latest.epoch) == began;
        if self.plan.orderly && lasts && !self.begun.on(step, chain).is_empty() {
            self.fail("H1", format!("node {index} halts at step {step}, of which something is begun"));
        }
        self.nodes[index].halt = Some(Halt { epoch, step });
    }

    /// W1 and H1: a machine is told to compute.
    pub(crate) fn check_begun(&mut self, index: usize, step: u64, base: Chain, microbatches: &IndexSet) {
        let node = &self.nodes[index];
        if node.halt.is_some_and(|halt| Some(halt.epoch) == node.epoch) {
            self.fail("H1", format!("node {index} computes in step {step} though it has halted"));
        }
        for microbatch in microbatches.iter() {
            if !self.begun.claim(step, base, microbatch) && self.plan.orderly {
                let what = format!("node {index} computes micro-batch {microbatch} of step {step} again");
                self.fail("W1", what);
            }
        }
    }

    /// W1 at the end: in every step that all have applied each micro-batch was computed once.
    pub(crate) fn check_work(&mut self) {
        let current = (0..self.nodes.len()).filter(|index| self.is_current(*index));
        let lowest = current.map(|index| self.nodes[index].step).min().unwrap_or(0);
        if !self.plan.orderly {
            return;
        }
        for step in self.plan.origin_step..lowest {
            let count = self.computed.get(&step).copied().unwrap_or(0);
            if count != u64::from(self.plan.microbatches) {
                self.fail("W1", format!("{count} micro-batches were computed for step {step}"));
            }
        }
        self.report.orderly_runs = 1;
        self.report.orderly_steps = lowest.saturating_sub(self.plan.origin_step);
    }
}
