//! When the state is saved, and which of the saved ones are kept.

use std::ops::Range;

use serde::Serialize;

use super::{job_spec::STEPS, spec_error::SpecError, table_reader::TableReader};

/// Checkpoints kept: each is a whole copy of the state, and the ledger holds no more of a job.
const KEPT: Range<u32> = 1..65;
/// Copies of a checkpoint: no swarm has more nodes.
const REPLICAS: Range<u32> = 1..65;
/// The same of those kept for their tests.
const BEST: Range<u32> = 0..17;
/// Times between checkpoints, milliseconds: a second to thirty days.
const EVERY_MS: Range<u64> = 1000..30 * 24 * 3_600_000 + 1;

const ALLOWED_EVERY: &str = "\"N steps\", or a time from 1 s to 30 days as \"10 min\", \"90 s\" or \"2 h\"";
const ALLOWED_KEEP_EVERY: &str = "\"N steps\" from 1 to 1000000000";

/// When the state is saved and how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointSpec {
    /// Steps between checkpoints, 1 to 10^9; 0 where time decides. Default 50.
    pub every_steps: u64,
    /// Milliseconds between checkpoints, by the coordinator's clock; 0 (the default) where steps decide.
    #[serde(skip_serializing_if = "is_zero")]
    pub every_ms: u64,
    /// The newest so many are kept, 1 to 64. Default 3.
    pub keep: u32,
    /// Nodes that hold each, 1 to 64. Default 2.
    pub replicas: u32,
    /// The first in each stretch of so many steps is kept too; 0 (the default) for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub keep_every: u64,
    /// So many with the best tests are kept too, up to 16. Default 0.
    #[serde(skip_serializing_if = "is_none")]
    pub keep_best: u32,
    /// What the best are.
    #[serde(skip_serializing_if = "is_default")]
    pub best_by: BestMetric,
}

/// What makes a test the best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BestMetric {
    /// The lowest loss over the held-out samples.
    #[default]
    Loss,
    /// The most right answers.
    Accuracy,
}

/// How often.
enum Every {
    Steps(u64),
    Milliseconds(u64),
}

impl CheckpointSpec {
    pub(super) fn read(root: &TableReader<'_>, evaluation_every: u64) -> Result<Self, SpecError> {
        let keys = ["every_steps", "every", "keep", "replicas", "keep_every", "keep_best", "best_by"];
        let table = root.section("checkpoint", &keys)?;
        let every_steps = table.integer("every_steps", STEPS, Some(50))?;
        let (every_steps, every_ms) = match table.string("every", parse_every, ALLOWED_EVERY, Some(None))? {
            None => (every_steps, 0),
            Some(_) if table.has("every_steps") => {
                return Err(table.conflict("every", "beside every_steps".to_owned(), "one of the two"));
            }
            Some(Every::Steps(steps)) => (steps, 0),
            Some(Every::Milliseconds(milliseconds)) => (0, milliseconds),
        };
        let steps = |text: &str| match parse_every(text)?? {
            Every::Steps(steps) => Some(steps),
            Every::Milliseconds(_) => None,
        };
        let keep_best = table.integer_u32("keep_best", BEST, 0)?;
        if keep_best > 0 && evaluation_every == 0 {
            let allowed = "0, or more with evaluation.every_steps above 0";
            return Err(table.conflict("keep_best", keep_best.to_string(), allowed));
        }
        let metric = |name: &str| match name {
            "loss" => Some(BestMetric::Loss),
            "accuracy" => Some(BestMetric::Accuracy),
            _ => None,
        };
        Ok(Self {
            every_steps,
            every_ms,
            keep: table.integer_u32("keep", KEPT, 3)?,
            replicas: table.integer_u32("replicas", REPLICAS, 2)?,
            keep_every: table.string("keep_every", steps, ALLOWED_KEEP_EVERY, Some(0))?,
            keep_best,
            best_by: table.string("best_by", metric, "\"loss\", \"accuracy\"", Some(BestMetric::Loss))?,
        })
    }
}

/// Reads `500 steps`, `10 min`, `90 s`, `2 h` or `1 d`; the space may be left out.
fn parse_every(text: &str) -> Option<Option<Every>> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic() || character == ' ');
    let count: u64 = digits.parse().ok()?;
    let unit_ms = match text[digits.len()..].trim_start() {
        "step" | "steps" => return STEPS.contains(&count).then_some(Some(Every::Steps(count))),
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        _ => return None,
    };
    let milliseconds = count.checked_mul(unit_ms)?;
    EVERY_MS.contains(&milliseconds).then_some(Some(Every::Milliseconds(milliseconds)))
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_none(value: &u32) -> bool {
    *value == 0
}

fn is_default(value: &BestMetric) -> bool {
    *value == BestMetric::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(checkpoint: &str) -> Result<CheckpointSpec, String> {
        let text = format!(
            "name = \"a\"\nsteps = 9\nmodel = \"mlp\"\ndata = \"digits\"\n[evaluation]\nevery_steps = 5\n\
             [checkpoint]\n{checkpoint}"
        );
        super::super::JobSpec::parse(&text).map(|spec| spec.checkpoint).map_err(|error| error.to_string())
    }

    #[test]
    fn checkpoints_come_by_steps_or_by_time() {
        let every = |text: &str| read(text).map(|spec| (spec.every_steps, spec.every_ms));
        assert_eq!(every(""), Ok((50, 0)));
        assert_eq!(every("every = \"500 steps\""), Ok((500, 0)));
        assert_eq!(every("every = \"10 min\""), Ok((0, 600_000)));
        assert_eq!(every("every = \"90s\""), Ok((0, 90_000)));
        assert_eq!(every("every = \"2 h\""), Ok((0, 7_200_000)));
        for bad in ["\"0 steps\"", "\"10\"", "\"ten min\"", "\"31 d\"", "\"-1 s\"", "\"1 µs\"", "500"] {
            assert!(read(&format!("every = {bad}")).is_err_and(|error| error.contains("every")), "{bad}");
        }
        assert!(
            read("every = \"5 s\"\nevery_steps = 5").is_err_and(|error| error.contains("one of the two"))
        );
    }

    #[test]
    fn what_is_kept_beside_the_newest() {
        let spec =
            read("keep = 2\nkeep_every = \"5000 steps\"\nkeep_best = 3\nbest_by = \"accuracy\"").unwrap();
        assert_eq!((spec.keep, spec.keep_every, spec.keep_best), (2, 5000, 3));
        assert_eq!(spec.best_by, BestMetric::Accuracy);
        assert!(read("keep_every = \"10 min\"").is_err() && read("keep_best = 17").is_err());
        assert!(read("best_by = \"luck\"").is_err_and(|error| error.contains("accuracy")));
        let untested =
            "name = \"a\"\nsteps = 9\nmodel = \"mlp\"\ndata = \"digits\"\ncheckpoint.keep_best = 1";
        assert!(
            super::super::JobSpec::parse(untested).is_err_and(|error| error.key == "checkpoint.keep_best")
        );
    }
}
