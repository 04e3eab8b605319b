//! Nodes that may join, and those that stay outside for a while.

use std::collections::BTreeMap;

use super::data_checks::Verdict;
use super::drains::counted;
use super::founding::by_seat;
use super::limits::{JOIN_AT_ONCE_BYTES_MAX, JOIN_BATCH_MS, STRAGGLER_BEFORE_JOINS_MS};
use super::machine::{Coordinator, Pass};
use super::reports::JobReports;
use super::starts::waits_for_check;
use crate::ids::{Epoch, Life, Millis, NodeId};
use crate::ledger::JobRecord;
use crate::view::{Member, View};

/// Nodes that come and go.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    /// Members that have no state yet, with the time since when.
    pub(super) unsynced: BTreeMap<(Life, Epoch), Millis>,
    /// Nodes that stay outside for a while: since when, until when, and why.
    refused: BTreeMap<NodeId, Refusal>,
    /// Processes that stay outside until they say that they have worked off what they were at when they were taken out, with
    /// the time since when. At most one per registered node.
    unanswered: BTreeMap<NodeId, (Life, Millis)>,
    /// Nodes that may join, with the time since when.
    pub(super) joinable: BTreeMap<Life, Millis>,
    /// Others are here and are to say soon whether they may join.
    others_are_due: bool,
}

/// Why a node stays outside for a while.
#[derive(Clone, Debug)]
struct Refusal {
    since: Millis,
    until: Millis,
    why: String,
    kind: RefusalKind,
}

/// What speaks against a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefusalKind {
    /// A state that differed, or that did not come in time.
    State,
    /// Its setbacks alone: it is taken all the same where nobody else could go on.
    Setbacks,
    /// What it sent.
    Misdeeds,
}

/// A node that is here and may not take part, why, and until when if a timer ends that.
pub(super) type KeptOutNode = (NodeId, String, Option<Millis>);

impl Admissions {
    pub(super) fn refuse(&mut self, node: NodeId, now: Millis, delay_ms: u64, why: &str) {
        let until = now.plus(delay_ms);
        let refusal = Refusal { since: now, until, why: why.to_owned(), kind: RefusalKind::State };
        self.refused.insert(node, refusal);
    }

    /// Because of what it sent.
    pub(super) fn refuse_misbehaved(&mut self, node: NodeId, now: Millis, delay_ms: u64, why: String) {
        let until = now.plus(delay_ms);
        self.refused.insert(node, Refusal { since: now, until, why, kind: RefusalKind::Misdeeds });
    }

    /// What was said of `node` counts no more.
    pub(super) fn forgive(&mut self, node: NodeId) {
        self.refused.retain(|refused, refusal| *refused != node || refusal.kind != RefusalKind::Misdeeds);
    }

    /// A longer wait stays.
    pub(super) fn refuse_setback(&mut self, node: NodeId, now: Millis, delay_ms: u64, why: String) {
        let until = now.plus(delay_ms);
        if self.refused.get(&node).is_none_or(|known| known.until <= until) {
            self.refused.insert(node, Refusal { since: now, until, why, kind: RefusalKind::Setbacks });
        }
    }

    /// That process has to say that it is idle before it may join.
    pub(super) fn must_answer(&mut self, life: Life, now: Millis) {
        let known = self.unanswered.get(&life.node).filter(|(known, _)| *known == life);
        let since = known.map_or(now, |(_, since)| *since);
        self.unanswered.insert(life.node, (life, since));
    }

    /// It has said so.
    pub(super) fn answered(&mut self, life: Life) {
        if self.unanswered.get(&life.node).is_some_and(|(known, _)| *known == life) {
            self.unanswered.remove(&life.node);
        }
    }

    /// Whether `node` stays outside for a while, as is told among the waits.
    pub(super) fn keeps_out(&self, node: NodeId) -> bool {
        self.refused.contains_key(&node) || self.unanswered.contains_key(&node)
    }

    fn is_unanswered(&self, life: Life) -> bool {
        self.unanswered.get(&life.node).is_some_and(|(known, _)| *known == life)
    }

    /// Why `life` has to wait, in words, and until when.
    fn kept_out(&self, life: Life) -> Option<(String, Option<Millis>)> {
        match self.refused.get(&life.node) {
            Some(Refusal { why, until, .. }) => Some((format!("it {why}"), Some(*until))),
            None if self.is_unanswered(life) => Some((format!("it {UNANSWERED}"), None)),
            None => None,
        }
    }
}

/// What keeps a process out that was taken out and is not idle.
const UNANSWERED: &str = "is still at what it computed when it was taken out";

