//! Members whose state has gone wrong, as a flipped bit in memory does it: each sends a sample of its state with its steps, and
//! whoever the majority contradicts is taken out of the view, fetches the state anew and comes back.

use std::collections::BTreeMap;

use super::limits::{DIVERGED_RETRY_MS, DIVERGED_RETRY_MS_MAX, SAMPLED_STEPS_MAX};
use super::machine::Coordinator;
use super::reports::JobReports;
use crate::ids::{Chain, Life, Millis, NodeId};
use crate::ledger::limits::cut;
use crate::view::{Member, View};
use crate::wire::state_sample::{SAMPLE_PIECES_MAX, StateSample, TENSOR_NAME_BYTES_MAX};

/// Samples of the newest steps, and what they have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct StateSamples {
    /// By step, at most [`SAMPLED_STEPS_MAX`].
    heard: BTreeMap<u64, StepSamples>,
    /// Members that the majority contradicts.
    diverged: BTreeMap<Life, Verdict>,
    /// Chains that members of the newest view had after steps of which not all have the same, at most
    /// [`SAMPLED_STEPS_MAX`].
    chains: BTreeMap<u64, BTreeMap<NodeId, Chain>>,
}

/// What members said of the state after one step.
#[derive(Clone, Debug, Default)]
struct StepSamples {
    by_member: BTreeMap<Life, StateSample>,
    /// Whether any two of them differ: only then is there more to compare than the newest with one other.
    is_split: bool,
}

impl StepSamples {
    fn insert(&mut self, life: Life, sample: StateSample) {
        self.is_split |= self.by_member.values().next().is_some_and(|other| *other != sample);
        self.by_member.insert(life, sample);
    }
}

/// That a member's state is wrong.
#[derive(Clone, Debug)]
struct Verdict {
    words: String,
    /// Whether it is among the node's relapses already.
    is_counted: bool,
}

/// How often nodes have diverged while this coordinator was in office, at most one entry per registered node.
pub(super) type Relapses = BTreeMap<NodeId, u32>;

impl StateSamples {
    /// What was said in former tenures is no word on the states of now.
    pub(super) fn retain(&mut self, is_kept: impl Fn(Life) -> bool) {
        self.heard.values_mut().for_each(|samples| samples.by_member.retain(|life, _| is_kept(*life)));
        self.diverged.retain(|life, _| is_kept(*life));
        // Members say it again in each view.
        self.chains.clear();
    }
}

/// Cuts a peer's sample to what is kept of one.
pub(super) fn bound(sample: &mut StateSample) {
    sample.pieces.truncate(SAMPLE_PIECES_MAX);
    sample.pieces.shrink_to_fit();
    for piece in &mut sample.pieces {
        cut(&mut piece.tensor, TENSOR_NAME_BYTES_MAX);
        piece.tensor.shrink_to_fit();
    }
}

impl JobReports {
    /// Takes note of a sample that a member sent, and of whom it convicts.
    pub(super) fn sampled(&mut self, view: &View, life: Life, sample: StateSample) {
        let step = sample.step;
        // Words on steps far ahead would push out those on the present ones.
        if step > self.stable.0.saturating_add(SAMPLED_STEPS_MAX as u64) {
            return;
        }
        let heard = &mut self.samples.heard;
        heard.entry(step).or_default().insert(life, sample);
        while heard.len() > SAMPLED_STEPS_MAX {
            heard.pop_first();
        }
        if heard.get(&step).is_some_and(|samples| samples.is_split) {
            self.compare(view, step);
        }
    }

    fn compare(&mut self, view: &View, step: u64) {
        let Some(StepSamples { by_member: heard, .. }) = self.samples.heard.get(&step) else { return };
        let agreeing = |sample: &StateSample| heard.values().filter(|other| *other == sample).count();
        let Some(most) = heard.values().max_by_key(|sample| agreeing(sample)) else { return };
        let (right, wrong): (Vec<_>, Vec<_>) = heard.iter().partition(|(_, sample)| *sample == most);
        let is_synced = |member: &&Member| self.synced.contains(&(member.life(), member.tenure));
        let with_state = view.members.iter().filter(is_synced).count();
        let differs = |(life, sample): (&Life, &StateSample)| {
            let tensor = most.first_difference(sample).unwrap_or("its extent");
            (
                *life,
                format!("{}'s state differs after step {step}, first in {tensor}", life.node.friendly_name()),
            )
        };
        let since = (step + 1).saturating_sub(most.round_steps).max(1);
        let has_majority = 2 * right.len() > with_state;
        let all_have_spoken = heard.len() >= with_state;
        let names: Vec<String> = right.iter().map(|(life, _)| life.node.friendly_name()).collect();
        let wrong: Vec<(Life, String)> = wrong.into_iter().map(differs).collect();
        if has_majority {
            for (life, what) in wrong {
                self.disbelieve(life.node);
                let words = format!("{what}; its gradients of steps {since} to {step} may have been wrong");
                self.samples.diverged.entry(life).or_insert(Verdict { words, is_counted: false });
            }
        } else if all_have_spoken && !wrong.is_empty() {
            let what: Vec<String> = wrong.into_iter().map(|(_, what)| what).collect();
            let (what, names) = (what.join("; "), names.join(", "));
            self.divergence
                .get_or_insert(format!("{what} from that of {names}, and no majority says which is right"));
        }
    }

