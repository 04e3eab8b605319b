//! Members that others accuse of sending what no honest one does. An accusation is one member's word: either of the two
//! does wrong, and nobody else can see which. docs/decisions/0017 has the reasons for what is decided here.

use std::collections::{BTreeMap, BTreeSet};

use super::input_output::CoordinatorOutput;
use super::limits::{
    ACCUSATION_BATCH_MS, MISBEHAVED_RETRY_MS, MISBEHAVED_RETRY_MS_MAX, QUARREL_MS, VERDICTS_DUE_MAX,
};
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use super::reports::JobReports;
use crate::ids::{ChunkId, Epoch, Life, Millis, NodeId};
use crate::ledger::{Finding, JobRecord, LedgerCommand, Verdict};
use crate::misdeed::{Accusation, Misdeed};
use crate::view::{Member, View};

/// What members of the newest view say of each other, at most one word of each on each.
#[derive(Clone, Debug, Default)]
pub(super) struct Accusations {
    said: BTreeMap<Member, BTreeMap<NodeId, Word>>,
    /// Members that cannot stay, and in words why.
    convicted: BTreeMap<Life, String>,
}

/// One member's word on another.
#[derive(Clone, Copy, Debug)]
struct Word {
    misdeed: Misdeed,
    evidence: [u8; 32],
    at: Millis,
}

/// What the coordinator remembers of nodes for as long as it is in office, at most two entries for each registered node.
#[derive(Debug, Default)]
pub(super) struct Quarrels {
    /// Nodes that were believed without another's word: about whom, and when.
    believed: BTreeMap<NodeId, (NodeId, Millis)>,
    /// How often nodes were put out.
    times: BTreeMap<NodeId, u32>,
    /// Words that the ledger does not show yet, at most [`VERDICTS_DUE_MAX`].
    due: Vec<Verdict>,
}

impl Misdeed {
    fn finding(&self) -> Finding {
        match self {
            Self::Frame | Self::Contribution { .. } | Self::Result { .. } => Finding::Malformed,
            Self::TwoContributions { .. } | Self::TwoResults { .. } => Finding::Contradictory,
            Self::Epoch { .. } => Finding::NoSuchView,
            Self::Flood => Finding::Flood,
        }
    }
}

impl Accusations {
    /// What was said by and about members that are in the view no more counts no more.
    pub(super) fn retain(&mut self, view: &View) {
        let is_member = |node: &NodeId| view.member_on(*node).is_some();
        self.said.retain(|of, words| {
            words.retain(|by, _| is_member(by));
            view.members.contains(of) && !words.is_empty()
        });
        self.convicted.retain(|life, _| view.member(*life).is_some());
    }

    /// Why this life cannot stay.
    pub(super) fn verdict_on(&self, life: Life) -> Option<String> {
        self.convicted.get(&life).cloned()
    }
}

impl JobReports {
    /// A member accuses another one, of the newest view and in the tenure that it has there.
    pub(super) fn accused(&mut self, now: Millis, view: &View, by: NodeId, accusation: Accusation) {
        let Accusation { of, misdeed, evidence } = accusation;
        if of.node != by && view.members.contains(&of) {
            let words = self.accusations.said.entry(of).or_default();
            words.entry(by).or_insert(Word { misdeed, evidence, at: now });
        }
    }
}

/// What speaks against one member.
struct Charge {
    of: Member,
    /// The earliest first.
    words: Vec<(NodeId, Word)>,
    /// Members with the state beside it.
    others: usize,
}

impl Charge {
    fn names(&self) -> String {
        let names: Vec<String> = self.words.iter().map(|(by, _)| by.friendly_name()).collect();
        names.join(", ")
    }

    /// More than half of all that can know it say so, and not one alone.
    fn has_majority(&self) -> bool {
        self.words.len() >= 2 && 2 * self.words.len() > self.others
    }
}

impl Coordinator {
    /// Looks at what members say of each other: whom the next view does without.
    pub(super) fn judge(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View) {
        self.quarrels.believed.retain(|_, (_, at)| pass.now < at.plus(QUARREL_MS));
        self.quarrels.times.retain(|node, _| pass.ledger.nodes.contains_key(node));
        let accused: Vec<Member> =
            self.reports.iter().flat_map(|r| r.accusations.said.keys()).copied().collect();
        for of in accused {
            // Each verdict changes whose words count.
            if let Some(charge) = self.charge(pass, job, view, of) {
                self.judge_one(pass, &charge);
            }
        }
        self.record_verdicts(pass);
    }

    /// What speaks against `of`: words of members that have the state and are not convicted themselves.
    fn charge(&self, pass: &Pass<'_>, job: &JobRecord, view: &View, of: Member) -> Option<Charge> {
        let reports = self.reports.as_ref()?;
        let convicted = &reports.accusations.convicted;
        if convicted.contains_key(&of.life()) {
            return None;
        }
        let counts = |member: &&Member| {
            let has_state = reports.synced.contains(&(member.life(), member.tenure));
            **member != of && has_state && !convicted.contains_key(&member.life())
        };
        let witnesses: BTreeSet<NodeId> =
            view.members.iter().filter(counts).map(|member| member.node).collect();
        let next = pass.ledger.next_epoch(job);
        let said = reports.accusations.said.get(&of)?.iter();
        let said = said.filter(|(by, word)| witnesses.contains(by) && is_lie(word.misdeed, next));
        let mut words: Vec<(NodeId, Word)> = said.map(|(by, word)| (*by, *word)).collect();
        words.sort_by_key(|(by, word)| (word.at, *by));
        let others = witnesses.len();
        (!words.is_empty()).then_some(Charge { of, words, others })
    }