impl Coordinator {
    /// Takes note of nodes that would join if they had the job's data, or had fewer setbacks.
    pub(super) fn note_kept_out(&mut self, pass: &Pass<'_>, job: &JobRecord, view: &View) {
        let outside = self.liveness.able(pass.ledger).into_iter();
        let outside = outside.map(|(node, (boot, _))| Life { node, boot });
        let outside = outside.filter(|life| view.member(*life).is_none());
        let kept_out: Vec<KeptOutNode> = outside
            .filter_map(|life| match self.checks.verdict(job, life.node, life.boot) {
                Verdict::Unusable(reason) => Some((life.node, reason, None)),
                Verdict::Same | Verdict::Unknown => {
                    let (why, until) = self.admissions.kept_out(life)?;
                    Some((life.node, why, until))
                }
            })
            .collect();
        self.progress.is_due |= kept_out != self.kept_out;
        self.kept_out = kept_out;
    }

    /// Lives outside that may join, in the order of their seats. Nobody joins a job that is about to end.
    pub(super) fn joinable(&mut self, pass: &mut Pass<'_>, job: &JobRecord, staying: &[Member]) -> Vec<Life> {
        let now = pass.now;
        // A job does not stand still for setbacks: the last node that could take work is taken.
        let is_last = counted(pass.ledger, staying) == 0;
        self.wait_for_refused(pass, is_last);
        let is_ending = self.reports.as_ref().is_some_and(|reports| !reports.finished.is_empty());
        let mut outside = self.liveness.able(pass.ledger);
        outside.retain(|node, (boot, _)| {
            staying.iter().all(|member| member.node != *node)
                && !self.admissions.refused.contains_key(node)
                && !self.admissions.is_unanswered(Life { node: *node, boot: *boot })
        });
        if is_ending || counted(pass.ledger, staying) >= job.plan.members_max() {
            outside.clear();
        }
        let mut unknown: Vec<(NodeId, Millis)> = Vec::new();
        outside.retain(|node, (boot, since)| match self.checks.verdict(job, *node, *boot) {
            Verdict::Same => true,
            Verdict::Unusable(_) => false,
            Verdict::Unknown => {
                unknown.push((*node, *since));
                false
            }
        });
        self.admissions.others_are_due = !unknown.is_empty();
        for (node, since) in unknown {
            self.wait(pass, waits_for_check(&[node]), since, None);
        }
        let lives = by_seat(pass, &outside);
        self.admissions.joinable.retain(|life, _| lives.contains(life));
        for life in &lives {
            self.admissions.joinable.entry(*life).or_insert(now);
        }
        lives
    }

    /// Forgets refusals that are over, and tells of the others.
    fn wait_for_refused(&mut self, pass: &mut Pass<'_>, is_last: bool) {
        let now = pass.now;
        self.admissions
            .refused
            .retain(|_, refusal| now < refusal.until && !(is_last && refusal.kind == RefusalKind::Setbacks));
        for (node, Refusal { since, until, why, kind }) in self.admissions.refused.clone() {
            let what = format!("{} {why} and may not join yet", node.friendly_name());
            let then = if kind == RefusalKind::Setbacks { "it is taken back" } else { "it may join again" };
            self.wait(pass, what, since, Some((until, then)));
        }
        let usable = self.liveness.usable(pass.ledger);
        self.admissions
            .unanswered
            .retain(|node, (life, _)| usable.get(node).is_none_or(|(boot, _)| *boot == life.boot));
        self.admissions.unanswered.retain(|node, _| pass.ledger.nodes.contains_key(node));
        for (node, (_, since)) in self.admissions.unanswered.clone() {
            if usable.contains_key(&node) && !self.admissions.refused.contains_key(&node) {
                let what = format!("{} {UNANSWERED}, and may join when it is done", node.friendly_name());
                self.wait(pass, what, since, None);
            }
        }
    }

    /// Joiners of a long state come in batches, and not while earlier ones fetch the state: all are given one state, of which newcomers would come
    /// late, when many results since are kept.
    pub(super) fn joiners_are_due(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        staying: &[Member],
        joinable: &[Life],
    ) -> bool {
        let Some(first) = self.admissions.joinable.values().min().copied() else { return false };
        let names: Vec<String> = joinable.iter().map(|life| life.node.friendly_name()).collect();
        if staying.iter().any(|member| !job.is_synced(member)) {
            let what = format!("{} may join when the latest joiners have the state", names.join(", "));
            self.wait(pass, what, first, None);
            return false;
        }
        let held = |reports: &JobReports| reports.stall.is_held_for(STRAGGLER_BEFORE_JOINS_MS);
        if self.reports.as_ref().is_some_and(held) {
            let what = format!("{} may join when the step goes on", names.join(", "));
            self.wait(pass, what, first, None);
            return false;
        }
        let waits_for_others =
            self.admissions.others_are_due || job.plan.state_bytes > JOIN_AT_ONCE_BYTES_MAX;
        let batch_end = first.plus(JOIN_BATCH_MS);
        if waits_for_others && pass.now < batch_end {
            self.wait(
                pass,
                format!("{} is about to join", names.join(", ")),
                first,
                Some((batch_end, "a view with it is committed")),
            );
            return false;
        }
        true
    }
}
