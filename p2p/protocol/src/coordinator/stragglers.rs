//! Members that live, are connected, and do not finish what a step waits for: a device that hangs, a machine that has become many
//! times slower, a link that lets heartbeats through and nothing else. After a time that follows the measured steps a view goes on
//! without them; they are taken back once they have recovered.

use std::collections::{BTreeMap, BTreeSet};

use super::blame::{Word, blame};
use super::limits::{MUTE_MS, STEP_WAIT_FRESH_MS};
use super::liveness::Fate;
use super::machine::{Coordinator, Pass};
use super::reports::JobReports;
use super::stall::{Expectation, Mark};
use crate::ids::{Epoch, Life, Millis, NodeId};
use crate::ledger::JobRecord;
use crate::view::{Member, View};
use crate::wire::step_wait::{STEP_WAIT_NODES_MAX, StepWait};

/// Cuts a peer's word to what is kept of it.
pub(super) fn bound(wait: &mut StepWait) {
    for nodes in [&mut wait.sums_of, &mut wait.results_of] {
        nodes.truncate(STEP_WAIT_NODES_MAX);
        nodes.shrink_to_fit();
    }
}

impl Coordinator {
    /// Members of `view` that have held up its step for too long, and in words how. Who does so already is told beforehand.
    pub(super) fn stragglers(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        view: &View,
    ) -> BTreeMap<NodeId, String> {
        let words = self.words(pass, job, view);
        let Some(reports) = &mut self.reports else { return BTreeMap::new() };
        let done = reports.finished.len() + reports.halted.len();
        let mark: Mark = (view.epoch, reports.stable.0, done);
        // A joiner holds up the others as it may, for as long as it may; of the dead the liveness decides.
        let blamed = words.as_ref().map(|words| blame(words, self.me)).unwrap_or_default();
        reports.stall.look(pass.now, mark, words.is_some().then_some(&blamed));
        let mut late = BTreeMap::new();
        for node in blamed.nodes {
            let Some(member) = view.member_on(node).copied() else { continue };
            let Some(reports) = &self.reports else { break };
            let Some((since, held_ms)) = reports.stall.held_by(node) else { continue };
            let leased = view.lease(node).len();
            let bound_ms = reports.stall.bound_ms(Expectation {
                lease_ms: reports.speeds.lease_ms(member.life(), leased),
                has_straggled: self.straggled.has(node),
                by_half: blamed.by_half,
            });
            let (name, what) = (node.friendly_name(), reports.held_up());
            let doing = doing(reports, words.as_ref().and_then(|words| words.get(&node)), node, leased);
            if held_ms >= bound_ms {
                let held = seconds(held_ms);
                late.insert(node, format!("{name} held up {what} for {held}: {doing}"));
                let computes = words.as_ref().and_then(|words| words.get(&node)) == Some(&Word::Works);
                self.take_out(pass, &member, computes, format!("held up {what} for {held}"));
            } else {
                let until = pass.now.plus(bound_ms - held_ms);
                let what = format!("{what} waits for {name}: {doing}");
                self.wait(pass, what, since, Some((until, "a view without it is committed")));
            }
        }
        late
    }

    /// What is known of each member that lives; `None` while anybody has no state or may be dead.
    fn words(&self, pass: &Pass<'_>, job: &JobRecord, view: &View) -> Option<BTreeMap<NodeId, Word>> {
        let reports = self.reports.as_ref()?;
        let is_here = |member: &Member| {
            job.is_synced(member) && self.liveness.fate(pass.ledger, member.life()) == Fate::Alive
        };
        if view.members.len() < 2 || !view.members.iter().all(is_here) {
            return None;
        }
        let is_done = |member: &Member| {
            reports.finished.contains_key(&(member.life(), member.tenure))
                || view.halt && reports.halted.contains_key(&member.node)
        };
        let undone: BTreeSet<NodeId> =
            view.members.iter().filter(|member| !is_done(member)).map(|member| member.node).collect();
        let word = |member: &Member| {
            if !undone.contains(&member.node) {
                // Who is at its end waits for all who are not.
                return Word::Waits { sums_of: undone.clone(), results_of: BTreeSet::new() };
            }
            reports.word_of(pass.now, view, member.node)
        };
        Some(view.members.iter().map(|member| (member.node, word(member))).collect())
    }