    fn judge_one(&mut self, pass: &mut Pass<'_>, charge: &Charge) {
        let Some(&(first, word)) = charge.words.first() else { return };
        let (of, what) = (charge.of, word.misdeed.words());
        let finding = word.misdeed.finding();
        if charge.has_majority() {
            return self.put_out(pass.now, of, (first, finding, word.evidence), what, &charge.names());
        }
        let name = of.node.friendly_name();
        let says = format!("{} says that {name} {what}", charge.names());
        if charge.others < 2 {
            // The accuser and nobody else: whoever is put out, the other one's word alone would have done it.
            self.quarrels.note(Verdict { node: of.node, by: first, finding, object: ChunkId(word.evidence) });
            let says = format!(
                "{says}: one of the two does wrong, and no third member says which; stop that daemon"
            );
            return self.wait(pass, says, word.at, None);
        }
        let until = word.at.plus(ACCUSATION_BATCH_MS);
        if pass.now < until {
            return self.wait(pass, says, word.at, Some((until, "it is put out, or its accuser")));
        }
        let believed = &self.quarrels.believed;
        let has_credit = |by: &NodeId| believed.get(by).is_none_or(|(with, _)| *with == of.node);
        match charge.words.iter().find(|(by, _)| has_credit(by)) {
            Some((by, _)) => {
                self.quarrels.believed.insert(*by, (of.node, pass.now));
                self.put_out(pass.now, of, (first, finding, word.evidence), what, &charge.names());
            }
            None => self.put_out_accuser(pass.now, first, of.node, word.evidence),
        }
    }

    /// One member accuses one after the other, and none of the others agrees: it is one that does wrong, not all of those.
    fn put_out_accuser(&mut self, now: Millis, accuser: NodeId, of: NodeId, evidence: [u8; 32]) {
        let boot = self
            .reports
            .as_ref()
            .and_then(|reports| reports.members.get(&accuser))
            .map(|m| (m.boot, m.tenure));
        let (Some((boot, tenure)), Some((before, _))) = (boot, self.quarrels.believed.remove(&accuser))
        else {
            return;
        };
        self.admissions.forgive(before);
        self.quarrels.times.remove(&before);
        let (before, of) = (before.friendly_name(), of.friendly_name());
        let what = format!("accuses {before} and then {of}, and nobody else does");
        let member = Member { node: accuser, boot, tenure };
        let names = self.me.friendly_name();
        self.put_out(now, member, (self.me, Finding::FalseAccusations, evidence), what, &names);
    }

    /// The next view is without `member`, and its node stays outside for a while, longer each time.
    fn put_out(
        &mut self,
        now: Millis,
        member: Member,
        (by, finding, evidence): (NodeId, Finding, [u8; 32]),
        what: String,
        by_names: &str,
    ) {
        let Some(reports) = &mut self.reports else { return };
        let words = format!("{} {what}, by the word of {by_names}", member.node.friendly_name());
        reports.accusations.convicted.insert(member.life(), words);
        let times = self.quarrels.times.entry(member.node).or_insert(0);
        let delay_ms = MISBEHAVED_RETRY_MS.saturating_mul(1 << (*times).min(16)).min(MISBEHAVED_RETRY_MS_MAX);
        *times = times.saturating_add(1);
        self.admissions.refuse_misbehaved(member.node, now, delay_ms, what);
        self.quarrels.note(Verdict { node: member.node, by, finding, object: ChunkId(evidence) });
    }

    /// The ledger is to show what was found, for people.
    fn record_verdicts(&mut self, pass: &mut Pass<'_>) {
        let ledger = pass.ledger;
        let is_known = |node: &NodeId| ledger.nodes.contains_key(node);
        self.quarrels.due.retain(|verdict| {
            is_known(&verdict.node) && is_known(&verdict.by) && !ledger.has_verdict(verdict)
        });
        for verdict in &self.quarrels.due {
            if self.proposals.is_due(pass.now, ProposalKey::Verdict(verdict.node, verdict.by)) {
                let command = LedgerCommand::RecordVerdict { verdict: *verdict };
                pass.out.push(CoordinatorOutput::Propose(command));
            }
        }
    }
}

impl Quarrels {
    fn note(&mut self, verdict: Verdict) {
        if self.due.len() < VERDICTS_DUE_MAX && !self.due.contains(&verdict) {
            self.due.push(verdict);
        }
    }
}

/// Whether what was said cannot have an honest cause. Whoever enters a view has seen it committed, so a view that is in no
/// ledger when the word of it comes to the council does not exist. `next` may be on its way, and those of another council
/// have a range of their own.
fn is_lie(misdeed: Misdeed, next: Epoch) -> bool {
    let range = |epoch: Epoch| epoch.0 - epoch.count();
    match misdeed {
        Misdeed::Epoch { epoch } => range(epoch) == range(next) && epoch > next,
        _ => true,
    }
}
