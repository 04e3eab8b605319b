//! `trainctl demo`: real daemons on loopback; one is killed, one joins, and the bits are those of a single node.

mod cluster;
mod report;
mod scenario;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use super::args::{DemoExample, OutputFormat};
use super::daemon_process::DaemonCommand;
use super::failure::Failure;
use super::interrupt;
use super::output::{Loudness, Output, OutputOptions};
use super::render;
use super::scratch::Scratch;
use super::screen::Screen;
use crate::exit_code;
use cluster::Cluster;
use report::DemoReport;
use scenario::{Disturbance, Trained, train};

/// The jobs that the demo trains.
const DIGITS_TOML: &str = include_str!("../../../../configs/jobs/lenet-digits.toml");
const NOVEL_TOML: &str = include_str!("../../../../configs/jobs/llama-novel.toml");
/// What the trained model is asked to go on with.
const PROMPT: &str = "Elizabeth was";

/// What the demo is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Daemons to start with.
    pub nodes: u32,
    /// What is trained.
    pub example: DemoExample,
    /// Steps instead of the job's own number.
    pub steps: Option<u64>,
    /// Whether data directories and logs stay.
    pub keep: bool,
    /// How to start a daemon.
    pub daemon: DaemonCommand,
}

/// The demo as a program of its own, for tests that bring other daemons.
pub fn demo_main(options: &DemoOptions, format: OutputFormat) -> ExitCode {
    let output = Output::of_process(OutputOptions { format, loudness: Loudness::Normal, no_color: false });
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(interrupt::or_interrupted(demo(options, &output), &output)),
        Err(error) => Err(Failure::new(exit_code::FAILED, format!("cannot start: {error}"))),
    };
    match done {
        Ok(code) => code.into(),
        Err(failure) => output.fail(&failure).into(),
    }
}

/// Runs the demo. Everything it starts lives in its future, so that dropping it stops all.
pub(super) async fn demo(options: &DemoOptions, output: &Output) -> Result<u8, Failure> {
    let start = Instant::now();
    let spec_toml = job(options.example, options.steps)?;
    let mut screen = Screen::for_show(output, !output.format.is_json());
    let scratch = Scratch::new(options.keep)?;
    if scratch.is_kept() {
        screen.say(&format!("keeping data directories and logs in {}", scratch.path().display()))?;
    }
    let together = together(options, &spec_toml, scratch.path().to_owned(), &mut screen).await?;
    let alone = alone(options, &spec_toml, scratch.path().to_owned(), &mut screen).await?;
    let report = DemoReport::new(&together, &alone, start.elapsed());
    output.data(&report, || report.to_text(output.palette))?;
    Ok(if report.equal { exit_code::OK } else { exit_code::FAILED })
}

/// The job with several daemons, one of which dies while another comes.
async fn together(
    options: &DemoOptions,
    spec_toml: &str,
    root: PathBuf,
    screen: &mut Screen,
) -> Result<Trained, Failure> {
    screen.say(&screen.palette.bold(&format!("1. {} daemons train together", options.nodes)))?;
    let start = Instant::now();
    let mut cluster = Cluster::new(options.daemon.clone(), root);
    let names = screen
        .while_waiting("waiting for the daemons to find each other", cluster.found(options.nodes))
        .await?;
    screen.say(&format!(
        "  {} nodes up in {:.1} s: {names}",
        options.nodes,
        start.elapsed().as_secs_f64()
    ))?;
    train(&mut cluster, spec_toml, Disturbance::KillAndJoin, screen).await
}

/// The same job on a fresh daemon of its own.
async fn alone(
    options: &DemoOptions,
    spec_toml: &str,
    root: PathBuf,
    screen: &mut Screen,
) -> Result<Trained, Failure> {
    screen.say(&screen.palette.bold("2. One fresh daemon trains the same job alone"))?;
    let mut cluster = Cluster::new(options.daemon.clone(), root);
    screen.while_waiting("waiting for the daemon", cluster.found_single()).await?;
    let trained = train(&mut cluster, spec_toml, Disturbance::None, screen).await?;
    if options.example == DemoExample::Novel {
        screen.say(&screen.palette.bold("3. What it learnt"))?;
        let text = super::verbs::written_by(&cluster.client()?, &trained.detail.id, PROMPT).await?;
        screen.say(&render::wrap(&format!("  {PROMPT}{}", text.replace('\n', " ")), 2))?;
    }
    Ok(trained)
}

/// The demo's job, with another number of steps if asked.
fn job(example: DemoExample, steps: Option<u64>) -> Result<String, Failure> {
    let own = match example {
        DemoExample::Digits => DIGITS_TOML,
        DemoExample::Novel => NOVEL_TOML,
    };
    let Some(steps) = steps else { return Ok(own.into()) };
    let broken =
        |what: String| Failure::new(exit_code::FAILED, "the demo's own job file is broken").because(what);
    let mut table: toml::Table = own.parse().map_err(|error: toml::de::Error| broken(error.to_string()))?;
    let steps = i64::try_from(steps).map_err(|error| broken(error.to_string()))?;
    table.insert("steps".into(), toml::Value::Integer(steps));
    toml::to_string(&table).map_err(|error| broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_job_is_sound_and_its_steps_can_be_changed() {
        for example in [DemoExample::Digits, DemoExample::Novel] {
            let own: toml::Table = job(example, None).unwrap().parse().unwrap();
            let mut changed: toml::Table = job(example, Some(50)).unwrap().parse().unwrap();
            assert_eq!(changed["steps"].as_integer(), Some(50));
            assert!(traind_training::JobSpec::parse(&job(example, Some(50)).unwrap()).is_ok());
            changed.insert("steps".into(), own["steps"].clone());
            assert_eq!(own, changed, "nothing but the steps changes");
        }
    }
}
