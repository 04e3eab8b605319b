//! Members whose state has gone wrong, as a flipped bit in memory does it: each sends a sample of its state with its steps, and
//! whoever the majority contradicts is taken out of the view, fetches the state anew and comes back.

use std::collections::{BTreeMap, BTreeSet};

use super::limits::{DIVERGED_RETRY_MS, DIVERGED_RETRY_MS_MAX, SAMPLED_STEPS_MAX};
use super::machine::Coordinator;
use super::reports::JobReports;
use crate::ids::{Life, Millis, NodeId};
use crate::ledger::limits::cut;
use crate::view::View;
use crate::wire::state_sample::{SAMPLE_PIECES_MAX, StateSample, TENSOR_NAME_BYTES_MAX};

/// Samples of the newest steps, and what they have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct StateSamples {
    /// By step, at most [`SAMPLED_STEPS_MAX`].
    heard: BTreeMap<u64, BTreeMap<Life, StateSample>>,
    /// Members that the majority contradicts, and in words how.
    diverged: BTreeMap<Life, String>,
}

/// How often nodes have diverged while this coordinator was in office, at most one entry per registered node.
pub(super) type Relapses = BTreeMap<NodeId, u32>;

impl StateSamples {
    /// In words what is wrong with the state of a member.
    pub(super) fn verdict(&self, life: Life) -> Option<&str> {
        self.diverged.get(&life).map(String::as_str)
    }

    /// What was said in former tenures is no word on the states of now.
    pub(super) fn retain(&mut self, is_kept: impl Fn(Life) -> bool) {
        self.heard.values_mut().for_each(|samples| samples.retain(|life, _| is_kept(*life)));
        self.diverged.retain(|life, _| is_kept(*life));
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
        if sample.step > self.steps {
            return;
        }
        let step = sample.step;
        let heard = &mut self.samples.heard;
        heard.entry(step).or_default().insert(life, sample);
        while heard.len() > SAMPLED_STEPS_MAX {
            heard.pop_first();
        }
        self.compare(view, step);
    }

    fn compare(&mut self, view: &View, step: u64) {
        let Some(heard) = self.samples.heard.get(&step) else { return };
        let agreeing = |sample: &StateSample| heard.values().filter(|other| *other == sample).count();
        let Some(most) = heard.values().max_by_key(|sample| agreeing(sample)) else { return };
        let others: Vec<(Life, &StateSample)> = heard
            .iter()
            .filter(|(_, sample)| *sample != most)
            .map(|(life, sample)| (*life, sample))
            .collect();
        if others.is_empty() {
            return;
        }
        let with_state =
            view.members.iter().filter(|member| self.synced.contains(&(member.life(), member.tenure)));
        let with_state = with_state.count();
        let words = |life: Life, sample: &StateSample| {
            format!(
                "{}'s state differs after step {step}, first in {}",
                life.node.friendly_name(),
                most.first_difference(sample).unwrap_or("its extent"),
            )
        };
        if 2 * agreeing(most) > with_state {
            let since = (step + 1).saturating_sub(most.round_steps).max(1);
            let verdicts = others.into_iter().map(|(life, sample)| {
                let what = words(life, sample);
                (life, format!("{what}; its gradients of steps {since} to {step} may have been wrong"))
            });
            let verdicts: Vec<(Life, String)> = verdicts.collect();
            for (life, verdict) in verdicts {
                self.disbelieve(life.node);
                self.samples.diverged.insert(life, verdict);
            }
        } else if heard.len() >= with_state {
            let what: Vec<String> = others.into_iter().map(|(life, sample)| words(life, sample)).collect();
            let rest: BTreeSet<String> = heard
                .iter()
                .filter(|(_, sample)| *sample == most)
                .map(|(life, _)| life.node.friendly_name())
                .collect();
            let rest: Vec<String> = rest.into_iter().collect();
            let text = format!(
                "{} from that of {}, and no majority says which is right",
                what.join("; "),
                rest.join(", ")
            );
            self.divergence.get_or_insert(text);
        }
    }

    /// What such a node has written is no checkpoint of the job.
    fn disbelieve(&mut self, node: NodeId) {
        self.checkpoints.retain(|_, pending| pending.lose_holder(node));
    }
}

impl Coordinator {
    /// In words why a member that lives cannot stay. A node to which that happens again is kept out for longer and longer:
    /// its memory is bad.
    pub(super) fn convict(&mut self, now: Millis, life: Life) -> Option<String> {
        let reports = self.reports.as_mut()?;
        let verdict = reports.samples.verdict(life)?.to_owned();
        if reports.convicted.insert(life) {
            let times = self.relapses.entry(life.node).or_insert(0);
            let doublings = *times;
            *times = times.saturating_add(1);
            if let Some(doublings) = doublings.checked_sub(1) {
                let delay =
                    DIVERGED_RETRY_MS.saturating_mul(1 << doublings.min(16)).min(DIVERGED_RETRY_MS_MAX);
                self.admissions.refuse(life.node, now, delay, "diverged more than once");
            }
        }
        Some(verdict)
    }
}
