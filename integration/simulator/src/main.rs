//! Runs seeds and says which of them broke an invariant.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use traind_protocol::sync::PlantedFault;
use traind_simulator::{Report, Sabotage, command_of, run};

/// Violations shown before the run is given up.
const VIOLATIONS_SHOWN_MAX: u64 = 5;

/// Drives the sync step through faults, one run for each seed, and checks every invariant after every event.
#[derive(Parser)]
struct Arguments {
    /// Seeds to run, the last one excluded.
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = parse_range)]
    seeds: std::ops::Range<u64>,
    /// Run this seed alone.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Break this rule on purpose in every machine, to see that the checks see it; a name, or one
    /// of the council's.
    #[arg(long, hide = true, value_parser = parse_sabotage)]
    sabotage: Option<Sabotage>,
    /// Tell the story of the run.
    #[arg(long, requires = "seed")]
    trace: bool,
}

fn parse_range(text: &str) -> Result<std::ops::Range<u64>> {
    let (from, to) = text.split_once("..").context("expected A..B")?;
    Ok(from.parse().context("read the first seed")?..to.parse().context("read the seed after the last")?)
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
    let seeds = arguments.seed.map_or(arguments.seeds, |seed| seed..seed + 1);
    let began = Instant::now();
    let mut report = Report::default();
    let mut violations = 0;
    for seed in seeds {
        let world = run(seed, arguments.sabotage, arguments.trace);
        for line in world.trace() {
            println!("{line}");
        }
        report.add(&world.report());
        if let Some(violation) = world.violation() {
            violations += 1;
            println!("seed {seed} breaks {}: {}", violation.id, violation.what);
            println!("    {}", command_of(seed));
            if violations == VIOLATIONS_SHOWN_MAX {
                break;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    print!("{report}");
    println!("{:<26}{:>14.0}", "runs per second", report.runs as f64 / seconds);
    println!("{violations} violations");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
