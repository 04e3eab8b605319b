//! Which council replicates this ledger, which ones it came from, and how many samples they committed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::{ANCESTORS_MAX, BRANCHES_MAX, NODES_MAX};
use super::{CheckpointEntry, JobRecord, Ledger, Rejected};
use crate::ids::{Boot, CouncilId, EPOCH_COUNT_MAX, Epoch, JobId, NodeId, SeatId};
use crate::wire::control::Registration;

/// Highest generation of a council: half of what an epoch has room for beside its count is the generation's.
pub const GENERATION_MAX: u64 = u16::MAX as u64;

/// Highest seat whose councils have epochs of their own; seats are never given twice, a swarm has 64.
const SEAT_MAX: u64 = u16::MAX as u64;

/// The succession of councils that led to this ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The present council.
    pub council: CouncilId,
    /// Those before it, oldest first, at most [`ANCESTORS_MAX`], each with the term and index at which its log ended where
    /// the next one was founded.
    pub ancestors: Vec<(CouncilId, (u64, u64))>,
    /// Samples of committed steps, each step of a job counted once. Only grows.
    pub samples: u64,
    /// The upper half of the epochs of this council's views.
    pub range: u64,
    /// Steps of each job that were ever committed: what is done again after a founding is not counted again.
    reached: BTreeMap<JobId, u64>,
    /// The council that this one gave way to. Nothing is applied any more.
    pub yielded: Option<CouncilId>,
    /// Nodes that came over from another council: the process and its turn for which each got its seat.
    pub seated: BTreeMap<NodeId, (Boot, u64)>,
    /// States that only a council which ended had committed, oldest first, at most [`BRANCHES_MAX`].
    pub branches: Vec<Branch>,
}

/// The last state of a job that a council had committed which ended; its files stay where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The job.
    pub job: JobId,
    /// The council that ended.
    pub council: CouncilId,
    /// The state, with the nodes that hold it.
    pub state: CheckpointEntry,
}

impl Branch {
    /// Its name, as `council-1-brave-otter-1c/step-40`.
    #[must_use]
    pub fn name(&self) -> String {
        let CouncilId { generation, founder } = self.council;
        let founder = if generation == 0 { "first".to_owned() } else { founder.friendly_name() };
        format!("council-{generation}-{founder}/step-{}", self.state.step)
    }
}

impl Lineage {
    /// Takes note that `job` has committed `to` steps.
    pub(super) fn count_samples(&mut self, job: JobId, to: u64, samples_per_step: u64) {
        let reached = self.reached.entry(job).or_default();
        let new_steps = to.saturating_sub(*reached);
        *reached = to.max(*reached);
        self.samples = self.samples.saturating_add(new_steps.saturating_mul(samples_per_step));
    }

    /// The job is gone from the ledger, for good.
    pub(super) fn forget_job(&mut self, job: JobId) {
        self.reached.remove(&job);
    }

    /// The generation in the range of its epochs: its own, or above those of councils whose nodes came over.
    #[must_use]
    pub fn range_generation(&self) -> u64 {
        self.range / (SEAT_MAX + 1)
    }

    /// Whether this lineage contains all of `council` up to the entry at `end`, a term and an index.
    #[must_use]
    pub fn continues(&self, council: CouncilId, end: (u64, u64)) -> bool {
        self.ancestors.iter().any(|(ancestor, ended)| *ancestor == council && end <= *ended)
    }

    /// What decides where two councils meet: the greater one goes on.
    #[must_use]
    pub fn weight(&self) -> (u64, CouncilId) {
        (self.samples, self.council)
    }
}

impl Ledger {
    /// The epoch of the next view of `job`: in the range of the present council, above all that its ancestors gave.
    #[must_use]
    pub fn next_epoch(&self, job: &JobRecord) -> Epoch {
        let count = Epoch(job.epochs).count().saturating_add(1).min(EPOCH_COUNT_MAX);
        Epoch(self.lineage.range * (EPOCH_COUNT_MAX + 1) + count)
    }

    /// The ledger goes over to the council `id`, which the node in `seat` founds where its log of the old one ends.
    pub fn begin_council(&mut self, id: CouncilId, seat: SeatId, end: (u64, u64)) {
        let lineage = &mut self.lineage;
        lineage.ancestors.push((lineage.council, end));
        let surplus = lineage.ancestors.len().saturating_sub(ANCESTORS_MAX);
        lineage.ancestors.drain(..surplus);
        lineage.council = id;
        lineage.yielded = None;
        lineage.range = id.generation.min(GENERATION_MAX) * (SEAT_MAX + 1) + seat.0.min(SEAT_MAX);
    }

    pub(super) fn yield_to(&mut self, to: CouncilId, samples: u64) -> Result<(), Rejected> {
        if to == self.lineage.council || (samples, to) <= self.lineage.weight() {
            return Err(Rejected::SuccessionRefused { what: "the other council is not further" });
        }
        self.lineage.yielded = Some(to);
        Ok(())
    }

