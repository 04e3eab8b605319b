//! Telling everyone how far the running job is.

use super::admissions::KeptOutNode;
use super::input_output::CoordinatorOutput;
use super::limits::PROGRESS_INTERVAL_MS;
use super::machine::{Coordinator, Pass};
use super::reports::JobReports;
use crate::ids::{Epoch, JobId, Millis};
use crate::ledger::JobStatus;
use crate::wire::control::{ControlMessage, KeptOut, Progress, UnwrittenCheckpoint};

/// The latest word on a job.
#[derive(Debug, Default)]
pub(super) struct ProgressState {
    /// What was told or, by another coordinator, heard.
    pub(super) latest: Option<Progress>,
    /// When this coordinator told it.
    sent_at: Option<Millis>,
    /// Something has changed since.
    pub(super) is_due: bool,
}

impl Coordinator {
    /// How far `job` is, by this coordinator's last word or the last one heard. At most 200 ms old while it runs.
    #[must_use]
    pub fn progress(&self, job: JobId) -> Option<&Progress> {
        self.progress.latest.as_ref().filter(|progress| progress.job == job)
    }

    /// Tells the progress if it has changed and the last time is long enough ago.
    pub(super) fn decide_progress(&mut self, pass: &mut Pass<'_>) {
        let due_at = self.progress.sent_at.map_or(Millis(0), |sent_at| sent_at.plus(PROGRESS_INTERVAL_MS));
        if !self.progress.is_due {
            return;
        }
        if pass.now < due_at {
            pass.wake_at(due_at);
            return;
        }
        let epoch = pass.ledger.running_job().and_then(|job| job.view.as_ref()).map(|view| view.epoch);
        if let (Some(reports), Some(epoch)) = (&self.reports, epoch) {
            let word = reports.word(pass.now, epoch, &self.kept_out);
            self.tell(pass, word);
        }
    }

    /// The last word on a job that has ended or halted, at once.
    pub(super) fn tell_end(&mut self, pass: &mut Pass<'_>) {
        let Some(reports) = self.reports.take() else { return };
        let Some(job) = pass.ledger.jobs.get(&reports.job) else { return };
        let (epoch, _) = job.newest_epoch();
        let mut word = reports.word(pass.now, epoch, &[]);
        if let (JobStatus::Done, Some(result)) = (&job.status, &job.result) {
            word.stable_step = result.step;
        }
        self.tell(pass, word);
    }

    fn tell(&mut self, pass: &mut Pass<'_>, progress: Progress) {
        self.progress.latest = Some(progress.clone());
        self.progress.sent_at = Some(pass.now);
        self.progress.is_due = false;
        pass.out.push(CoordinatorOutput::Broadcast(ControlMessage::Progress(progress)));
    }
}

impl JobReports {
    /// The progress message of a job in view `epoch`, which `kept_out` may not enter.
    pub(super) fn word(&self, now: Millis, epoch: Epoch, kept_out: &[KeptOutNode]) -> Progress {
        let kept_out = kept_out.iter().map(|(node, reason, until)| KeptOut {
            node: *node,
            reason: reason.clone(),
            ends_in_ms: until.map(|until| until.since(now)),
        });
        let unwritten = self.unwritten.iter().map(|(node, (step, reason))| UnwrittenCheckpoint {
            node: *node,
            step: *step,
            reason: reason.clone(),
        });
        Progress {
            job: self.job,
            incarnation: self.incarnation,
            epoch,
            stable_step: self.stable_told(),
            points: self.points.range(..=self.stable_told()).map(|(_, point)| *point).collect(),
            work: self.work.iter().map(|((node, boot), (work, _))| (*node, *boot, *work)).collect(),
            kept_out: kept_out.collect(),
            unwritten: unwritten.collect(),
        }
    }
}
