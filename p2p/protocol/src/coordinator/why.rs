//! What a job waits for, on whom, since when, and which timer ends it.

use std::collections::BTreeSet;

use super::limits::WAITS_MAX;
use super::machine::{Coordinator, Pass};
use crate::ids::{JobId, Millis, NodeId};
use crate::ledger::{JobRecord, JobStatus, Ledger};
use crate::wire::control::{JobWait, WaitEnd};

/// Something that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    what: String,
    since: Millis,
    end: Option<(Millis, &'static str)>,
}

impl Wait {
    /// `end` is a timer and what happens when it runs out.
    pub(super) fn new(what: String, since: Millis, end: Option<(Millis, &'static str)>) -> Self {
        Self { what, since, end }
    }

    fn told(&self, now: Millis) -> JobWait {
        JobWait {
            what: self.what.clone(),
            since_ms: Some(now.since(self.since)),
            ends: self.end.map(|(until, then)| WaitEnd { in_ms: until.since(now), then: then.to_owned() }),
        }
    }
}

impl Coordinator {
    /// Takes note of a wait and wakes up at its end.
    pub(super) fn wait(
        &mut self,
        pass: &mut Pass<'_>,
        what: String,
        since: Millis,
        end: Option<(Millis, &'static str)>,
    ) {
        if let Some((until, _)) = end {
            pass.wake_at(until);
        }
        if self.waits.len() < WAITS_MAX {
            self.waits.push(Wait { what, since, end });
        }
    }

    /// What `job` waits for at `now`, by what the last step of this machine found. Members' progress and timers are known
    /// to the coordinator alone; another node says what the ledger says.
    #[must_use]
    pub fn why(&self, now: Millis, ledger: &Ledger, job: JobId) -> Vec<JobWait> {
        let fact = |words: String| vec![JobWait::fact(words)];
        let Some(record) = ledger.jobs.get(&job) else {
            return fact(format!("job {job} is not in the ledger"));
        };
        match &record.status {
            JobStatus::Queued => {
                let live: BTreeSet<NodeId> = self.liveness.usable(ledger).into_keys().collect();
                vec![self.queue_reason(now, ledger, job, &live)]
            }
            JobStatus::Running if self.elected_at.is_some() => self.why_running(now, record),
            JobStatus::Running => fact("runs; only the coordinator knows what it waits for".to_owned()),
            JobStatus::Paused { by } => fact(format!("was paused on {}", by.friendly_name())),
            JobStatus::Refused { by, reason } => {
                fact(format!("was refused: {} cannot use its data: {reason}", by.friendly_name()))
            }
            JobStatus::Done => fact("is done".to_owned()),
            JobStatus::Failed { reason } => fact(format!("failed: {reason}")),
            JobStatus::Cancelled { by } => fact(format!("was cancelled on {}", by.friendly_name())),
        }
    }

    fn queue_reason(&self, now: Millis, ledger: &Ledger, job: JobId, live: &BTreeSet<NodeId>) -> JobWait {
        // What this coordinator waits for comes before what the ledger says of the order of the queue.
        match (ledger.job_queue_reason(job, live), self.starts.waits.get(&job)) {
            (_, Some(wait)) if ledger.running_job().is_none() => wait.told(now),
            (Some(reason), _) => JobWait::fact(reason),
            (None, _) if self.elected_at.is_some() => JobWait::fact("starts now"),
            (None, _) => JobWait::fact("is next; only the coordinator knows what it still waits for"),
        }
    }

    fn why_running(&self, now: Millis, job: &JobRecord) -> Vec<JobWait> {
        let mut waits = Vec::new();
        let Some(reports) = self.reports.as_ref().filter(|reports| reports.job == job.id) else {
            return vec![JobWait::fact("waits for the first reports of its members")];
        };
        waits.extend(reports.divergence.clone().map(JobWait::fact));
        // Who is kept out for a while is among the waits.
        let kept_out = self.kept_out.iter().filter(|(node, ..)| !self.admissions.keeps_out(*node));
        waits.extend(kept_out.map(|(node, reason, _)| {
            JobWait::fact(format!("{} is kept out: {reason}", node.friendly_name()))
        }));
        waits.extend(self.waits.iter().map(|wait| wait.told(now)));
        // Who holds up the step is among them too.
        if reports.stall.is_held() || job.view.as_ref().is_some_and(|view| view.halt) {
            return waits;
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
                    waits.push(Wait { what, since: member.advanced_at, end: None }.told(now));
                }
            }
            return waits;
        }
        let behind = reports.members.iter().filter(|(_, member)| member.step().unwrap_or(0) < furthest);
        let mut all_equal = true;
        for (node, member) in behind {
            all_equal = false;
            let step = member.step().map_or("no step of this view".to_owned(), |step| format!("step {step}"));
            let what = format!("step {furthest} waits for {}, which reported {step}", node.friendly_name());
            waits.push(Wait { what, since: member.advanced_at, end: None }.told(now));
        }
        if all_equal {
            let since = reports.members.values().map(|member| member.advanced_at).max().unwrap_or(self.now);
            let what = format!("every member computes step {}", furthest + 1);
            waits.push(Wait { what, since, end: None }.told(now));
        }
        waits
    }
}