    /// Epochs go on above `range`, in one that is this council's own: its founder's seat is part of it.
    pub(super) fn unite(&mut self, range: u64) -> Result<(), Rejected> {
        if range < self.lineage.range {
            return Ok(());
        }
        let generation = range / (SEAT_MAX + 1) + 1;
        if generation > GENERATION_MAX {
            return Err(Rejected::SuccessionRefused { what: "its epochs are beyond all that are given" });
        }
        self.lineage.range = generation * (SEAT_MAX + 1) + self.lineage.range % (SEAT_MAX + 1);
        Ok(())
    }

    pub(super) fn reseat(
        &mut self,
        index: u64,
        node: NodeId,
        registration: Registration,
        turn: u64,
    ) -> Result<(), Rejected> {
        let key = (registration.boot, turn);
        // A late command of an earlier turn would take the seat away in which the node is by now.
        if self.lineage.seated.get(&node).is_some_and(|seated| seated.0 == key.0 && seated.1 >= turn) {
            return Ok(());
        }
        let had_seat = self.nodes.contains_key(&node);
        self.register(index, node, registration)?;
        if had_seat {
            self.give_new_seat(node);
        }
        self.lineage.seated.retain(|node, _| self.nodes.contains_key(node));
        self.lineage.seated.insert(node, key);
        Ok(())
    }

    pub(super) fn keep_branch(&mut self, branch: Branch) -> Result<(), Rejected> {
        let is_same = |known: &&mut Branch| {
            (known.job, known.council, known.state.step) == (branch.job, branch.council, branch.state.step)
        };
        if let Some(known) = self.lineage.branches.iter_mut().find(is_same) {
            known.state.holders.extend(branch.state.holders);
            return Ok(());
        }
        if branch.state.holders.is_empty() || branch.state.holders.len() > NODES_MAX {
            return Err(Rejected::SuccessionRefused { what: "nobody holds the branch" });
        }
        self.lineage.branches.push(branch);
        let surplus = self.lineage.branches.len().saturating_sub(BRANCHES_MAX);
        self.lineage.branches.drain(..surplus);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::ledger::LedgerCommand;
    use crate::ledger::testing::{checkpoint, job_id, node, plan, register, registration, submit};
    use crate::replicated::Replicated;
    use crate::wire::encode;

    #[test]
    fn of_two_councils_that_meet_exactly_one_gives_way_and_then_stands_still() {
        let mut ledger = with_job();
        ledger.begin_council(id(1, 5), SeatId(1), (3, 7));
        ledger.lineage.samples = 10;
        let yielding = |to, samples| LedgerCommand::YieldCouncil { to, samples };
        for (to, samples) in [(id(2, 1), 9), (id(1, 4), 10), (id(1, 5), 11)] {
            assert!(ledger.apply_command(5, yielding(to, samples)).is_err(), "{to} {samples}");
        }
        ledger.apply_command(6, yielding(id(1, 6), 10)).expect("as many, and its name is greater");
        let before = ledger.clone();
        let submit = submit(2, plan());
        assert_eq!(ledger.apply_command(7, submit), Err(Rejected::GaveWay { to: id(1, 6) }));
        assert_eq!(ledger, before);
    }

    #[test]
    fn epochs_go_on_above_those_of_nodes_that_come_over() {
        let mut ledger = with_job();
        ledger.begin_council(id(1, 1), SeatId(3), (3, 7));
        let (job, own) = (ledger.jobs[&job_id(1)].clone(), ledger.lineage.range);
        let mut other = with_job();
        other.begin_council(id(1, 2), SeatId(9), (3, 7));
        other.begin_council(id(4, 2), SeatId(9), (3, 7));
        let theirs = other.lineage.range;
        ledger.apply_command(9, LedgerCommand::UniteCouncils { range: theirs }).expect("room");
        assert!(ledger.next_epoch(&job) > other.next_epoch(&job));
        let united = ledger.lineage.range;
        ledger.apply_command(10, LedgerCommand::UniteCouncils { range: own }).expect("nothing to do");
        assert_eq!(ledger.lineage.range, united);
        let beyond = LedgerCommand::UniteCouncils { range: u64::MAX };
        assert!(ledger.apply_command(11, beyond).is_err());
    }

    #[test]
    fn who_comes_over_gets_a_seat_that_promised_nothing_once_for_each_turn() {
        let mut ledger = Ledger::default();
        ledger.apply_command(1, register(1, 1)).expect("room");
        ledger.apply_command(2, register(2, 1)).expect("room");
        let mut reseat = |index, boot, turn| {
            let command = LedgerCommand::ReseatNode { node: node(2), registration: registration(boot), turn };
            ledger.apply_command(index, command).expect("room");
            ledger.seat_of(node(2)).map(|seat| seat.0)
        };
        assert_eq!(reseat(3, 1, 1), Some(3));
        assert_eq!(reseat(4, 1, 1), Some(3), "the same again");
        assert_eq!(reseat(5, 1, 2), Some(4));
        assert_eq!(reseat(5, 1, 1), Some(4), "an earlier turn, late");
        assert_eq!(reseat(6, 9, 1), Some(5));
        let stranger = LedgerCommand::ReseatNode { node: node(7), registration: registration(1), turn: 1 };
        ledger.apply_command(7, stranger).expect("room");
        assert_eq!(ledger.seat_of(node(7)), Some(SeatId(6)));
    }

    #[test]
    fn a_ledger_that_is_behind_hears_nodes_in_their_later_seats_only() {
        let mut ledger = Ledger::default();
        ledger.apply_command(1, register(1, 1)).expect("room");
        ledger.apply_command(2, register(2, 1)).expect("room");
        assert!(ledger.may_sit(node(1), SeatId(1)) && ledger.may_sit(node(1), SeatId(3)));
        assert!(!ledger.may_sit(node(1), SeatId(2)), "another node's");
        ledger.give_new_seat(node(1));
        assert!(!ledger.may_sit(node(1), SeatId(1)), "one that it had");
        assert!(ledger.may_sit(node(9), SeatId(8)), "nobody is known there");
    }

    #[test]
    fn branches_are_named_united_and_bounded() {
        let mut ledger = with_job();
        let keep = |step, holders: &[u8]| LedgerCommand::KeepBranch {
            branch: Branch { job: job_id(1), council: id(1, 2), state: checkpoint(step, holders) },
        };
        ledger.apply_command(2, keep(40, &[1])).expect("held");
        ledger.apply_command(3, keep(40, &[2])).expect("held");
        assert!(ledger.apply_command(4, keep(50, &[])).is_err());
        let branch = &ledger.lineage.branches[0];
        assert_eq!((ledger.lineage.branches.len(), branch.state.holders.len()), (1, 2));
        assert!(branch.name().starts_with("council-1-") && branch.name().ends_with("/step-40"));
        for step in 0..100 {
            ledger.apply_command(5 + step, keep(100 + step, &[1])).expect("held");
        }
        assert_eq!(ledger.lineage.branches.len(), BRANCHES_MAX);
    }

    fn id(generation: u64, founder: u8) -> CouncilId {
        CouncilId { generation, founder: NodeId([founder; 32]) }
    }

    fn with_job() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.apply_command(1, submit(1, plan())).expect("a good submission");
        ledger
    }

