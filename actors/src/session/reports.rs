//! What a member has to tell the coordinator. Reports are facts that stay true, so they are kept and said again: to a
//! new coordinator, in a new view, and once a second in case one was lost on the way.

use std::collections::BTreeMap;

use traind_protocol::ids::{Boot, Chain, Epoch, Incarnation, JobId};
use traind_protocol::misdeed::Accusation;
use traind_protocol::view::View;
use traind_protocol::wire::control::{Report, ReportEvent, StepPoint};

/// Checkpoints whose report is repeated; the ledger keeps no more of one job.
const CHECKPOINTS_REPEATED_MAX: usize = 16;

/// Failed micro-batches whose report is repeated: a node on which so many of a step fail is put out.
const FAILURES_REPEATED_MAX: usize = 8;

/// Accusations that are repeated: one or two of each other member of the largest swarm.
const ACCUSATIONS_REPEATED_MAX: usize = 128;

/// The latest facts of one session.
#[derive(Debug)]
pub(super) struct Reports {
    job: JobId,
    boot: Boot,
    incarnation: Incarnation,
    epoch: Epoch,
    tenure: Option<Epoch>,
    synced: Option<(u64, Chain)>,
    applied: Option<ReportEvent>,
    checkpoints: BTreeMap<u64, ReportEvent>,
    /// The latest checkpoint that could not be written here.
    unwritten: Option<ReportEvent>,
    failures: Vec<ReportEvent>,
    /// What other members of the view did, in the tenure that they have there.
    accusations: Vec<Accusation>,
    evaluated: Option<ReportEvent>,
    halted: Option<ReportEvent>,
    finished: Option<ReportEvent>,
}

impl Reports {
    /// Nothing to tell yet.
    #[must_use]
    pub(super) fn new(job: JobId, boot: Boot) -> Self {
        Self {
            job,
            boot,
            incarnation: Incarnation::default(),
            epoch: Epoch::default(),
            tenure: None,
            synced: None,
            applied: None,
            checkpoints: BTreeMap::new(),
            unwritten: None,
            failures: Vec::new(),
            accusations: Vec::new(),
            evaluated: None,
            halted: None,
            finished: None,
        }
    }

    /// A view was entered, as a member of that tenure or not: from now on facts are told as of its epoch. Views may be
    /// skipped, the one that took this node out too, so facts of another tenure are forgotten here: told again, they
    /// would say that a joiner has the state.
    pub(super) fn enter(&mut self, view: &View, tenure: Option<Epoch>) {
        if (view.incarnation, tenure) != (self.incarnation, self.tenure) {
            self.forget();
        }
        self.incarnation = view.incarnation;
        self.epoch = view.epoch;
        self.tenure = tenure;
        self.failures.clear();
        self.accusations.retain(|accusation| view.members.contains(&accusation.of));
        self.halted = None;
    }

    /// The view as of which facts are told.
    #[must_use]
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The tenure ended: nothing that was told holds any more but what is on disk.
    fn forget(&mut self) {
        self.synced = None;
        self.applied = None;
        self.evaluated = None;
        self.halted = None;
        self.finished = None;
        self.failures.clear();
        self.accusations.clear();
    }

    /// The figures of the last step applied are known: the report that tells them.
    pub(super) fn complete(&mut self, known: StepPoint) -> Option<Report> {
        match &mut self.applied {
            Some(ReportEvent::Applied { step, point, .. }) if *step == known.step => *point = Some(known),
            _ => return None,
        }
        self.applied.clone().map(|event| self.report(event))
    }

    /// Keeps a fact and gives the report to send now.
    pub(super) fn record(&mut self, event: ReportEvent) -> Report {
        match &event {
            ReportEvent::Synced { step, chain } => self.synced = Some((*step, *chain)),
            ReportEvent::Applied { .. } => self.applied = Some(event.clone()),
            ReportEvent::CheckpointNotWritten { .. } => self.unwritten = Some(event.clone()),
            ReportEvent::CheckpointWritten { step, .. } => {
                self.unwritten.take_if(|unwritten| match unwritten {
                    ReportEvent::CheckpointNotWritten { step: of, .. } => *of <= *step,
                    _ => false,
                });
                self.checkpoints.insert(*step, event.clone());
                while self.checkpoints.len() > CHECKPOINTS_REPEATED_MAX {
                    self.checkpoints.pop_first();
                }
            }
            ReportEvent::MicrobatchFailed { .. } => {
                if self.failures.len() < FAILURES_REPEATED_MAX {
                    self.failures.push(event.clone());
                }
            }
            ReportEvent::Misbehaved(accusation) => {
                if self.accusations.len() < ACCUSATIONS_REPEATED_MAX {
                    self.accusations.push(*accusation);
                }
            }
            ReportEvent::Evaluated { .. } => self.evaluated = Some(event.clone()),
            ReportEvent::Halted { .. } => self.halted = Some(event.clone()),
            ReportEvent::Finished { .. } => self.finished = Some(event.clone()),
            // True at the moment only.
            ReportEvent::Waiting(_) | ReportEvent::Outside { .. } => {}
        }
        self.report(event)
    }

