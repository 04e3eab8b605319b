//! The council as the sync step sees it: one place that commits views and is told who has the state.

use std::collections::{BTreeMap, BTreeSet};

use traind_protocol::ids::{Chain, Epoch, Incarnation, JobId, Life};
use traind_protocol::invariants::views_grow;
use traind_protocol::view::{Member, Origin, View};

use crate::drains::Drains;
use crate::random::Random;

/// The one job of a run.
pub(crate) const JOB: JobId = JobId(*b"spinejob");

/// Linearizable by being a single thing.
#[derive(Debug)]
pub(crate) struct ViewService {
    views: Vec<View>,
    acknowledged: BTreeSet<(Life, Epoch)>,
    /// Whether a view needs a member that is known to have the state. Off only as a planted fault.
    pub(crate) continuity: bool,
    /// Members that are to leave.
    pub(crate) drains: Drains,
    /// Whether the next view halts.
    pub(crate) halt: bool,
    microbatches: u32,
    parts: u32,
    applied: BTreeMap<(Epoch, u64), BTreeMap<Life, Chain>>,
}

impl ViewService {
    /// A service whose first view has `founders`.
    #[must_use]
    pub(crate) fn new(
        founders: Vec<Life>,
        origin: Origin,
        microbatches: u32,
        parts: u32,
        random: &mut Random,
    ) -> Self {
        let mut service = Self {
            views: Vec::new(),
            acknowledged: BTreeSet::new(),
            continuity: true,
            drains: Drains::default(),
            halt: false,
            microbatches,
            parts,
            applied: BTreeMap::new(),
        };
        service.found(founders, origin, random);
        service
    }

    /// Begins a new lineage with `founders`, which all hold `origin`.
    pub(crate) fn found(&mut self, founders: Vec<Life>, origin: Origin, random: &mut Random) {
        let (incarnation, epoch) = match self.views.last() {
            Some(view) => (Incarnation(view.incarnation.0 + 1), view.epoch.next()),
            None => (Incarnation(1), Epoch(1)),
        };
        let member = |life: Life| Member { node: life.node, boot: life.boot, tenure: epoch };
        let members: Vec<Member> = founders.into_iter().map(member).collect();
        // Founders hold what they start from by definition, so the first view counts as acknowledged.
        self.halt = false;
        self.acknowledged.extend(members.iter().map(|member| (member.life(), member.tenure)));
        let view = self.draw(incarnation, epoch, epoch, origin, members, random);
        self.drains.enter(&view);
        self.views.push(view);
    }

    /// The first of the views up to `epoch` that halt one after another.
    #[must_use]
    pub(crate) fn halt_began(&self, epoch: Epoch) -> Epoch {
        let before = |epoch: &Epoch| Some(Epoch(epoch.0.checked_sub(1)?));
        let halts = |epoch: &Epoch| self.view(*epoch).is_some_and(|view| view.halt);
        std::iter::successors(Some(epoch), before).take_while(halts).last().unwrap_or(epoch)
    }

    /// The latest view.
    ///
    /// # Panics
    /// Never: there is one from the beginning.
    #[must_use]
    pub(crate) fn latest(&self) -> &View {
        self.views.last().expect("the first view is committed in new")
    }

    /// The view of an epoch.
    #[must_use]
    pub(crate) fn view(&self, epoch: Epoch) -> Option<&View> {
        self.views.get(usize::try_from(epoch.0.checked_sub(1)?).ok()?)
    }

    /// Whether this member is known to have the state.
    #[must_use]
    pub(crate) fn is_acknowledged(&self, member: &Member) -> bool {
        self.acknowledged.contains(&(member.life(), member.tenure))
    }

    /// A life says that it has the state.
    pub(crate) fn acknowledge(&mut self, life: Life, tenure: Epoch) {
        self.acknowledged.insert((life, tenure));
    }

    /// Commits a view with these members, if the rule of continuity allows it.
    pub(crate) fn commit(&mut self, members: Vec<Member>, random: &mut Random) -> bool {
        let latest = self.latest();
        let (incarnation, epoch) = (latest.incarnation, latest.epoch);
        let continues = |member: &Member| member.tenure <= epoch && self.is_acknowledged(member);
        if members.is_empty() || (self.continuity && !members.iter().any(continues)) {
            return false;
        }
        let (founding, origin) = (latest.founding_epoch, latest.origin);
        let view = self.draw(incarnation, epoch.next(), founding, origin, members, random);
        self.drains.enter(&view);
        self.views.push(view);
        true
    }

    /// V1.
    #[must_use]
    pub(crate) fn views_grow(&self) -> bool {
        let name = |view: &View| (view.incarnation, view.epoch);
        let last = &self.views[self.views.len().saturating_sub(2)..];
        last.windows(2).all(|pair| views_grow(name(&pair[0]), name(&pair[1])))
    }

    /// A member reports a step. Returns the step's chain once all of the view have reported it, in this very epoch:
    /// evidence that it is stable.
    pub(crate) fn report_applied(
        &mut self,
        life: Life,
        epoch: Epoch,
        step: u64,
        chain: Chain,
    ) -> Option<Vec<Chain>> {
        let reports = self.applied.entry((epoch, step)).or_default();
        reports.insert(life, chain);
        let reports = self.applied.get(&(epoch, step))?;
        let view = self.view(epoch)?;
        view.members.iter().map(|member| reports.get(&member.life()).copied()).collect()
    }

    /// Leases and owners drawn at random: contiguous cuts or none, owners anywhere, members without either. Those that
    /// are to leave get nothing.
    fn draw(
        &self,
        incarnation: Incarnation,
        epoch: Epoch,
        founding_epoch: Epoch,
        origin: Origin,
        mut members: Vec<Member>,
        random: &mut Random,
    ) -> View {
        members.sort_unstable();
        let all: Vec<usize> = (0..members.len()).collect();
        let stays = |position: &usize| !self.drains.is_leaving(&members[*position]);
        let staying: Vec<usize> = all.iter().copied().filter(stays).collect();
        let workers = if staying.is_empty() { all } else { staying };
        let count = workers.len();
        let mut cuts: Vec<usize> = (1..count).map(|_| random.below(self.microbatches as usize + 1)).collect();
        cuts.sort_unstable();
        let (offset, scattered) = (random.below(count), random.chance(250));
        let lease = |microbatch: usize| {
            let place = cuts.iter().filter(|cut| **cut <= microbatch).count();
            let place = if scattered { random.below(count) } else { place };
            u16::try_from(workers[(place + offset) % count]).unwrap_or(0)
        };
        let leases = (0..self.microbatches as usize).map(lease).collect();
        let spread = random.chance(600);
        let mut owner = |part: u32| {
            let place = if spread { part as usize + offset } else { random.below(count) };
            u16::try_from(workers[place % count]).unwrap_or(0)
        };
        let owners = (0..self.parts).map(&mut owner).collect();
        let halt = self.halt;
        View { job: JOB, incarnation, epoch, founding_epoch, origin, members, leases, owners, halt }
    }
}
