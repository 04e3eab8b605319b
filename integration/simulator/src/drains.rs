//! Ordered leaves as the council sees them: who is to leave, and when nothing is lost by it.

use std::collections::{BTreeMap, BTreeSet};

use traind_protocol::ids::{Epoch, Life};
use traind_protocol::view::{Member, View};

/// A member that is to leave.
#[derive(Clone, Copy, Debug)]
struct Drain {
    /// The first view in which it has no work.
    since: Epoch,
    /// The first step that it reported in that view or a later one. It has begun nothing beyond it.
    step: Option<u64>,
}

/// When a member may be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainRule {
    /// Once all that stay are beyond the step that it may have begun.
    OthersAreBeyond,
    /// Planted: once all that stay have come to that step.
    OthersAreThere,
    /// Planted: once it is beyond that step itself.
    ItselfIsBeyond,
}

/// Leaves under way, and the reports that decide about them.
#[derive(Debug)]
pub(crate) struct Drains {
    pub(crate) rule: DrainRule,
    leaving: BTreeMap<(Life, Epoch), Drain>,
    steps: BTreeMap<(Life, Epoch), u64>,
    halted: BTreeMap<Epoch, BTreeSet<Life>>,
}

impl Default for Drains {
    fn default() -> Self {
        let rule = DrainRule::OthersAreBeyond;
        Self { rule, leaving: BTreeMap::new(), steps: BTreeMap::new(), halted: BTreeMap::new() }
    }
}

impl Drains {
    /// `member` is to leave; from `since` on it gets no work.
    pub(crate) fn begin(&mut self, member: &Member, since: Epoch) {
        self.leaving.insert((member.life(), member.tenure), Drain { since, step: None });
    }

    /// Whether `member` is to leave.
    #[must_use]
    pub(crate) fn is_leaving(&self, member: &Member) -> bool {
        self.leaving.contains_key(&(member.life(), member.tenure))
    }

    /// Whether anybody is to leave.
    #[must_use]
    pub(crate) fn any(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// `member` says, in `epoch`, that it has applied `step` steps.
    pub(crate) fn applied(&mut self, member: &Member, epoch: Epoch, step: u64) {
        if epoch < member.tenure {
            return;
        }
        let key = (member.life(), member.tenure);
        let furthest = self.steps.entry(key).or_insert(step);
        *furthest = (*furthest).max(step);
        if let Some(drain) = self.leaving.get_mut(&key)
            && epoch >= drain.since
        {
            drain.step.get_or_insert(step);
        }
    }

    /// `life` says that it has stopped in `epoch`.
    pub(crate) fn halted(&mut self, life: Life, epoch: Epoch) {
        self.halted.entry(epoch).or_default().insert(life);
    }

    /// Whether all members of `view` have stopped.
    #[must_use]
    pub(crate) fn all_halted(&self, view: &View) -> bool {
        let said = self.halted.get(&view.epoch);
        said.is_some_and(|lives| view.members.iter().all(|member| lives.contains(&member.life())))
    }

    /// A view was committed: who is not in it has left.
    pub(crate) fn enter(&mut self, view: &View) {
        self.leaving
            .retain(|(life, tenure), _| view.member(*life).is_some_and(|member| member.tenure == *tenure));
    }

    /// The members of `view` that may be taken out. `synced` are those known to have the state, and the job ends after
    /// `steps`.
    #[must_use]
    pub(crate) fn ready(&self, view: &View, synced: &[Member], steps: u64) -> Vec<Member> {
        let staying: Vec<&Member> = synced.iter().filter(|member| !self.is_leaving(member)).collect();
        let step_of = |member: &Member| self.steps.get(&(member.life(), member.tenure)).copied();
        let all_at = |least: u64| staying.iter().all(|member| step_of(member) >= Some(least.min(steps)));
        let is_ready = |member: &&Member| {
            let Some(drain) = self.leaving.get(&(member.life(), member.tenure)) else { return false };
            if self.all_halted(view) {
                return true;
            }
            drain.step.is_some_and(|step| match self.rule {
                DrainRule::OthersAreBeyond => all_at(step + 1),
                DrainRule::OthersAreThere => all_at(step),
                DrainRule::ItselfIsBeyond => step_of(member) > Some(step),
            })
        };
        if staying.is_empty() { Vec::new() } else { view.members.iter().filter(is_ready).copied().collect() }
    }
}
