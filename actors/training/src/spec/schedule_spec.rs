//! How the learning rate changes with the steps.

use serde::Serialize;

use super::{
    job_spec::STEPS,
    spec_error::SpecError,
    table_reader::{Kind, TableReader},
};

const KINDS: [Kind; 4] = [
    Kind { name: "constant", keys: &[] },
    Kind { name: "linear", keys: &["final_factor"] },
    Kind { name: "cosine", keys: &["final_factor"] },
    Kind { name: "wsd", keys: &["final_factor", "decay_steps", "decay_tokens"] },
];

/// Schedules: each begins with a linear warm-up from `1 / warmup_steps` of the learning rate to the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ScheduleSpec {
    /// Stays at the learning rate. The default.
    Constant {
        /// Updates of the warm-up, at most `steps`. Default 0.
        warmup_steps: u64,
    },
    /// Falls in a straight line, so that the last update has `final_factor` of the learning rate.
    Linear {
        /// Updates of the warm-up, at most `steps`. Default 0.
        warmup_steps: u64,
        /// From 0 to 1. Default 0.
        final_factor: f64,
    },
    /// Falls by half a period of the cosine to the same end: Loshchilov and Hutter, "SGDR: stochastic gradient descent with
    /// warm restarts" (2017), without restarts.
    Cosine {
        /// Updates of the warm-up, at most `steps`. Default 0.
        warmup_steps: u64,
        /// From 0 to 1. Default 0.
        final_factor: f64,
    },
    /// Stays at the learning rate until the last updates, in which it falls in a straight line: Hu et al., "MiniCPM" (2024),
    /// "warm-up, stable, decay".
    Wsd {
        /// Updates of the warm-up, at most `steps`. Default 0.
        warmup_steps: u64,
        /// Updates of the decay, at most what the warm-up leaves. Default a tenth of `steps`.
        decay_steps: u64,
        /// From 0 to 1. Default 0.
        final_factor: f64,
    },
}

impl ScheduleSpec {
    /// Lengths may be given in tokens where samples have `tokens_per_step` of them together; a step that a length only begins
    /// counts.
    pub(super) fn read(
        root: &TableReader<'_>,
        steps: u64,
        tokens_per_step: Option<u64>,
    ) -> Result<Self, SpecError> {
        let common = ["warmup_steps", "warmup_tokens"];
        let (table, kind) = root.section_of_kind("schedule", &common, &KINDS, Some("constant"))?;
        let length = |in_steps: &'static str, in_tokens: &'static str, most: u64, default: u64| {
            let given = table.integer(in_steps, 0..STEPS.end, Some(default))?;
            let tokens = table.integer(in_tokens, 0..u64::MAX >> 1, Some(0))?;
            let (key, length) = match (tokens, tokens_per_step) {
                (0, _) => (in_steps, given),
                (_, None) => {
                    return Err(table.conflict(
                        in_tokens,
                        tokens.to_string(),
                        "nothing: the data have no tokens",
                    ));
                }
                (_, Some(_)) if table.has(in_steps) => {
                    return Err(table.conflict(
                        in_tokens,
                        tokens.to_string(),
                        &format!("this or {in_steps}"),
                    ));
                }
                (_, Some(per_step)) => (in_tokens, tokens.div_ceil(per_step)),
            };
            if length > most {
                let allowed = format!("at most {most} steps, of steps = {steps}");
                let allowed =
                    if most == steps { format!("at most steps, which is {steps}") } else { allowed };
                return Err(table.conflict(key, length.to_string(), &allowed));
            }
            Ok(length)
        };
        let warmup_steps = length("warmup_steps", "warmup_tokens", steps, 0)?;
        let is_factor = |factor: f64| (0.0..=1.0).contains(&factor);
        let final_factor = table.number("final_factor", is_factor, "a number from 0 to 1", 0.0)?;
        Ok(match kind {
            "linear" => Self::Linear { warmup_steps, final_factor },
            "cosine" => Self::Cosine { warmup_steps, final_factor },
            "wsd" => {
                let most = steps - warmup_steps;
                let decay_steps = length("decay_steps", "decay_tokens", most, most.min(steps.div_ceil(10)))?;
                Self::Wsd { warmup_steps, decay_steps, final_factor }
            }
            _ => Self::Constant { warmup_steps },
        })
    }

