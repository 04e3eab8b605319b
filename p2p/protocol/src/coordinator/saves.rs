//! Checkpoints by time. The coordinator's clock says that one is due, and the ledger after which step: a step ahead of
//! all members, so that they hear of it before they get there and all save the same state. When a state is saved decides
//! nothing about it, so digests are the same whatever the clock says.

use super::input_output::CoordinatorOutput;
use super::limits::{SAVE_AHEAD_MS, SAVE_AHEAD_STEPS_MIN};
use super::machine::{Coordinator, Pass};
use super::member_reports::MemberReports;
use super::proposals::ProposalKey;
use super::reports::JobReports;
use crate::ids::Millis;
use crate::ledger::{JobRecord, LedgerCommand};
use crate::view::View;

/// Since when the job goes on without a checkpoint that time made due. A new coordinator and a new lineage begin anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct SaveClock {
    since: Millis,
    /// Steps that members had applied then.
    step: u64,
    /// The last step that the ledger showed to be due.
    due: Option<u64>,
}

impl SaveClock {
    pub(super) fn new(now: Millis, step: u64) -> Self {
        Self { since: now, step, due: None }
    }

    /// Steps that members do within [`SAVE_AHEAD_MS`], by their speed since the clock began, and a few more.
    fn ahead(&self, now: Millis, reached: u64) -> u64 {
        let elapsed_ms = now.since(self.since).max(1);
        let steps = reached.saturating_sub(self.step);
        SAVE_AHEAD_STEPS_MIN + steps.saturating_mul(SAVE_AHEAD_MS).div_ceil(elapsed_ms)
    }
}

impl JobReports {
    /// Steps that two members said to have applied, or the only one: while a joiner fetches the state, what is stable stands
    /// still and the others do not. The word of one alone would put a checkpoint off to the end of the job.
    fn reached(&self) -> u64 {
        let mut steps: Vec<u64> = self.members.values().filter_map(MemberReports::step).collect();
        steps.sort_unstable();
        let second = steps.len().checked_sub(2).map_or_else(|| steps.first(), |index| steps.get(index));
        second.copied().unwrap_or(0).max(self.stable.0)
    }
}

impl Coordinator {
    /// Makes the ledger show the next step to save after, when it is time.
    pub(super) fn decide_saves(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View) {
        let Some(keeping) = pass.ledger.keeping.get(&job.id) else { return };
        let every_ms = keeping.rules.every_ms;
        let Some(reports) = &mut self.reports else { return };
        // Whoever halts or has finished writes its last state all the same.
        if every_ms == 0 || view.halt || !reports.finished.is_empty() {
            return;
        }
        let (reached, clock) = (reports.reached(), &mut reports.saves);
        let due = keeping.due.last().copied();
        if clock.due != due {
            *clock = SaveClock { since: pass.now, step: reached, due };
        }
        let due_at = clock.since.plus(every_ms);
        if pass.now < due_at {
            pass.wake_at(due_at);
            return;
        }
        let step = reached + clock.ahead(pass.now, reached);
        // The last step is saved by itself.
        if step >= job.plan.steps || due.is_some_and(|due| step <= due) {
            return;
        }
        if self.proposals.is_due(pass.now, ProposalKey::Save(job.id, due.unwrap_or(0))) {
            let command = LedgerCommand::ScheduleCheckpoint { job: job.id, step };
            pass.out.push(CoordinatorOutput::Propose(command));
        }
    }
}