    /// Counts that a member is taken out because it held up a step, and lets its node wait, at least until it has worked off what it
    /// was at.
    fn take_out(&mut self, pass: &Pass<'_>, member: &Member, computes: bool, why: String) {
        let Some((in_a_row, delay_ms)) = self.straggled.count(member) else { return };
        let times = if in_a_row > 1 { format!(", {in_a_row} times in a row now") } else { String::new() };
        self.admissions.refuse_setback(member.node, pass.now, delay_ms, format!("{why}{times}"));
        self.admissions.must_answer(member.life(), pass.now);
        if let Some(reports) = self.reports.as_mut().filter(|_| computes) {
            let (elapsed_ms, computed) = (reports.stall.elapsed_ms(), reports.computed_by(member.node));
            reports.speeds.retain_estimates(|node| pass.ledger.nodes.contains_key(&node));
            reports.speeds.estimate(member.node, elapsed_ms.saturating_mul(1_000) / (computed + 1));
        }
    }

    /// A node that is in no view said whether it has worked off what it was told as a member.
    pub(super) fn outside(&mut self, pass: &Pass<'_>, view: &View, life: Life, is_idle: bool) {
        let is_known = pass.ledger.nodes.get(&life.node).is_some_and(|record| record.boot == life.boot);
        if !is_known || view.member(life).is_some() {
            return;
        }
        match is_idle {
            true => self.admissions.answered(life),
            false => self.admissions.must_answer(life, pass.now),
        }
    }
}

impl JobReports {
    /// A member said in view `epoch` what it lacks.
    pub(super) fn waits(&mut self, now: Millis, node: NodeId, epoch: Epoch, wait: StepWait) {
        if let Some(known) = self.members.get_mut(&node) {
            known.wait = Some((now, epoch, wait));
        }
    }

    fn word_of(&self, now: Millis, view: &View, node: NodeId) -> Word {
        let Some(member) = self.members.get(&node) else { return Word::Unknown };
        if now.since(member.heard_at) >= MUTE_MS {
            return Word::Mute;
        }
        let is_fresh = |at: Millis| now.since(at) <= STEP_WAIT_FRESH_MS;
        let newest = member.step().unwrap_or(0);
        let wait = member
            .wait
            .as_ref()
            .filter(|(at, epoch, wait)| is_fresh(*at) && *epoch == view.epoch && wait.step >= newest);
        match wait {
            None => Word::Unknown,
            Some((_, _, wait)) if wait.works => Word::Works,
            Some((_, _, wait)) => Word::Waits {
                sums_of: wait.sums_of.iter().copied().collect(),
                results_of: wait.results_of.iter().copied().collect(),
            },
        }
    }

    /// Whether some members are where the job ends or halts.
    fn is_at_its_end(&self) -> bool {
        !self.finished.is_empty() || !self.halted.is_empty()
    }

    /// What is held up, in words.
    fn held_up(&self) -> String {
        match (self.finished.is_empty(), self.halted.is_empty()) {
            (false, _) => "the end of the job".to_owned(),
            (true, false) => "the halt of the job".to_owned(),
            (true, true) => format!("step {}", self.stable.0 + 1),
        }
    }

    /// Micro-batches of the step in progress that `node` said to have computed.
    fn computed_by(&self, node: NodeId) -> u64 {
        let wait = self.members.get(&node).and_then(|member| member.wait.as_ref());
        wait.map_or(0, |(_, _, wait)| u64::from(wait.computed))
    }
}

/// What a member that is waited for does, in words.
fn doing(reports: &JobReports, word: Option<&Word>, node: NodeId, leased: u32) -> String {
    match word {
        Some(Word::Mute) => "it is connected and says nothing of the job".to_owned(),
        _ if reports.is_at_its_end() => "it is not done with its last state".to_owned(),
        Some(Word::Works) => {
            let computed = reports.computed_by(node);
            let plural = if leased == 1 { "" } else { "es" };
            format!("it has computed {computed} of its {leased} micro-batch{plural}")
        }
        _ => "what it sends does not arrive".to_owned(),
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}
