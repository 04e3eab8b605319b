//! What a job waits for, on whom, since when, and which timer ends it.

use std::collections::BTreeSet;

use super::limits::WAITS_MAX;
use super::machine::{Coordinator, Pass};
use crate::ids::{JobId, Millis, NodeId};
use crate::ledger::{JobRecord, JobStatus, Ledger};

/// Something that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    what: String,
    since: Millis,
    until: Option<Millis>,
}

impl Wait {
    pub(super) fn new(what: String, since: Millis, until: Option<Millis>) -> Self {
        Self { what, since, until }
    }

    fn words(&self, now: Millis) -> String {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        let end = self.until.map_or("no timer ends this".to_owned(), |until| {
            format!("at most {} more", seconds(until.since(now)))
        });
        format!("{}, for {}, {end}", self.what, seconds(now.since(self.since)))
    }
}

impl Coordinator {
    /// Takes note of a wait and wakes up at its end.
    pub(super) fn wait(&mut self, pass: &mut Pass<'_>, what: String, since: Millis, until: Option<Millis>) {
        if let Some(until) = until {
            pass.wake_at(until);
        }
        if self.waits.len() < WAITS_MAX {
            self.waits.push(Wait { what, since, until });
        }
    }

    /// Sentences on what `job` waits for, at the time of the last step of this machine. Members' progress and timers
    /// are known to the coordinator alone; another node says what the ledger says.
    #[must_use]
    pub fn why(&self, ledger: &Ledger, job: JobId) -> Vec<String> {
        let Some(record) = ledger.jobs.get(&job) else {
            return vec![format!("job {job} is not in the ledger")];
        };
        match &record.status {
            JobStatus::Queued => {
                let live: BTreeSet<NodeId> = self.liveness.usable(ledger).into_keys().collect();
                vec![self.queue_reason(ledger, job, &live)]
            }
            JobStatus::Running if self.elected_at.is_some() => self.why_running(record),
            JobStatus::Running => vec!["runs; only the coordinator knows what it waits for".to_owned()],
            JobStatus::Paused { by } => vec![format!("was paused on {}", by.friendly_name())],
            JobStatus::Refused { by, reason } => {
                vec![format!("was refused: {} cannot use its data: {reason}", by.friendly_name())]
            }
            JobStatus::Done => vec!["is done".to_owned()],
            JobStatus::Failed { reason } => vec![format!("failed: {reason}")],
            JobStatus::Cancelled { by } => vec![format!("was cancelled on {}", by.friendly_name())],
        }
    }

    fn queue_reason(&self, ledger: &Ledger, job: JobId, live: &BTreeSet<NodeId>) -> String {
        // What this coordinator waits for comes before what the ledger says of the order of the queue.
        match (ledger.job_queue_reason(job, live), self.starts.waits.get(&job)) {
            (_, Some(wait)) if ledger.running_job().is_none() => wait.words(self.now),
            (Some(reason), _) => reason,
            (None, _) if self.elected_at.is_some() => "starts now".to_owned(),
            (None, _) => "is next; only the coordinator knows what it still waits for".to_owned(),
        }
    }

    fn why_running(&self, job: &JobRecord) -> Vec<String> {
        let mut sentences = Vec::new();
        let Some(reports) = self.reports.as_ref().filter(|reports| reports.job == job.id) else {
            return vec!["waits for the first reports of its members".to_owned()];
        };
        sentences.extend(reports.divergence.clone());
        let kept_out = self.kept_out.iter();
        sentences
            .extend(kept_out.map(|(node, reason)| format!("{} is kept out: {reason}", node.friendly_name())));
        sentences.extend(self.waits.iter().map(|wait| wait.words(self.now)));
        if job.view.as_ref().is_some_and(|view| view.halt) {
            return sentences;
        }
        let furthest = reports.members.values().filter_map(|member| member.step()).max();
        let furthest = furthest.unwrap_or(0).max(reports.stable.0);
        if furthest >= job.plan.steps || !reports.finished.is_empty() {
            for (node, member) in &reports.members {
                let is_finished = reports
                    .finished
                    .keys()
                    .any(|(life, tenure)| (life.node, *tenure) == (*node, member.tenure));
                if !is_finished {
                    let what = format!("waits for the final state of {}", node.friendly_name());
                    sentences.push(Wait { what, since: member.advanced_at, until: None }.words(self.now));
                }
            }
            return sentences;
        }
        let behind = reports.members.iter().filter(|(_, member)| member.step().unwrap_or(0) < furthest);
        let mut all_equal = true;
        for (node, member) in behind {
            all_equal = false;
            let step = member.step().map_or("no step of this view".to_owned(), |step| format!("step {step}"));
            let what = format!("step {furthest} waits for {}, which reported {step}", node.friendly_name());
            sentences.push(Wait { what, since: member.advanced_at, until: None }.words(self.now));
        }
        if all_equal {
            let since = reports.members.values().map(|member| member.advanced_at).max().unwrap_or(self.now);
            let what = format!("every member computes step {}", furthest + 1);
            sentences.push(Wait { what, since, until: None }.words(self.now));
        }
        sentences
    }
}
