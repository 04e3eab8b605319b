//! The next view of a job: a pure function of the one before and of who stays and comes.

use std::collections::BTreeSet;

use super::drains::has_work;
use super::leases::{avoid, equal_leases, split_leases, weighted_leases};
use super::speeds::{SpeedLevels, is_worth_moving, level};
use crate::ids::{Epoch, Incarnation, JobId, Life, NodeId};
use crate::ledger::JobPlan;
use crate::rendezvous::rendezvous_owners;
use crate::view::{Member, Origin, View};

/// What decides about the next view of a lineage.
#[derive(Clone, Debug)]
pub struct ViewChangeFacts<'a> {
    /// The job's figures.
    pub plan: &'a JobPlan,
    /// The epoch of the next view.
    pub epoch: Epoch,
    /// The newest view.
    pub previous: &'a View,
    /// Lives and tenures that have the state.
    pub synced: &'a BTreeSet<(Life, Epoch)>,
    /// Members of `previous` that stay.
    pub staying: Vec<Member>,
    /// Lives to be admitted, no more than the job has room for.
    pub joining: Vec<Life>,
    /// Members that get no work, because they drain.
    pub idle: BTreeSet<NodeId>,
    /// Members stop at the border of a step. Work stays where it is.
    pub halt: bool,
    /// How slow members are.
    pub levels: SpeedLevels,
    /// Work moves between members that stay if a step then takes clearly less time.
    pub may_rebalance: bool,
    /// Micro-batches and the nodes that must not compute them if others can.
    pub avoided: Vec<(u32, NodeId)>,
}

/// What founds a lineage.
#[derive(Clone, Debug)]
pub struct FoundingFacts<'a> {
    /// The job.
    pub job: JobId,
    /// Its figures.
    pub plan: &'a JobPlan,
    /// The new lineage.
    pub incarnation: Incarnation,
    /// The epoch after the last one.
    pub epoch: Epoch,
    /// Where it starts.
    pub origin: Origin,
    /// The founders, in order of preference; those beyond the job's limit stay spares.
    pub lives: Vec<Life>,
}

/// The view after `facts.previous`, or `None` if nobody who stays has the state (continuity).
///
/// Members with the state share leases and parts; a joiner has none before it is synced, and none who drains. While nobody is idle only the
/// ranges of those who left are handed out, so that within a step the ranges of live members do not change.
#[must_use]
pub fn plan_next_view(facts: &ViewChangeFacts<'_>) -> Option<View> {
    let (members, workers, leases) = plan_leases(facts)?;
    let owners = rendezvous_owners(facts.plan.parts, &members, &workers);
    let halt = facts.halt;
    Some(View { epoch: facts.epoch, members, leases, owners, halt, ..*facts.previous })
}

/// Members of the next view, the positions of those that share the work, and who gets which micro-batch. Much cheaper
/// than the owners.
pub(super) fn plan_leases(facts: &ViewChangeFacts<'_>) -> Option<(Vec<Member>, Vec<u16>, Vec<u16>)> {
    let epoch = facts.epoch;
    let mut members = facts.staying.clone();
    members.extend(facts.joining.iter().map(|life| Member {
        node: life.node,
        boot: life.boot,
        tenure: epoch,
    }));
    members.sort_unstable();
    let has_state = |member: &Member| facts.synced.contains(&(member.life(), member.tenure));
    let positions = |may_work: &dyn Fn(&Member) -> bool| -> Vec<u16> {
        let able = (0u16..).zip(&members).filter(|(_, member)| has_state(member) && may_work(member));
        able.map(|(position, _)| position).collect()
    };
    let mut workers = positions(&|member| match facts.halt {
        true => has_work(facts.previous, member),
        false => !facts.idle.contains(&member.node),
    });
    if workers.is_empty() {
        workers = positions(&|_| true);
    }
    if workers.is_empty() {
        return None;
    }
    let levels: Vec<u64> =
        workers.iter().map(|worker| level(&facts.levels, &members[usize::from(*worker)])).collect();
    let is_idle = |worker: &u16| facts.previous.lease(members[usize::from(*worker)].node).is_empty();
    let mut leases = if workers.iter().any(is_idle) {
        weighted_leases(facts.plan.microbatches, &workers, &levels)
    } else {
        split_leases(facts.previous, &members, &workers, &levels)
    };
    let load = |worker: &u16| leases.iter().filter(|lease| *lease == worker).count();
    let loads: Vec<usize> = workers.iter().map(load).collect();
    if facts.may_rebalance && !facts.halt && is_worth_moving(&loads, &levels) {
        leases = weighted_leases(facts.plan.microbatches, &workers, &levels);
    }
    avoid(&mut leases, &members, &workers, &facts.avoided);
    Some((members, workers, leases))
}

/// The first view of a lineage, or `None` without a founder. All founders have work.
#[must_use]
pub fn plan_founding_view(facts: &FoundingFacts<'_>) -> Option<View> {
    let lives = facts.lives.iter().take(facts.plan.members_max());
    let mut members: Vec<Member> =
        lives.map(|life| Member { node: life.node, boot: life.boot, tenure: facts.epoch }).collect();
    members.sort_unstable();
    let workers: Vec<u16> = (0u16..).zip(&members).map(|(position, _)| position).collect();
    if workers.is_empty() {
        return None;
    }
    Some(View {
        job: facts.job,
        incarnation: facts.incarnation,
        epoch: facts.epoch,
        founding_epoch: facts.epoch,
        origin: facts.origin,
        leases: equal_leases(facts.plan.microbatches, &workers),
        owners: rendezvous_owners(facts.plan.parts, &members, &workers),
        members,
        halt: false,
    })
}