    #[test]
    fn each_council_has_epochs_of_its_own_that_only_grow() {
        let mut ledger = with_job();
        let job = ledger.jobs[&job_id(1)].clone();
        assert_eq!(ledger.next_epoch(&job), Epoch(1));
        let (mut one, mut other) = (ledger.clone(), ledger.clone());
        one.begin_council(id(1, 1), SeatId(1), (3, 7));
        other.begin_council(id(1, 2), SeatId(2), (3, 7));
        let (of_one, of_other) = (one.next_epoch(&job), other.next_epoch(&job));
        assert!(Epoch(1) < of_one && of_one < of_other, "{of_one:?} {of_other:?}");
        assert_eq!((of_one.count(), of_other.count()), (1, 1));
        let later = JobRecord { epochs: of_other.0, ..job.clone() };
        other.begin_council(id(2, 1), SeatId(1), (3, 7));
        assert!(other.next_epoch(&later) > of_other.next());
        assert_eq!(other.next_epoch(&later).count(), 2);
        assert_eq!(other.lineage.ancestors, [(CouncilId::default(), (3, 7)), (id(1, 2), (3, 7))]);
        let continues = |council, end| other.lineage.continues(council, end);
        assert!(continues(CouncilId::default(), (3, 7)) && continues(id(1, 2), (2, 9)));
        assert!(!continues(id(1, 2), (3, 8)) && !continues(id(1, 1), (1, 1)));
        for generation in 3..200 {
            ledger.begin_council(id(generation, 1), SeatId(1), (3, 7));
        }
        assert_eq!(ledger.lineage.ancestors.len(), ANCESTORS_MAX);
    }

    #[test]
    fn steps_that_are_done_again_are_not_counted_again() {
        let mut lineage = Lineage::default();
        let samples = plan().samples_per_step();
        lineage.count_samples(job_id(1), 10, samples);
        lineage.count_samples(job_id(1), 4, samples);
        lineage.count_samples(job_id(1), 12, samples);
        lineage.count_samples(job_id(2), 1, samples);
        assert_eq!(lineage.samples, 13 * samples);
        lineage.forget_job(job_id(1));
        assert_eq!(lineage.reached, BTreeMap::from([(job_id(2), 1)]), "what is gone takes no room");
    }

    #[test]
    fn a_snapshot_without_a_lineage_is_of_the_first_council() {
        let mut ledger = with_job();
        ledger.begin_council(id(1, 7), SeatId(2), (3, 7));
        let mut read = Ledger::default();
        read.restore(&ledger.snapshot()).expect("its own snapshot");
        assert_eq!(read, ledger);
        // What directories of earlier versions hold: the fields before the lineage alone.
        read.restore(&encode(&ledger)).expect("an older snapshot");
        assert_eq!((&read.lineage, &read.jobs), (&Lineage::default(), &ledger.jobs));
        let cut = ledger.snapshot();
        assert!(Ledger::default().restore(&cut[..cut.len() - 1]).is_err());
    }
}
