//! Which council replicates this ledger, which ones it came from, and how many samples they committed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::ANCESTORS_MAX;
use super::{JobRecord, Ledger};
use crate::ids::{CouncilId, EPOCH_COUNT_MAX, Epoch, JobId, SeatId};

/// Highest generation of a council: half of what an epoch has room for beside its count is the generation's.
pub const GENERATION_MAX: u64 = u16::MAX as u64;

/// Highest seat whose councils have epochs of their own; seats are never given twice, a swarm has 64.
const SEAT_MAX: u64 = u16::MAX as u64;

/// The succession of councils that led to this ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The present council.
    pub council: CouncilId,
    /// Those before it, oldest first, at most [`ANCESTORS_MAX`].
    pub ancestors: Vec<CouncilId>,
    /// Samples of committed steps, each step of a job counted once. Only grows.
    pub samples: u64,
    /// The upper half of the epochs of this council's views.
    range: u64,
    /// Steps of each job that were ever committed: what is done again after a founding is not counted again.
    reached: BTreeMap<JobId, u64>,
    /// The council that this one gave way to. Nothing is applied any more.
    pub yielded: Option<CouncilId>,
}

impl Lineage {
    /// Takes note that `job` has committed `to` steps.
    pub(super) fn count_samples(&mut self, job: JobId, to: u64, samples_per_step: u64) {
        let reached = self.reached.entry(job).or_default();
        let new_steps = to.saturating_sub(*reached);
        *reached = to.max(*reached);
        self.samples = self.samples.saturating_add(new_steps.saturating_mul(samples_per_step));
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

    /// The ledger goes over to the council `id`, which the node in `seat` founds.
    pub fn begin_council(&mut self, id: CouncilId, seat: SeatId) {
        let lineage = &mut self.lineage;
        lineage.ancestors.push(lineage.council);
        let surplus = lineage.ancestors.len().saturating_sub(ANCESTORS_MAX);
        lineage.ancestors.drain(..surplus);
        lineage.council = id;
        lineage.yielded = None;
        lineage.range = id.generation.min(GENERATION_MAX) * (SEAT_MAX + 1) + seat.0.min(SEAT_MAX);
        lineage.reached.retain(|job, _| self.jobs.contains_key(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::ledger::testing::{job_id, plan, submit};
    use crate::replicated::Replicated;
    use crate::wire::encode;

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
        one.begin_council(id(1, 1), SeatId(1));
        other.begin_council(id(1, 2), SeatId(2));
        let (of_one, of_other) = (one.next_epoch(&job), other.next_epoch(&job));
        assert!(Epoch(1) < of_one && of_one < of_other, "{of_one:?} {of_other:?}");
        assert_eq!((of_one.count(), of_other.count()), (1, 1));
        let later = JobRecord { epochs: of_other.0, ..job.clone() };
        other.begin_council(id(2, 1), SeatId(1));
        assert!(other.next_epoch(&later) > of_other.next());
        assert_eq!(other.next_epoch(&later).count(), 2);
        assert_eq!(other.lineage.ancestors, [CouncilId::default(), id(1, 2)]);
        for generation in 3..200 {
            ledger.begin_council(id(generation, 1), SeatId(1));
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
    }

    #[test]
    fn a_snapshot_without_a_lineage_is_of_the_first_council() {
        let mut ledger = with_job();
        ledger.begin_council(id(1, 7), SeatId(2));
        let mut read = Ledger::default();
        read.restore(&ledger.snapshot()).expect("its own snapshot");
        assert_eq!(read, ledger);
        // What directories of earlier versions hold: the fields before the lineage alone.
        read.restore(&encode(&ledger)).expect("an older snapshot");
        assert_eq!((read.lineage, read.jobs), (Lineage::default(), ledger.jobs));
        let cut = ledger.snapshot();
        assert!(Ledger::default().restore(&cut[..cut.len() - 1]).is_err());
    }
}
