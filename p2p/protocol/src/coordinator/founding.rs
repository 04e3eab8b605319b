//! Views that found a lineage, and when that is done for a running job: all members with the state were lost.

use std::collections::BTreeMap;

use super::input_output::CoordinatorOutput;
use super::limits::{DATA_CHECK_MS_MAX, FOUNDING_GRACE_MS, ORIGIN_GRACE_MS, SILENCE_GRACE_MS};
use super::liveness::Fate;
use super::machine::{Coordinator, Pass};
use super::plan_view::{FoundingFacts, plan_founding_view};
use super::proposals::ProposalKey;
use super::starts::{newest_holders, waits_for_check};
use crate::ids::{Boot, Incarnation, Life, Millis, NodeId};
use crate::ledger::{JobRecord, LedgerCommand};
use crate::view::{Origin, View};

/// Nodes with the process that is connected, and since when.
pub(super) type Usable = BTreeMap<NodeId, (Boot, Millis)>;

impl Coordinator {
    /// No member of `view` that has the state is left. Waits a little for nodes to come back, then founds the next
    /// lineage from the best checkpoint.
    pub(super) fn decide_founding(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View) {
        let lost = match self.lineage_lost {
            Some((id, epoch, since)) if (id, epoch) == (job.id, view.epoch) => since,
            _ if self.lineage_was_alive => pass.now,
            // It was lost before this node was elected, which took long enough.
            _ => self.elected_at.unwrap_or(pass.now),
        };
        self.lineage_lost = Some((job.id, view.epoch, lost));
        let (usable, unknown) = self.founders(job, &self.liveness.able(pass.ledger));
        let missing: Vec<String> = view
            .members
            .iter()
            .filter(|member| !usable.contains_key(&member.node) && !unknown.contains(&member.node))
            .map(|member| member.node.friendly_name())
            .collect();
        let may_be_ahead = view.members.iter().any(|member| {
            job.is_synced(member)
                && matches!(self.liveness.fate(pass.ledger, member.life()), Fate::Silent { .. })
        });
        let grace_ms = if may_be_ahead { SILENCE_GRACE_MS } else { FOUNDING_GRACE_MS };
        let grace_end = lost.plus(grace_ms);
        if pass.now < grace_end && (may_be_ahead || !missing.is_empty()) {
            let what =
                format!("no member with the state is left: waits for {} to come back", missing.join(", "));
            self.wait(pass, what, lost, Some((grace_end, "those here found it anew")));
            return;
        }
        let check_end = lost.plus(DATA_CHECK_MS_MAX);
        if !unknown.is_empty() && pass.now < check_end {
            self.wait(
                pass,
                waits_for_check(&unknown),
                lost,
                Some((check_end, "the others start without it")),
            );
            return;
        }
        let origin_grace_end = lost.plus(ORIGIN_GRACE_MS);
        let Some((origin, holders)) = choose_origin(job, &usable, pass.now >= origin_grace_end) else {
            let (step, names) = newest_holders(job);
            let what =
                format!("all members died: waits for a holder of the checkpoint of step {step} ({names})");
            let end = Some((origin_grace_end, "an older checkpoint is taken, if one is held here"));
            self.wait(pass, what, lost, end.filter(|(end, _)| pass.now < *end));
            return;
        };
        let facts = FoundingFacts {
            job: job.id,
            plan: &job.plan,
            incarnation: Incarnation(view.incarnation.0 + 1),
            epoch: pass.ledger.next_epoch(job),
            origin,
            lives: by_seat(pass, &holders),
        };
        let stable = self.reports.as_ref().map_or(job.committed_to().0, |reports| reports.stable.0);
        self.propose_founding(pass, &facts, founding_reason(&origin, stable), stable);
    }

    pub(super) fn propose_founding(
        &mut self,
        pass: &mut Pass<'_>,
        facts: &FoundingFacts<'_>,
        reason: String,
        stable_step: u64,
    ) {
        if self.proposals.is_due(pass.now, ProposalKey::View(facts.job, facts.epoch))
            && let Some(view) = plan_founding_view(facts)
        {
            let command = LedgerCommand::CommitView { view, reason, stable_step };
            pass.out.push(CoordinatorOutput::Propose(command));
        }
    }
}

/// Lives of `nodes` in the order of their seats: who came first takes part first.
pub(super) fn by_seat(pass: &Pass<'_>, nodes: &Usable) -> Vec<Life> {
    let mut lives: Vec<Life> =
        nodes.iter().map(|(node, (boot, _))| Life { node: *node, boot: *boot }).collect();
    lives.sort_by_key(|life| (pass.ledger.seat_of(life.node), life.node));
    lives
}

/// Where a new lineage starts, and on which nodes: the newest checkpoint, an older one only if `older_too`, the seed
/// only if there is none at all. `None` without a node there.
pub(super) fn choose_origin(job: &JobRecord, usable: &Usable, older_too: bool) -> Option<(Origin, Usable)> {
    if job.origins().next().is_none() {
        return Some((Origin::Seed, usable.clone())).filter(|_| !usable.is_empty());
    }
    let candidates = job.origins().take(if older_too { usize::MAX } else { 1 });
    candidates
        .map(|entry| {
            let mut holders = usable.clone();
            holders.retain(|node, _| entry.holders.contains(node));
            let origin = Origin::Checkpoint { step: entry.step, chain: entry.chain, digest: entry.digest };
            (origin, holders)
        })
        .find(|(_, holders)| !holders.is_empty())
}

fn founding_reason(origin: &Origin, stable: u64) -> String {
    let (start, step) = match origin {
        Origin::Seed => ("the seed".to_owned(), 0),
        Origin::Checkpoint { step, .. } => (format!("the checkpoint of step {step}"), *step),
    };
    let undone =
        if stable > step { format!("; steps {step} to {stable} are done again") } else { String::new() };
    format!("no member with the state is left: starts again from {start}{undone}")
}
