//! What the demo has shown.

use std::time::Duration;

use serde::Serialize;

use super::super::output::Palette;
use super::super::render;
use super::scenario::Trained;
use crate::control::api::{Departure, JobResult, NodeRef, ViewRow, WorkRow};

/// What the demo has shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind")]
pub(super) struct DemoReport {
    /// Steps of the job.
    steps: u64,
    /// Micro-batches per step.
    micro_batches: u32,
    /// Who was killed.
    killed: Option<NodeRef>,
    /// Who came on the way.
    joined: Option<NodeRef>,
    /// All views of the job with several nodes.
    views: Vec<ViewRow>,
    /// What each of its processes did.
    work: Vec<WorkRow>,
    /// Micro-batches computed by all of them.
    microbatches_computed: u64,
    /// The result with several nodes.
    together: JobResult,
    /// The result of one node.
    alone: JobResult,
    /// Whether both digests are the same.
    pub(super) equal: bool,
    /// Time that the demo took.
    elapsed_ms: u64,
    #[serde(skip)]
    chart: String,
}

impl DemoReport {
    /// Compares.
    pub(super) fn new(together: &Trained, alone: &Trained, elapsed: Duration) -> Self {
        let detail = &together.detail;
        Self {
            steps: detail.steps,
            micro_batches: detail.micro_batches,
            killed: together.killed.clone(),
            joined: together.joined.clone(),
            views: detail.views.clone(),
            work: detail.work.clone(),
            microbatches_computed: detail.work.iter().map(|work| work.microbatches_computed).sum(),
            together: together.result.clone(),
            alone: alone.result.clone(),
            equal: together.result.digest == alone.result.digest,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            chart: together.chart.clone(),
        }
    }

    /// For people.
    pub(super) fn to_text(&self, palette: Palette) -> String {
        let mut text =
            format!("\n{}\n{}", palette.bold("loss with several nodes (x killed, + started)"), self.chart);
        text.push_str(&format!("\n{}\n", palette.bold("who computed what")));
        for line in render::work(&self.work).lines() {
            text.push_str(&format!("  {line}\n"));
        }
        let needed = self.steps * u64::from(self.micro_batches);
        text.push_str(&format!(
            "  {} steps x {} micro-batches = {needed}; computed {}{}\n",
            self.steps,
            self.micro_batches,
            self.microbatches_computed,
            self.difference(needed)
        ));
        text.push_str(&format!("\n{}\n", palette.bold("what became of the killed node's work")));
        text.push_str(&self.fate());
        if let Some(accuracy) = self.together.test_accuracy() {
            let result = &self.together;
            let counts = format!("{} of {} unseen samples", result.test_correct, result.test_total);
            text.push_str(&format!(
                "\n{} {} ({counts})\n",
                palette.bold("test accuracy"),
                render::percent(accuracy)
            ));
        }
        text.push_str(&self.verdict(palette));
        text
    }

    /// Why the sum of what was reported may not be what was needed. A process reports now and then, so what the killed
    /// one computed last is in nobody's count, while others computed some of it again: both can only be bounded.
    fn difference(&self, needed: u64) -> String {
        let computed = self.microbatches_computed;
        match (computed > needed, computed < needed, &self.killed) {
            (true, _, _) => format!(", at least {} of them twice", computed - needed),
            (_, true, Some(killed)) => {
                format!("; at least {} more by {}, killed before it told", needed - computed, killed.name)
            }
            (_, true, None) => format!("; {} were not told of", needed - computed),
            _ => String::new(),
        }
    }

    fn fate(&self) -> String {
        let Some(killed) = &self.killed else {
            return "  nobody was killed: the job ended before there was a chance\n".into();
        };
        let departure = |view: &ViewRow| -> Option<(u64, u64, Departure)> {
            let gone = view.left.iter().find(|gone| gone.node.id == killed.id)?;
            Some((view.epoch, view.step, gone.clone()))
        };
        let mut text = match self.views.iter().find_map(departure) {
            Some((epoch, step, gone)) => [
                format!("  {}: {}", killed.name, gone.reason),
                format!("  view {epoch} goes on without it after step {step}"),
                format!("  {}", gone.work),
            ]
            .iter()
            .map(|line| render::wrap(line, 4) + "\n")
            .collect(),
            None => format!("  {} was killed too late for another view\n", killed.name),
        };
        if let Some(joined) = &self.joined {
            let admitted = self.views.iter().find(|view| view.joined.iter().any(|node| node.id == joined.id));
            let view = admitted.map(|view| format!(" in view {} at step {}", view.epoch, view.step));
            text.push_str(&format!("  {} joined{}\n", joined.name, view.unwrap_or_default()));
        } else {
            text.push_str("  the new daemon came too late to take part\n");
        }
        text
    }

    fn verdict(&self, palette: Palette) -> String {
        let digests = format!(
            "\ndigest of all parameters and the optimiser's state after step {}\n  several nodes  {}\n  one node       {}\n",
            self.steps, self.together.digest, self.alone.digest
        );
        let seconds = render::duration_ms(self.elapsed_ms);
        if self.equal {
            let equal = palette.green("EQUAL");
            format!("{digests}  {equal}: not one bit depends on who computed what ({seconds})\n")
        } else {
            let different = palette.red("DIFFERENT");
            format!(
                "{digests}  {different}: this must not happen; `trainctl demo --keep` keeps the logs ({seconds})\n"
            )
        }
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
