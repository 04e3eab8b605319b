//! Views after the first: who leaves, who comes, who gets work.

use std::collections::BTreeSet;

use super::drains::{counted, drain_reason, has_work, without_work};
use super::input_output::CoordinatorOutput;
use super::limits::{
    FAILURE_BATCH_MS, JOINER_BYTES_PER_MS_MIN, JOINER_RETRY_MS, JOINER_SYNC_MS_MAX, UNSEEN_GRACE_MS,
};
use super::liveness::Fate;
use super::machine::{Coordinator, Pass};
use super::plan_view::{ViewChangeFacts, plan_leases, plan_next_view};
use super::proposals::ProposalKey;
use super::speeds::LEVEL_QUICK;
use crate::ids::NodeId;
use crate::ledger::{JobRecord, LedgerCommand};
use crate::view::{Member, View};

impl Coordinator {
    /// Proposes the next view if anything calls for one. Nothing is proposed while the only members with the state are
    /// such that nobody knows whether they live.
    pub(super) fn decide_view(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View) {
        let (mut staying, mut reasons) = self.staying(pass, job, view);
        self.part_from_failing(pass, job, view, &mut staying, &mut reasons);
        if !staying.iter().any(|member| job.is_synced(member)) {
            self.decide_founding(pass, job, view);
            return;
        }
        let is_carrier = |member: &&Member| {
            job.is_synced(member) && self.liveness.fate(pass.ledger, member.life()) == Fate::Alive
        };
        if !staying.iter().any(|member| is_carrier(&member)) {
            return;
        }
        self.lineage_lost = None;
        self.lineage_was_alive = true;
        let joinable = self.joinable(pass, job, &staying);
        let halt = self.why_halt(pass, job, &staying, &joinable);
        if halt.is_some() && view.halt && reasons.is_empty() && self.decide_halt(pass, job, view) {
            return;
        }
        match &halt {
            // Nobody waits for a state on its way: it is fetched again later.
            Some(_) => staying.retain(|member| job.is_synced(member)),
            None => self.let_go(pass, job, view, &mut staying, &mut reasons),
        }
        match &halt {
            Some(why) if !view.halt => reasons.push(why.clone()),
            None if view.halt => reasons.push("goes on, nothing calls for a halt any more".to_owned()),
            _ => {}
        }
        let idle = if halt.is_some() { BTreeSet::new() } else { without_work(pass.ledger, job, &staying) };
        let mut facts = ViewChangeFacts {
            plan: &job.plan,
            epoch: pass.ledger.next_epoch(job),
            previous: view,
            synced: &job.synced,
            staying,
            joining: Vec::new(),
            idle,
            halt: halt.is_some(),
            levels: self.reports.as_ref().map(|reports| reports.speeds.levels()).unwrap_or_default(),
            may_rebalance: false,
            avoided: job.failed_microbatches.iter().map(|known| (known.microbatch, known.node)).collect(),
        };
        reasons.extend(self.work_moves(pass, job, &facts, reasons.is_empty()));
        if halt.is_none() && reasons.is_empty() {
            reasons.extend(self.rebalance(pass, &mut facts));
        }
        // A joiner holds up a step when it arrives, and those who drain wait for two of them.
        let drains = facts.staying.iter().any(|member| facts.idle.contains(&member.node));
        if halt.is_none()
            && !drains
            && (!reasons.is_empty() || self.joiners_are_due(pass, job, &facts.staying, &joinable))
        {
            let room = job.plan.members_max().saturating_sub(counted(pass.ledger, &facts.staying));
            facts.joining = joinable.iter().copied().take(room).collect();
            let came_back = |node: NodeId| view.member_on(node).is_some();
            for life in &facts.joining {
                let verb = if came_back(life.node) { "came back" } else { "joined" };
                reasons.push(format!("{} {verb}", life.node.friendly_name()));
            }
        }
        if !reasons.is_empty() {
            self.propose_view(pass, job, &facts, reasons.join("; "));
        }
    }

    fn propose_view(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        facts: &ViewChangeFacts<'_>,
        reason: String,
    ) {
        self.commit_stable(pass, job);
        if !self.proposals.is_due(pass.now, ProposalKey::View(job.id, facts.epoch)) {
            return;
        }
        if let Some(view) = plan_next_view(facts) {
            let stable_step = self.reports.as_ref().map_or(0, |reports| reports.stable.0);
            pass.out.push(CoordinatorOutput::Propose(LedgerCommand::CommitView {
                view,
                reason,
                stable_step,
            }));
        }
    }

    /// Why work moves between members that stay, in words: somebody got the state, drains, or failed. Failures are
    /// collected for a moment if they alone call for a view.
    fn work_moves(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        facts: &ViewChangeFacts<'_>,
        is_alone: bool,
    ) -> Vec<String> {
        let view = facts.previous;
        let mut reasons: Vec<String> = newly_working(facts)
            .iter()
            .map(|node| format!("{} has the state and takes work", node.friendly_name()))
            .collect();
        for member in &facts.staying {
            if facts.idle.contains(&member.node) && has_work(view, member) {
                let why = drain_reason(pass.ledger, member.node);
                reasons.push(format!("{} drains{why}: others take its work", member.node.friendly_name()));
            }
        }
        let failed: Vec<_> =
            job.failed_microbatches.iter().filter(|failure| failure.epoch == view.epoch).collect();
        if failed.is_empty() {
            return reasons;
        }
        let since = match self.reports.as_ref().and_then(|reports| reports.failed_since) {
            Some((epoch, since)) if epoch == view.epoch => since,
            _ => pass.now,
        };
        if let Some(reports) = &mut self.reports {
            reports.failed_since = Some((view.epoch, since));
        }
        let until = since.plus(FAILURE_BATCH_MS);
        if is_alone && reasons.is_empty() && pass.now < until {
            let what = format!("{} failed micro-batches are about to move", failed.len());
            self.wait(pass, what, since, Some((until, "a view without them is committed")));
            return reasons;
        }
        for failure in failed {
            reasons.push(format!(
                "micro-batch {} of step {} failed on {}: {}",
                failure.microbatch,
                failure.step,
                failure.node.friendly_name(),
                failure.reason
            ));
        }
        reasons
    }

