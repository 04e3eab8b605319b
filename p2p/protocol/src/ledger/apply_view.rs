//! Committing views: V1, the shape of a view, and the continuity rule.

use super::limits::{REASON_BYTES_MAX, STARTED_JOBS_MAX, cut};
use super::{JobRecord, JobStatus, Ledger, Rejected, ViewChange};
use crate::ids::{Epoch, JobId, Life};
use crate::view::{Member, Origin, View};

impl Ledger {
    pub(super) fn commit_view(
        &mut self,
        view: View,
        mut reason: String,
        stable_step: u64,
    ) -> Result<(), Rejected> {
        let job = self.jobs.get(&view.job).ok_or(Rejected::JobUnknown { job: view.job })?;
        match job.status {
            JobStatus::Running => {}
            JobStatus::Queued => {
                if let Some(running) = self.running_job() {
                    return Err(Rejected::AnotherJobRuns { running: running.id });
                }
            }
            JobStatus::Paused { .. } => return Err(Rejected::JobNotRunning { job: view.job }),
            _ => return Err(Rejected::JobEnded { job: view.job }),
        }
        if !job.has_run() && self.is_full_of_started_jobs() {
            let (what, max) = ("jobs that ran and have not ended", STARTED_JOBS_MAX);
            return Err(Rejected::LimitReached { what, max });
        }
        check_epoch(job, self.next_epoch(job), &view)?;
        check_shape(job, &view)?;
        self.check_members_max(job, &view)?;
        for member in &view.members {
            let registered = self.nodes.get(&member.node);
            if registered.is_none_or(|record| record.boot != member.boot) {
                return Err(Rejected::NodeNotRegistered { node: member.node });
            }
        }
        let founding = view.founding_epoch == view.epoch;
        if founding {
            check_origin(job, &view)?;
        } else {
            check_succession(job, &view)?;
        }

        if founding {
            self.return_job(view.job, &view.origin);
        }
        let job = self.job_mut(view.job)?;
        cut(&mut reason, REASON_BYTES_MAX);
        if founding {
            job.synced.clear();
        }
        let members: Vec<(Life, Epoch)> =
            view.members.iter().map(|member| (member.life(), member.tenure)).collect();
        job.synced.retain(|entry| members.contains(entry));
        if founding {
            job.synced.extend(members);
        }
        let others = job.synced.len() > 1;
        for failure in &mut job.failed_microbatches {
            if others && view.lease_holder(failure.microbatch) == Some(failure.node) {
                failure.epoch = view.epoch;
            }
        }
        job.status = JobStatus::Running;
        job.epochs = view.epoch.0;
        job.push_view_change(ViewChange {
            epoch: view.epoch,
            incarnation: view.incarnation,
            members: view.members.clone(),
            reason,
            stable_step: stable_step.min(job.committed_to().0),
            leases: view.lease_runs(),
        });
        job.view = Some(view);
        Ok(())
    }

    /// No more members than the job allows. Those that drain do not count: they stay a while beside their successors.
    fn check_members_max(&self, job: &JobRecord, view: &View) -> Result<(), Rejected> {
        let working = view.members.iter().filter(|member| self.takes_work(member.node)).count();
        if working > job.plan.members_max() {
            return Err(Rejected::ViewMalformed { what: "more members than the job allows" });
        }
        Ok(())
    }

    pub(super) fn record_synced(&mut self, job: JobId, life: Life, tenure: Epoch) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let member = record.view.as_ref().and_then(|view| view.member(life));
        if member.is_none_or(|member| member.tenure != tenure) {
            return Err(Rejected::MemberUnknown);
        }
        record.synced.insert((life, tenure));
        Ok(())
    }
}

/// V1: the epoch is the next one, and so is the lineage if it is another.
fn check_epoch(job: &JobRecord, expected: Epoch, view: &View) -> Result<(), Rejected> {
    let (_, incarnation) = job.newest_epoch();
    if view.epoch != expected {
        return Err(Rejected::EpochNotNext { expected, found: view.epoch });
    }
    let lineage_next = view.incarnation.0 == incarnation.0 + 1 && view.founding_epoch == view.epoch;
    let lineage_same = view.incarnation == incarnation && view.founding_epoch < view.epoch;
    if lineage_next || lineage_same {
        Ok(())
    } else {
        Err(Rejected::ViewMalformed { what: "neither the same lineage nor the founding of the next one" })
    }
}

fn check_shape(job: &JobRecord, view: &View) -> Result<(), Rejected> {
    let refuse = |what| Err(Rejected::ViewMalformed { what });
    if !view.is_well_formed() {
        return refuse("members, leases or owners contradict each other");
    }
    if view.leases.len() != job.plan.microbatches as usize {
        return refuse("leases do not cover the micro-batches");
    }
    if view.owners.len() != job.plan.parts as usize {
        return refuse("owners do not cover the parts");
    }
    if view.halt && view.members.iter().any(|member| member.tenure == view.epoch) {
        return refuse("it halts and admits a member");
    }
    // Liveness: nobody waits for work of a member that is still fetching the state.
    let is_new = |position: &u16| view.members[usize::from(*position)].tenure == view.epoch;
    if view.founding_epoch != view.epoch && view.leases.iter().chain(&view.owners).any(is_new) {
        return refuse("a joiner has leases or parts in its first view");
    }
    Ok(())
}

/// A lineage starts from a checkpoint of the ledger that all founders hold, or from the seed if there is none.
fn check_origin(job: &JobRecord, view: &View) -> Result<(), Rejected> {
    let refuse = |what| Err(Rejected::ViewMalformed { what });
    if view.members.iter().any(|member| member.tenure != view.epoch) {
        return refuse("a founder has an older tenure");
    }
    match view.origin {
        Origin::Seed if job.origins().next().is_none() => Ok(()),
        Origin::Seed => refuse("starts from the seed although there are checkpoints"),
        Origin::Checkpoint { step, chain, digest } => {
            let entry =
                job.origins().find(|entry| (entry.step, entry.chain, entry.digest) == (step, chain, digest));
            match entry {
                None => refuse("starts from a checkpoint that is not in the ledger"),
                Some(entry) if view.members.iter().any(|member| !entry.holders.contains(&member.node)) => {
                    refuse("a founder does not hold the checkpoint")
                }
                Some(_) => Ok(()),
            }
        }
    }
}

/// The continuity rule, and tenures: a member stays as it was or is admitted now.
fn check_succession(job: &JobRecord, view: &View) -> Result<(), Rejected> {
    let refuse = |what| Err(Rejected::ViewMalformed { what });
    let Some(previous) = &job.view else {
        return refuse("no view before it");
    };
    if view.founding_epoch != previous.founding_epoch || view.origin != previous.origin {
        return refuse("another origin within one lineage");
    }
    let stays = |member: &&Member| previous.members.contains(member);
    if view.members.iter().any(|member| member.tenure != view.epoch && !stays(&member)) {
        return refuse("a member has a tenure that the view before did not give it");
    }
    if view.members.iter().filter(stays).any(|member| job.is_synced(member)) {
        Ok(())
    } else {
        Err(Rejected::ContinuityBroken)
    }
}
