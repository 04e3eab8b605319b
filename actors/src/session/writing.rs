//! Which checkpoints this member writes: those for which it was chosen, so that a job's disks share the load.

use traind_protocol::ids::{Life, NodeId};
use traind_protocol::replicas::choose_writers;
use traind_protocol::view::View;

use super::driver::{SessionDriver, SessionPlan};
use super::trainer::{CapturePurpose, TrainerCommand};

/// A job ends as soon as its final state is on a disk. A session that still goes on after so many ticks of a second writes
/// it too, or again: those who were to may be gone, or their disks full.
const FINAL_TICKS: u32 = 4;

/// What decides about it.
#[derive(Debug)]
pub(super) struct Writing {
    me: NodeId,
    steps: u64,
    every: u64,
    replicas: u32,
    /// Steps after which the state is saved because it is time; no more than the ledger has of them.
    saves: Vec<u64>,
    view: Option<(View, Vec<String>)>,
    /// Ticks since this member finished.
    final_ticks: Option<u32>,
    /// The last checkpoint that is on disk here.
    written: u64,
}

impl Writing {
    pub(super) fn new(plan: &SessionPlan) -> Self {
        let Life { node: me, .. } = plan.sync.me;
        Self {
            me,
            steps: plan.sync.steps,
            every: plan.checkpoint_every,
            replicas: plan.checkpoint_replicas,
            saves: Vec::new(),
            view: None,
            final_ticks: None,
            written: 0,
        }
    }

    /// It is time for a checkpoint after each of `steps`, which take the place of those told before; the first of them that is
    /// past `here` already.
    pub(super) fn save_after(&mut self, steps: Vec<u64>, here: u64) -> Option<u64> {
        let late = steps.iter().find(|step| !self.saves.contains(step) && **step <= here).copied();
        self.saves = steps;
        late
    }

    /// A view is entered, whose members have these failure labels.
    pub(super) fn enter(&mut self, view: View, failure_labels: Vec<String>) {
        let is_another_lineage =
            self.view.as_ref().is_none_or(|(known, _)| known.incarnation != view.incarnation);
        if is_another_lineage {
            (self.final_ticks, self.written) = (None, 0);
        }
        self.view = Some((view, failure_labels));
    }

    /// Whether this member writes the state after `step`; `is_early_end`: the job ends with it.
    pub(super) fn is_writer(&self, step: u64, is_early_end: bool) -> bool {
        let is_due = step == self.steps
            || is_early_end
            || (self.every > 0 && step.is_multiple_of(self.every))
            || self.saves.contains(&step);
        let Some((view, labels)) = &self.view else { return false };
        is_due && choose_writers(view, labels, step, self.replicas).contains(&self.me)
    }

    /// The final state is reached.
    pub(super) fn finished(&mut self) {
        self.final_ticks = Some(0);
    }

    /// A checkpoint is on disk.
    pub(super) fn written(&mut self, step: u64) {
        self.written = self.written.max(step);
    }

    /// A second has passed: whether the final state, that after `step`, is to be written now.
    fn is_final_due(&mut self, step: u64) -> bool {
        let Some(ticks) = &mut self.final_ticks else { return false };
        *ticks += 1;
        self.written < step && ticks.is_multiple_of(FINAL_TICKS)
    }
}

impl SessionDriver {
    /// Writes the final state where nobody has for a while.
    pub(super) fn offer_final_state(&mut self) {
        if let Some((step, chain)) = self.finished
            && self.writing.is_final_due(step)
        {
            let purpose = CapturePurpose::Checkpoint { step, chain };
            self.command(TrainerCommand::Capture { purpose });
        }
    }
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{Boot, Chain, Epoch, Incarnation, JobId};
    use traind_protocol::sync::SyncOptions;
    use traind_protocol::view::{Member, Origin};

    use super::*;

    fn view(members: u8, halt: bool) -> View {
        let member = |number| Member { node: NodeId([number; 32]), boot: Boot(1), tenure: Epoch(1) };
        View {
            job: JobId([1; 8]),
            incarnation: Incarnation(1),
            epoch: Epoch(1),
            founding_epoch: Epoch(1),
            origin: Origin::Seed,
            members: (1..=members).map(member).collect(),
            leases: (0..u16::from(members)).collect(),
            owners: vec![0],
            halt,
        }
    }

    /// A job of 95 steps with two copies of a checkpoint every ten steps, on one node.
    fn plan(node: u8) -> SessionPlan {
        let sync = SyncOptions {
            job: JobId([1; 8]),
            me: Life { node: NodeId([node; 32]), boot: Boot(1) },
            microbatches: 8,
            parts: 1,
            steps: 95,
            genesis: Chain::default(),
            kept_bytes_max: 0,
            sends_early: true,
        };
        SessionPlan { sync, checkpoint_every: 10, checkpoint_replicas: 2, work: Default::default() }
    }

    /// A step that the ledger names, because it is time.
    const TIMED: u64 = 17;

    fn writers(members: u8, halt: bool, step: u64) -> Vec<u8> {
        let is_writer = |number: &u8| {
            let mut writing = Writing::new(&plan(*number));
            assert!(!writing.is_writer(step, true), "in no view");
            assert_eq!(writing.save_after(vec![3, TIMED], 5), Some(3), "heard too late");
            writing.enter(view(members, halt), vec![String::new(); usize::from(members)]);
            writing.is_writer(step, false)
        };
        (1..=members).filter(is_writer).collect()
    }

    #[test]
    fn so_many_members_write_each_checkpoint_in_turns_and_all_where_a_job_halts() {
        let chosen: Vec<Vec<u8>> = (1..10).map(|number| writers(5, false, number * 10)).collect();
        assert!(chosen.iter().all(|writers| writers.len() == 2), "{chosen:?}");
        assert!((1..=5).all(|node| chosen.iter().flatten().any(|writer| *writer == node)), "{chosen:?}");
        assert_eq!(writers(5, false, 95).len(), 2, "the last step");
        assert_eq!(writers(1, false, 10), [1]);
        assert!(writers(5, false, 11).is_empty());
        assert_eq!(writers(5, false, TIMED).len(), 2, "time made it due");
        assert_eq!(writers(5, true, 20), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_final_state_that_nobody_wrote_is_written_by_all_after_a_while() {
        let mut writing = Writing::new(&plan(1));
        assert!((0..20).all(|_| !writing.is_final_due(95)), "it has not finished");
        writing.finished();
        let due: Vec<u32> = (1..=9).filter(|_| writing.is_final_due(95)).collect();
        assert_eq!(due, [4, 8]);
        writing.written(95);
        assert!((0..20).all(|_| !writing.is_final_due(95)));
    }
}