    /// Whether members have told of different chains after `step`, as one does now if it `contradicts`.
    pub(super) fn is_disputed(&self, step: u64, contradicts: bool) -> bool {
        contradicts || self.samples.chains.contains_key(&step)
    }

    /// Members that applied the same step have the same chain, or an owner gave them different results. Who is alone with
    /// its own gets the state of the others, as one does whose memory is bad.
    pub(super) fn compare_chains(&mut self, view: &View, node: NodeId, step: u64, chain: Chain) {
        let recorded = self.members.iter().filter_map(|(other, known)| Some((*other, known.chain(step)?)));
        let recorded: Vec<(NodeId, Chain)> = recorded.collect();
        let words = self.samples.chains.entry(step).or_default();
        words.extend(recorded);
        words.insert(node, chain);
        let words = words.clone();
        while self.samples.chains.len() > SAMPLED_STEPS_MAX {
            self.samples.chains.pop_first();
        }
        let is_synced = |member: &&Member| self.synced.contains(&(member.life(), member.tenure));
        let with_state = view.members.iter().filter(is_synced).count();
        let agreeing = |chain: &Chain| words.values().filter(|other| *other == chain).count();
        let stable = self.stable_chain(step);
        let right = stable.or(words.values().copied().find(|chain| 2 * agreeing(chain) > with_state));
        let names = |is_right: &dyn Fn(&Chain) -> bool| {
            let named = words.iter().filter(|(_, chain)| is_right(chain));
            named.map(|(node, _)| node.friendly_name()).collect::<Vec<_>>().join(", ")
        };
        if let Some(right) = right {
            let wrong: Vec<NodeId> =
                words.iter().filter(|(_, chain)| **chain != right).map(|(node, _)| *node).collect();
            let others = names(&|chain| *chain == right);
            for member in view.members.iter().filter(|member| wrong.contains(&member.node)) {
                self.disbelieve(member.node);
                let words = format!(
                    "{} is at another state than {others} after step {step}",
                    member.node.friendly_name()
                );
                self.samples.diverged.entry(member.life()).or_insert(Verdict { words, is_counted: false });
            }
        } else if words.len() >= with_state {
            let told: Vec<String> = words
                .iter()
                .map(|(node, chain)| format!("{} has chain {}", node.friendly_name(), chain.short()))
                .collect();
            self.divergence.get_or_insert(format!("members diverged after step {step}: {}", told.join(", ")));
        }
    }

    /// What such a node has written is no checkpoint of the job.
    fn disbelieve(&mut self, node: NodeId) {
        self.checkpoints.retain(|_, pending| pending.lose_holder(node));
    }
}

impl Coordinator {
    /// In words why a member that lives cannot stay: what it sent, or its state. A node to which the latter that happens again is kept out for longer and longer:
    /// its memory is bad.
    pub(super) fn convict(&mut self, now: Millis, life: Life) -> Option<String> {
        let reports = self.reports.as_mut()?;
        if let Some(words) = reports.accusations.verdict_on(life) {
            return Some(words);
        }
        let verdict = reports.samples.diverged.get_mut(&life)?;
        if !std::mem::replace(&mut verdict.is_counted, true) {
            let before = self.relapses.entry(life.node).or_insert(0);
            if let Some(doublings) = before.checked_sub(1) {
                let delay =
                    DIVERGED_RETRY_MS.saturating_mul(1 << doublings.min(16)).min(DIVERGED_RETRY_MS_MAX);
                self.admissions.refuse(life.node, now, delay, "diverged more than once");
            }
            *before = before.saturating_add(1);
        }
        Some(verdict.words.clone())
    }
}