    /// Everything that still has to be known, as of the present epoch.
    pub(super) fn repeat(&self) -> Vec<Report> {
        let synced = self.synced.iter().map(|&(step, chain)| ReportEvent::Synced { step, chain });
        synced
            .chain(self.applied.clone())
            .chain(self.checkpoints.values().cloned())
            .chain(self.unwritten.clone())
            .chain(self.failures.iter().cloned())
            .chain(self.accusations.iter().map(|accusation| ReportEvent::Misbehaved(*accusation)))
            .chain(self.evaluated.clone())
            .chain(self.halted.clone())
            .chain(self.finished.clone())
            .map(|event| self.report(event))
            .collect()
    }

    fn report(&self, event: ReportEvent) -> Report {
        Report { job: self.job, incarnation: self.incarnation, epoch: self.epoch, boot: self.boot, event }
    }
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{Digest, Life, ManifestId, NodeId};
    use traind_protocol::misdeed::Misdeed;
    use traind_protocol::view::{Member, Origin};

    use super::*;

    const ME: Life = Life { node: NodeId([1; 32]), boot: Boot(7) };

    fn view(incarnation: u32, epoch: u64, tenure: u64) -> View {
        View {
            job: JobId([0; 8]),
            incarnation: Incarnation(incarnation),
            epoch: Epoch(epoch),
            founding_epoch: Epoch(1),
            origin: Origin::Seed,
            members: vec![Member { node: ME.node, boot: ME.boot, tenure: Epoch(tenure) }],
            leases: vec![0],
            owners: vec![0],
            halt: false,
        }
    }

    fn entered(reports: &mut Reports, view: &View) -> Vec<Report> {
        reports.enter(view, view.member(ME).map(|member| member.tenure));
        reports.repeat()
    }

    fn synced() -> ReportEvent {
        ReportEvent::Synced { step: 5, chain: Chain([3; 32]) }
    }

    fn on_disk() -> ReportEvent {
        ReportEvent::CheckpointWritten {
            step: 5,
            chain: Chain([3; 32]),
            digest: Digest([4; 32]),
            manifest: ManifestId([5; 32]),
            bytes: 9,
        }
    }

    #[test]
    fn facts_are_told_again_in_later_views_of_the_same_tenure() {
        let mut reports = Reports::new(JobId([0; 8]), ME.boot);
        assert!(entered(&mut reports, &view(1, 1, 1)).is_empty());
        reports.record(synced());
        let again = entered(&mut reports, &view(1, 2, 1));
        assert_eq!(again.iter().map(|report| &report.event).collect::<Vec<_>>(), [&synced()]);
        assert_eq!(again[0].epoch, Epoch(2));
    }

    #[test]
    fn a_joiner_does_not_say_that_it_has_the_state_of_its_last_tenure() {
        for next in [view(1, 3, 3), view(2, 3, 1), View { members: Vec::new(), ..view(1, 3, 1) }] {
            let mut reports = Reports::new(JobId([0; 8]), ME.boot);
            entered(&mut reports, &view(1, 1, 1));
            reports.record(synced());
            reports.record(on_disk());
            let again = entered(&mut reports, &next);
            let events: Vec<_> = again.into_iter().map(|report| report.event).collect();
            assert_eq!(events, [on_disk()], "what is on disk stays, after {next:?}");
        }
    }

    #[test]
    fn accusations_are_repeated_while_the_accused_is_a_member_in_the_same_tenure() {
        let mut reports = Reports::new(JobId([0; 8]), ME.boot);
        let of = Member { node: NodeId([2; 32]), boot: Boot(1), tenure: Epoch(1) };
        let with = |epoch: u64, of: Member| {
            let mine = view(1, epoch, 1);
            View { members: vec![mine.members[0], of], ..mine }
        };
        entered(&mut reports, &with(1, of));
        let accusation = Accusation { of, misdeed: Misdeed::Flood, evidence: [7; 32] };
        reports.record(ReportEvent::Misbehaved(accusation));
        let again = entered(&mut reports, &with(2, of));
        assert_eq!(again.len(), 1);
        assert_eq!((&again[0].event, again[0].epoch), (&ReportEvent::Misbehaved(accusation), Epoch(2)));
        assert!(entered(&mut reports, &with(3, Member { tenure: Epoch(3), ..of })).is_empty());
    }

    #[test]
    fn a_checkpoint_that_is_not_on_disk_is_told_until_a_later_one_is() {
        let mut reports = Reports::new(JobId([0; 8]), ME.boot);
        entered(&mut reports, &view(1, 1, 1));
        let unwritten = |step| ReportEvent::CheckpointNotWritten { step, reason: "disk full".to_owned() };
        reports.record(unwritten(5));
        reports.record(unwritten(6));
        reports.record(on_disk());
        let again = entered(&mut reports, &view(1, 2, 1));
        assert!(again.iter().any(|report| report.event == unwritten(6)), "that of step 5 says nothing of it");
        reports.record(unwritten(5));
        reports.record(on_disk());
        let again = entered(&mut reports, &view(1, 3, 1));
        assert_eq!(again.into_iter().map(|report| report.event).collect::<Vec<_>>(), [on_disk()]);
    }
}