    /// In words who is slow or no longer so, if a step takes clearly less time with the work shared accordingly.
    fn rebalance(&mut self, pass: &mut Pass<'_>, facts: &mut ViewChangeFacts<'_>) -> Option<String> {
        let speeds = &mut self.reports.as_mut()?.speeds;
        let look_at = speeds.look_at()?;
        if pass.now < look_at {
            pass.wake_at(look_at);
            return None;
        }
        speeds.seen();
        let slowest = facts.levels.values().max().copied()?;
        let kept = plan_leases(facts)?;
        facts.may_rebalance = true;
        let moved = plan_leases(facts)?;
        facts.may_rebalance = moved.2 != kept.2;
        let slow = facts.levels.iter().filter(|(_, level)| **level == slowest && slowest > LEVEL_QUICK);
        let words = |(node, level): (&NodeId, &u32)| {
            let times = f64::from(*level) / f64::from(LEVEL_QUICK);
            format!("{} takes {times:.1} times as long as the quickest", node.friendly_name())
        };
        let mut why: Vec<String> = slow.map(words).collect();
        if why.is_empty() {
            why.push("all are about as quick again".to_owned());
        }
        facts.may_rebalance.then(|| format!("{}: work moves", why.join(", ")))
    }

    /// Members of `view` that stay, and in words why each of the others does not.
    fn staying(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View) -> (Vec<Member>, Vec<String>) {
        self.judge(pass, job, view);
        let members: BTreeSet<_> = view.members.iter().map(|member| (member.life(), member.tenure)).collect();
        self.admissions.unsynced.retain(|member, _| members.contains(member) && !job.synced.contains(member));
        let unseen_until = self.elected_at.unwrap_or_default().plus(UNSEEN_GRACE_MS);
        let late = self.stragglers(pass, job, view);
        let (mut staying, mut reasons) = (Vec::new(), Vec::new());
        for member in &view.members {
            let name = member.node.friendly_name();
            match self.liveness.fate(pass.ledger, member.life()) {
                Fate::Alive if let Some(verdict) = self.convict(pass.now, member.life()) => {
                    reasons.push(verdict)
                }
                Fate::Alive if self.is_too_slow(pass, job, member) => {
                    reasons.push(format!("{name} had no state after {} s", joiner_ms_max(job) / 1000));
                }
                Fate::Alive if let Some(how) = late.get(&member.node) => reasons.push(how.clone()),
                Fate::Alive => staying.push(*member),
                Fate::Unseen if pass.now < unseen_until => {
                    let since = self.elected_at.unwrap_or_default();
                    let end = Some((unseen_until, "a view without it is committed"));
                    self.wait(pass, format!("waits for a connection to {name}"), since, end);
                    staying.push(*member);
                }
                Fate::Unseen => reasons.push(format!("{name} did not connect")),
                Fate::Silent { reason } => reasons.push(format!("{name} was lost: {reason}")),
                Fate::Dead { reason } => {
                    self.crashed(pass, member);
                    reasons.push(format!("{name} died: {reason}"));
                }
            }
        }
        (staying, reasons)
    }

    /// The others go on without a joiner only until they keep too many results for it, so one that never gets the state would
    /// hold them up for ever.
    fn is_too_slow(&mut self, pass: &mut Pass<'_>, job: &JobRecord, member: &Member) -> bool {
        if job.is_synced(member) {
            return false;
        }
        let key = (member.life(), member.tenure);
        let since = *self.admissions.unsynced.entry(key).or_insert(pass.now);
        let deadline = since.plus(joiner_ms_max(job));
        if pass.now >= deadline {
            self.admissions.refuse(member.node, pass.now, JOINER_RETRY_MS, "was too slow");
            return true;
        }
        let what = format!("{} fetches the state", member.node.friendly_name());
        self.wait(pass, what, since, Some((deadline, "a view without it is committed")));
        false
    }
}

/// Members that have the state and no lease, and would get one in the next view.
fn newly_working(facts: &ViewChangeFacts<'_>) -> Vec<NodeId> {
    let leased: BTreeSet<u16> = facts.previous.leases.iter().copied().collect();
    let is_idle = |member: &Member| {
        let position = facts.previous.members.iter().position(|other| other == member);
        position.and_then(|position| u16::try_from(position).ok()).is_some_and(|p| !leased.contains(&p))
    };
    let has_state = |member: &Member| facts.synced.contains(&(member.life(), member.tenure));
    let idle: Vec<&Member> =
        facts.staying.iter().filter(|member| has_state(member) && is_idle(member)).collect();
    if idle.is_empty() {
        return Vec::new();
    }
    let Some((members, _, leases)) = plan_leases(facts) else { return Vec::new() };
    let works = |member: &Member| leases.iter().any(|position| members[usize::from(*position)] == *member);
    idle.into_iter().filter(|member| works(member)).map(|member| member.node).collect()
}

/// How long a joiner may take to get the state, ms.
fn joiner_ms_max(job: &JobRecord) -> u64 {
    JOINER_SYNC_MS_MAX.saturating_add(job.plan.state_bytes / JOINER_BYTES_PER_MS_MIN)
}
