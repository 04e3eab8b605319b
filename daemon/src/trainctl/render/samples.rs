//! The samples of a step, for people.

use super::table::table;
use super::units::{or_dash, view_number};
use super::{facts, wrap};
use crate::control::api::{JobSamples, MicroBatchSamples};

/// Ids of a micro-batch that a table shows.
const SHOWN_IDS_MAX: usize = 8;

/// `trainctl job samples`. Wide: all ids.
pub(super) fn samples(samples: &JobSamples, is_wide: bool) -> String {
    let mut lines = vec![
        ("job", format!("{}  {}", samples.name, samples.id)),
        ("step", samples.step.to_string()),
        ("epoch", format!("{} samples, each used once in it", samples.epoch_samples)),
    ];
    match &samples.view {
        Some(view) => {
            let members: Vec<&str> = view.members.iter().map(|node| node.name.as_str()).collect();
            lines.push(("committed in", format!("view {}: {}", view_number(view.epoch), members.join(", "))));
        }
        None => lines.push(("committed in", "a view that the ledger no longer tells from others".to_owned())),
    }
    let mut text = facts(&lines);
    if let Some(view) =
        samples.view.as_ref().filter(|view| view.epoch > 1 && samples.step == view.since_step + 1)
    {
        let note = format!(
            "note: view {} began after step {}; what members of the view before had computed of this step was kept, \
             and is listed by who has the lease now",
            view_number(view.epoch),
            view.since_step
        );
        text.push_str(&format!("{}\n", wrap(&note, 6)));
    }
    let row = |row: &MicroBatchSamples| {
        [
            row.micro_batch.to_string(),
            or_dash(row.node.as_ref().map(|node| node.name.clone())),
            row.samples.len().to_string(),
            ids(&row.samples, is_wide),
        ]
    };
    text.push_str(&format!(
        "\n{}",
        table(["MICRO-BATCH", "NODE", "SAMPLES", "IDS"], samples.micro_batches.iter().map(row))
    ));
    text
}

fn ids(ids: &[u32], is_wide: bool) -> String {
    let shown = if is_wide { ids.len() } else { SHOWN_IDS_MAX };
    let mut words: Vec<String> = ids.iter().take(shown).map(ToString::to_string).collect();
    if ids.len() > shown {
        words.push("…".to_owned());
    }
    words.join(" ")
}
