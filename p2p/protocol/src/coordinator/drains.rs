//! Members that drain: their work goes to others, and they leave once nothing that they had begun is needed any more.
//!
//! A member without leases and parts begins nothing, so all that it had begun is of a step no later than the first
//! one that it reports in a view without work. Who has applied the step after that holds every result of it, and
//! keeps them for those behind.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{Coordinator, Pass};
use crate::ids::{Epoch, Life, NodeId};
use crate::ledger::{JobRecord, Ledger};
use crate::view::{Member, View};

/// The step that members had reached when they were without work, the first that was heard of each.
#[derive(Clone, Debug, Default)]
pub(super) struct IdleSteps {
    steps: BTreeMap<(Life, Epoch), u64>,
}

impl IdleSteps {
    /// Another view: who works there, or may have worked in one that was missed, has no such step.
    pub(super) fn enter(&mut self, previous: Epoch, view: &View) {
        if previous.next() != view.epoch {
            self.steps.clear();
        }
        self.steps.retain(|(life, tenure), _| {
            view.member(*life).is_some_and(|member| member.tenure == *tenure && !has_work(view, member))
        });
    }

    /// A member of `view`, the newest, said in it that it applied `step`.
    pub(super) fn applied(&mut self, view: &View, member: &Member, step: u64) {
        if !has_work(view, member) {
            self.steps.entry((member.life(), member.tenure)).or_insert(step);
        }
    }

    fn get(&self, member: &Member) -> Option<u64> {
        self.steps.get(&(member.life(), member.tenure)).copied()
    }
}

/// Whether a lease or a part names `member`.
pub(super) fn has_work(view: &View, member: &Member) -> bool {
    let position = view.members.iter().position(|other| other == member);
    let position = position.and_then(|position| u16::try_from(position).ok());
    position.is_some_and(|position| view.leases.contains(&position) || view.owners.contains(&position))
}

/// Members that get no work: those that drain, as long as somebody with the state is there to do it. One whose process
/// ends works last of all.
pub(super) fn without_work(ledger: &Ledger, job: &JobRecord, staying: &[Member]) -> BTreeSet<NodeId> {
    let rank = |member: &Member| {
        ledger.nodes.get(&member.node).map_or(2, |record| match (record.takes_work(), record.is_leaving) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        })
    };
    let best = staying.iter().filter(|member| job.is_synced(member)).map(rank).min().unwrap_or(0);
    staying.iter().filter(|member| rank(member) > best).map(|member| member.node).collect()
}

impl Coordinator {
    /// Takes out of `staying` who is not needed any more: members that drained, and those too many for the job because
    /// a drain was taken back. Adds why.
    pub(super) fn let_go(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        view: &View,
        staying: &mut Vec<Member>,
        reasons: &mut Vec<String>,
    ) {
        let idle = without_work(pass.ledger, job, staying);
        let workers: Vec<Member> = staying
            .iter()
            .copied()
            .filter(|member| job.is_synced(member) && !idle.contains(&member.node))
            .collect();
        let mut waits = Vec::new();
        staying.retain(|member| {
            if !idle.contains(&member.node) {
                return true;
            }
            let (name, why) = (member.node.friendly_name(), drain_reason(pass.ledger, member.node));
            if !job.is_synced(member) {
                reasons.push(format!("{name} drains{why}: it had no state yet"));
                return false;
            }
            if has_work(view, member) {
                return true;
            }
            match self.is_dispensable(member, &workers) {
                true => reasons.push(format!("{name} drained{why}")),
                false => {
                    waits.push(format!("{name} drains{why}: others pass the last step that it worked on"))
                }
            }
            !self.is_dispensable(member, &workers)
        });
        for what in waits {
            self.wait(pass, what, pass.now, None);
        }
        let is_counted = |member: &&Member| pass.ledger.takes_work(member.node);
        let mut counted: Vec<Member> = staying.iter().filter(is_counted).copied().collect();
        // Those without the state go first, then the latest.
        counted.sort_by_key(|member| (!job.is_synced(member), member.tenure, member.node));
        for surplus in counted.iter().skip(job.plan.members_max()) {
            staying.retain(|member| member != surplus);
            reasons.push(format!("{} is one more than the job allows", surplus.node.friendly_name()));
        }
    }

    /// Whether all `workers` have passed the last step that `member` can have worked on. So must `member` itself, so that
    /// its counters tell all that it did.
    fn is_dispensable(&self, member: &Member, workers: &[Member]) -> bool {
        let Some(reports) = &self.reports else { return false };
        let Some(step) = reports.idle_steps.get(member) else { return false };
        let has_passed = |worker: &Member| {
            reports.members.get(&worker.node).and_then(|known| known.step()).is_some_and(|at| at > step)
        };
        !workers.is_empty() && workers.iter().all(has_passed) && has_passed(member)
    }
}

/// Why `node` drains, in brackets; empty if it does not.
pub(super) fn drain_reason(ledger: &Ledger, node: NodeId) -> String {
    let drain = ledger.nodes.get(&node).and_then(|record| record.drain.as_ref());
    drain.map_or(String::new(), |drain| format!(" ({})", drain.reason))
}

/// Members that count towards the job's limit: those that drain stay a while beside their successors.
pub(super) fn counted(ledger: &Ledger, members: &[Member]) -> usize {
    members.iter().filter(|member| ledger.takes_work(member.node)).count()
}