    /// What the learning rate is multiplied with in the update that follows `step` updates, of `steps` in all. Update
    /// `warmup_steps - 1` is the first with the whole learning rate, update `steps - 1` has the final factor, and so would
    /// any later one. IEEE operations in a fixed order and a software cosine: the same bits everywhere.
    pub(crate) fn factor_at(&self, step: u64, steps: u64) -> f64 {
        let warmup_steps = match self {
            Self::Constant { warmup_steps } => *warmup_steps,
            Self::Linear { warmup_steps, .. }
            | Self::Cosine { warmup_steps, .. }
            | Self::Wsd { warmup_steps, .. } => *warmup_steps,
        };
        if step < warmup_steps {
            return (step + 1) as f64 / warmup_steps as f64;
        }
        // The decay begins with the last update of the warm-up. Without steps to decay over there is none.
        let last = steps.saturating_sub(1);
        let first = match self {
            Self::Wsd { decay_steps, .. } => last.saturating_sub(*decay_steps),
            _ => warmup_steps.saturating_sub(1),
        };
        if step <= first {
            return 1.0;
        }
        let progress =
            if last <= first { 0.0 } else { (step.min(last) - first) as f64 / (last - first) as f64 };
        let (left, final_factor) = match self {
            Self::Constant { .. } => return 1.0,
            Self::Linear { final_factor, .. } | Self::Wsd { final_factor, .. } => {
                (1.0 - progress, *final_factor)
            }
            Self::Cosine { final_factor, .. } => {
                (0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress)), *final_factor)
            }
        };
        left + final_factor * (1.0 - left)
    }

    /// Whether the number of steps of the job decides anything here.
    pub(crate) fn depends_on_steps(&self) -> bool {
        !matches!(self, Self::Constant { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: ScheduleSpec, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| schedule.factor_at(step, steps)).collect()
    }

    #[test]
    fn the_warm_up_rises_in_equal_steps_to_the_whole() {
        let constant = ScheduleSpec::Constant { warmup_steps: 4 };
        assert_eq!(factors(constant, 6), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(factors(ScheduleSpec::Constant { warmup_steps: 0 }, 2), [1.0, 1.0]);
    }

    #[test]
    fn the_decay_begins_at_the_whole_and_ends_at_the_final_factor() {
        let linear = ScheduleSpec::Linear { warmup_steps: 0, final_factor: 0.5 };
        assert_eq!(factors(linear, 5), [1.0, 0.875, 0.75, 0.625, 0.5]);
        let linear = ScheduleSpec::Linear { warmup_steps: 2, final_factor: 0.0 };
        assert_eq!(factors(linear, 6), [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]);
        let cosine = ScheduleSpec::Cosine { warmup_steps: 0, final_factor: 0.1 };
        let found = factors(cosine, 5);
        assert_eq!((found[0], found[4]), (1.0, 0.1));
        let quarter = 0.1 + 0.9 * (1.0 + 0.5f64.sqrt()) / 2.0;
        assert!((found[1] - quarter).abs() < 1e-15 && (found[2] - 0.55).abs() < 1e-15, "{found:?}");
        assert!(found.windows(2).all(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn a_stable_schedule_falls_in_its_last_updates_only() {
        let wsd = ScheduleSpec::Wsd { warmup_steps: 2, decay_steps: 4, final_factor: 0.0 };
        assert_eq!(factors(wsd, 10), [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]);
        let without = ScheduleSpec::Wsd { warmup_steps: 1, decay_steps: 0, final_factor: 0.0 };
        assert_eq!(factors(without, 3), [1.0; 3]);
    }

    #[test]
    fn the_shortest_jobs_and_steps_beyond_the_last_have_a_factor_too() {
        for schedule in [
            ScheduleSpec::Linear { warmup_steps: 0, final_factor: 0.0 },
            ScheduleSpec::Cosine { warmup_steps: 1, final_factor: 0.0 },
        ] {
            assert_eq!(schedule.factor_at(0, 1), 1.0);
            assert_eq!(schedule.factor_at(99, 10), 0.0);
        }
        let all_warm_up = ScheduleSpec::Cosine { warmup_steps: 3, final_factor: 0.0 };
        assert_eq!(factors(all_warm_up, 3), [1.0 / 3.0, 2.0 / 3.0, 1.0]);
    }
}
