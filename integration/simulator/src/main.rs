//! Runs seeds and says which of them broke an invariant.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use traind_simulator::{PlantedFault, Sabotage, Schedule, Trait, run_schedule, shrink, sweep};

/// Violations shown before the run is given up.
const VIOLATIONS_SHOWN_MAX: usize = 5;

/// Drives the sync step through faults, one run for each seed, and checks every invariant after every event.
#[derive(Parser)]
struct Arguments {
    /// Seeds to run, the last one excluded.
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = parse_range)]
    seeds: std::ops::Range<u64>,
    /// Run this seed alone.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Break this rule on purpose, to see that the checks see it.
    #[arg(long, hide = true, value_parser = parse_sabotage)]
    sabotage: Option<Sabotage>,
    /// Tell the story of the run.
    #[arg(long, requires = "seed")]
    trace: bool,
    #[command(flatten)]
    smaller: Smaller,
}

/// Less than all of a seed, as shrinking found it.
#[derive(clap::Args)]
struct Smaller {
    /// Nodes there are.
    #[arg(long, requires = "seed")]
    nodes: Option<usize>,
    /// Members of the first view.
    #[arg(long, requires = "seed")]
    founders: Option<usize>,
    /// Parts of the gradient.
    #[arg(long, requires = "seed")]
    parts: Option<u32>,
    /// Micro-batches of a step.
    #[arg(long, requires = "seed")]
    microbatches: Option<u32>,
    /// Random actions in all.
    #[arg(long, requires = "seed")]
    actions: Option<u64>,
    /// Actions that may be faults, by number, or `none`.
    #[arg(long, requires = "seed", value_name = "N,N,...", value_parser = parse_faults)]
    faults: Option<BTreeSet<u64>>,
    /// Without these: unlike, reorder, bulk-drop, bytes.
    #[arg(long, requires = "seed", value_delimiter = ',', value_parser = parse_trait)]
    without: Vec<Trait>,
}

impl Smaller {
    fn of(self, seed: u64) -> Schedule {
        let mut schedule = Schedule::of(seed);
        let plan = &mut schedule.plan;
        plan.nodes = self.nodes.unwrap_or(plan.nodes);
        plan.founders = self.founders.unwrap_or(plan.founders).min(plan.nodes);
        plan.parts = self.parts.unwrap_or(plan.parts);
        plan.microbatches = self.microbatches.unwrap_or(plan.microbatches);
        for of in self.without {
            of.take(plan);
        }
        Schedule { actions: self.actions, faults: self.faults, ..schedule }
    }
}

fn parse_range(text: &str) -> Result<std::ops::Range<u64>> {
    let (from, to) = text.split_once("..").context("expected A..B")?;
    Ok(from.parse().context("read the first seed")?..to.parse().context("read the seed after the last")?)
}

fn parse_faults(text: &str) -> Result<BTreeSet<u64>> {
    let numbers = text.split(',').filter(|number| *number != "none");
    numbers.map(|number| number.parse().context("read the number of an action")).collect()
}

fn parse_trait(text: &str) -> Result<Trait> {
    Trait::ALL.into_iter().find(|of| of.name() == text).context("known are unlike, reorder, bulk-drop, bytes")
}

fn parse_sabotage(text: &str) -> Result<Sabotage> {
    let sabotage = match text {
        "no-continuity" => Some(Sabotage::NoContinuity),
        "drained-too-early" => Some(Sabotage::DrainedTooEarly),
        "drained-by-its-word" => Some(Sabotage::DrainedByItsWord),
        _ => None,
    };
    let named = |fault: &PlantedFault| format!("{fault:?}") == text;
    sabotage.or_else(|| PlantedFault::ALL.into_iter().find(named).map(Sabotage::Machine)).with_context(|| {
        let of_council = "no-continuity, drained-too-early, drained-by-its-word";
        format!("known are {of_council} and {:?}", PlantedFault::ALL)
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => tell(&arguments.smaller.of(seed), arguments.sabotage, arguments.trace),
        None => run_all(arguments.seeds, arguments.threads, arguments.sabotage),
    }
}

/// One schedule, with its story.
fn tell(schedule: &Schedule, sabotage: Option<Sabotage>, traced: bool) -> ExitCode {
    let world = run_schedule(schedule, sabotage, traced);
    world.trace().iter().for_each(|line| println!("{line}"));
    print!("{}", world.report());
    match world.violation() {
        Some(violation) => {
            println!("{} is broken ({}): {}", violation.id, violation.sentence, violation.what);
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn run_all(seeds: std::ops::Range<u64>, threads: usize, sabotage: Option<Sabotage>) -> ExitCode {
    let began = Instant::now();
    let all = sweep(seeds, threads, sabotage, VIOLATIONS_SHOWN_MAX);
    let seconds = began.elapsed().as_secs_f64();
    for (position, found) in all.found.iter().enumerate() {
        let violation = &found.violation;
        println!("seed {} breaks {} ({}): {}", found.seed, violation.id, violation.sentence, violation.what);
        println!("    {}", Schedule::of(found.seed).command());
        // The first is told in full; the others are most often the same.
        if position == 0
            && let Some(shrunk) = shrink(found.seed, sabotage)
        {
            println!(
                "    shrunk in {} runs to {} faults in {} actions, {} nodes: {:.200}",
                shrunk.runs, shrunk.faults, shrunk.actions, shrunk.schedule.plan.nodes, shrunk.violation.what
            );
            println!("    {}", shrunk.schedule.command());
        }
    }
    print!("{}", all.report);
    println!("{:<26}{:>14.0}", "runs per second", all.report.runs as f64 / seconds);
    println!("\nfaults by the messages that they met\n{}", all.coverage);
    println!("{} empty cells {:?}", all.coverage.empty().len(), all.coverage.empty());
    println!("{} violations", all.found.len());
    if all.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
