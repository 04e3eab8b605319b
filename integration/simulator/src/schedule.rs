//! What is run: all of a seed, or what is left of it when a violation is made small.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::plan::Plan;

/// A plan, and how much of it happens.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What the seed decided, or less.
    pub plan: Plan,
    /// Random actions in all; `None` for as many as it takes until the run counts.
    pub actions: Option<u64>,
    /// The actions that may be faults; `None` for all.
    pub faults: Option<BTreeSet<u64>>,
}

impl Schedule {
    /// All of `seed`.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { plan: Plan::of(seed), actions: None, faults: None }
    }

    /// Whether `action` may be a fault.
    #[must_use]
    pub(crate) fn keeps(&self, action: u64) -> bool {
        self.faults.as_ref().is_none_or(|faults| faults.contains(&action))
    }

    /// The options of the command line that make this schedule.
    #[must_use]
    pub fn options(&self) -> String {
        let (plan, full) = (&self.plan, Plan::of(self.plan.seed));
        let mut text = format!("--seed {}", plan.seed);
        let numbers = [
            ("nodes", plan.nodes as u64, full.nodes as u64),
            ("founders", plan.founders as u64, full.founders as u64),
            ("parts", plan.parts.into(), full.parts.into()),
            ("microbatches", plan.microbatches.into(), full.microbatches.into()),
        ];
        for (name, value, usual) in numbers {
            if value != usual {
                let _ = write!(text, " --{name} {value}");
            }
        }
        if let Some(actions) = self.actions {
            let _ = write!(text, " --actions {actions}");
        }
        if let Some(faults) = &self.faults {
            let faults: Vec<String> = faults.iter().map(u64::to_string).collect();
            let _ = write!(
                text,
                " --faults {}",
                if faults.is_empty() { "none".into() } else { faults.join(",") }
            );
        }
        let without: Vec<&str> =
            Trait::ALL.into_iter().filter(|of| of.get(&full) && !of.get(plan)).map(Trait::name).collect();
        if !without.is_empty() {
            let _ = write!(text, " --without {}", without.join(","));
        }
        text
    }

    /// The command that runs this schedule and tells its story.
    #[must_use]
    pub fn command(&self) -> String {
        format!("cargo run -p traind-simulator --release -- {} --trace", self.options())
    }
}

/// What a run may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// Two computations of one micro-batch differ.
    Unlike,
    /// Messages of a pair overtake each other.
    Reorder,
    /// Payloads of later epochs are lost.
    BulkDropped,
    /// Messages travel as bytes.
    Encoded,
}

impl Trait {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unlike, Self::Reorder, Self::BulkDropped, Self::Encoded];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unlike => "unlike",
            Self::Reorder => "reorder",
            Self::BulkDropped => "bulk-drop",
            Self::Encoded => "bytes",
        }
    }

    fn get(self, plan: &Plan) -> bool {
        match self {
            Self::Unlike => plan.unlike,
            Self::Reorder => plan.reorder,
            Self::BulkDropped => plan.bulk_dropped,
            Self::Encoded => plan.encoded,
        }
    }

    /// Takes it from `plan`. Whether it was there.
    pub fn take(self, plan: &mut Plan) -> bool {
        let slot = match self {
            Self::Unlike => &mut plan.unlike,
            Self::Reorder => &mut plan.reorder,
            Self::BulkDropped => &mut plan.bulk_dropped,
            Self::Encoded => &mut plan.encoded,
        };
        std::mem::take(slot)
    }
}
