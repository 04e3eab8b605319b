//! What the driver does when a step is applied, and what it loads when a lineage begins.

use bytes::Bytes;
use traind_averaging::check_result;
use traind_protocol::ids::Chain;
use traind_protocol::index_set::IndexSet;
use traind_protocol::numbers::Numbers as _;
use traind_protocol::view::Origin;
use traind_protocol::wire::control::{EvaluationTotals, ReportEvent, StepPoint};
use traind_protocol::wire::state_sample::StateSample;

use super::driver::{SessionDriver, SessionError};
use super::trainer::{CapturePurpose, TrainerCommand};

impl SessionDriver {
    /// The machine moves on from the state after `step` steps to the next one, with `chain`.
    pub(super) fn apply(&mut self, step: u64, chain: Chain, results: Vec<Bytes>) {
        let base = std::mem::replace(&mut self.chain, chain);
        self.taken_over = IndexSet::new();
        let head = results.first().and_then(|result| check_result(&self.layout, 0, result).ok());
        let loss = head.map_or(f64::NAN, |head| head.loss_mean);
        self.command(TrainerCommand::Apply { step: step + 1, loss, results });
        if let Some(head) = head.filter(|head| head.held_out_total > 0) {
            let totals = EvaluationTotals {
                correct: head.held_out_correct,
                total: head.held_out_total,
                loss: head.held_out_loss_mean,
            };
            self.report(ReportEvent::Evaluated { step, chain: base, totals });
        }
        let step = step + 1;
        tracing::debug!(step, computed = self.work().microbatches_computed, "step applied");
        // The machine may have applied more than one step at once; only its last state can be the end.
        let numbers = self.machine.numbers();
        let is_early_end = numbers.has_ended() && self.machine.status().place.step == step;
        if self.writing.is_writer(step, is_early_end) {
            let purpose = CapturePurpose::Checkpoint { step, chain };
            self.command(TrainerCommand::Capture { purpose });
        }
        self.count(|work| work.steps_applied += 1);
    }

    /// Tells the coordinator that a step was applied by a member with the state.
    pub(super) fn report_applied(&mut self, step: u64, chain: Chain) {
        // Said when the machine applies, not when the trainer has: whoever takes this node out of a view must know the
        // last step that it can have begun.
        let (point, sample, work) = (self.point, self.sample.take(), self.work());
        self.report(ReportEvent::Applied { step, chain, point, sample, work });
    }

    /// It is time for a checkpoint after each of `steps`.
    pub(super) fn save_after(&mut self, steps: Vec<u64>) {
        let here = self.machine.status().place.step;
        if let Some(late) = self.writing.save_after(steps, here) {
            // Others were in time, or the coordinator sees that nobody was.
            tracing::debug!(step = late, here, "heard too late that a checkpoint is due");
        }
    }

    /// The trainer is done with a step. The figures go out with the next report, or now if there is none to come.
    pub(super) fn point_known(&mut self, point: StepPoint, sample: StateSample) {
        self.point = Some(point);
        self.sample = Some(sample);
        if self.finished.is_some_and(|(step, _)| step == point.step)
            && let Some(report) = self.reports.complete(point)
        {
            self.links.report(report);
        }
    }

    /// The state that this incarnation starts from.
    pub(super) fn load_origin(&mut self, origin: Origin) -> Result<(), SessionError> {
        let Origin::Checkpoint { step, chain, digest } = origin else {
            self.machine.numbers_mut().reset();
            let request = self.next_restore();
            self.origin = Some((request, 0, self.plan.sync.genesis));
            self.command(TrainerCommand::Restart { request });
            return Ok(());
        };
        let read = self.links.read_checkpoint(self.job(), step, digest);
        let state = read.map_err(|reason| self.origin_lost(step, reason))?;
        let restored = self.machine.numbers_mut().restore(&state);
        if !restored {
            let reason = "its block exponents do not decode".to_owned();
            return Err(self.origin_lost(step, reason));
        }
        let request = self.next_restore();
        self.origin = Some((request, step, chain));
        self.command(TrainerCommand::Restore { request, state, digest: Some(digest) });
        Ok(())
    }

    /// The ledger must not count on this checkpoint any more.
    fn origin_lost(&self, step: u64, reason: String) -> SessionError {
        self.links.disown_checkpoint(self.job(), step, self.plan.sync.me.node);
        SessionError::Origin { step, reason }
    }
}
