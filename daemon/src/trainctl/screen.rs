//! Lines that stay, and below them a bar and a curve that are redrawn on a terminal. Elsewhere a line per second.

use std::io::{self, Write as _};
use std::pin::pin;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::chart::{Mark, loss_chart};
use super::failure::Failure;
use super::output::{Loudness, Output, Palette};
use super::progress::JobProgress;
use crate::exit_code;

/// Between two lines of progress where nothing can be redrawn.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Between two lines that say the same, as of a job that waits in the queue.
const SAME_LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Longest silence: beyond some seconds people think that it hangs.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Redraws per second: smooth, and next to no work.
const REDRAWS_PER_S_MAX: u8 = 10;

/// Size of the curve, characters.
pub(super) const CHART_COLUMNS: usize = 60;
/// Height of the curve, lines.
pub(super) const CHART_LINES: usize = 7;

/// Lines that stay, and progress below them.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether anything can be redrawn.
    draws: bool,
    /// While a job is shown.
    bars: Option<Bars>,
    to_stdout: bool,
    is_quiet: bool,
    is_verbose: bool,
    draws_chart: bool,
    started: Option<(Instant, u64)>,
    line_last: Option<Instant>,
    progress_last: String,
    /// What happened at which step, for the curve.
    pub(super) marks: Vec<Mark>,
    /// Colours for callers that say things.
    pub(super) palette: Palette,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    bar: ProgressBar,
    chart: ProgressBar,
}

impl Screen {
    /// For following a job: everything on the standard error, no curve.
    pub(super) fn on_stderr(output: &Output) -> Self {
        Self::new(output, false, false)
    }

    /// For the demo: lines on the standard output, or on the standard error if that is kept for JSON.
    pub(super) fn for_show(output: &Output, to_stdout: bool) -> Self {
        Self::new(output, to_stdout, true)
    }

    fn new(output: &Output, to_stdout: bool, draws_chart: bool) -> Self {
        let palette = output.palette;
        Self {
            draws: output.draws,
            bars: None,
            to_stdout,
            is_quiet: output.loudness == Loudness::Quiet,
            is_verbose: output.loudness == Loudness::Verbose,
            draws_chart,
            started: None,
            line_last: None,
            progress_last: String::new(),
            marks: Vec::new(),
            palette,
        }
    }

    /// Says a line that stays.
    pub(super) fn say(&mut self, line: &str) -> Result<(), Failure> {
        self.line_last = Some(Instant::now());
        if self.is_quiet {
            return Ok(());
        }
        let to_stdout = self.to_stdout;
        let write = || {
            if to_stdout {
                writeln!(io::stdout().lock(), "{line}")
            } else {
                writeln!(io::stderr().lock(), "{line}")
            }
        };
        let written = match &self.bars {
            Some(bars) => bars.all.suspend(write),
            None => write(),
        };
        written.map_err(|error| {
            Failure::new(exit_code::FAILED, "cannot write the output").because(error.to_string())
        })
    }

    /// Shows how far a job is. May be called at any rate; also draws a sign of life if nothing changed.
    pub(super) fn progress(&mut self, progress: &JobProgress) {
        if progress.steps == 0 {
            // Nothing was heard of the job yet.
            return;
        }
        let now = Instant::now();
        let (start, since) = *self.started.get_or_insert((now, progress.step));
        let mut line = progress.line(since, now.duration_since(start));
        if self.is_verbose {
            line.push_str(&progress.details());
        }
        if self.draws {
            let chart = if self.draws_chart { self.chart(progress) } else { String::new() };
            self.bars.get_or_insert_with(Bars::new).draw(progress, &line, &chart);
        } else if self.is_due(&line, now) {
            // Lost with the terminal; `say` reports it.
            let _ = self.say(&format!("  {line}"));
            self.progress_last = line;
        }
    }

    /// Whether a line of progress may be said where nothing can be redrawn.
    fn is_due(&self, line: &str, now: Instant) -> bool {
        let interval = if line == self.progress_last { SAME_LINE_INTERVAL } else { LINE_INTERVAL };
        self.line_last.is_none_or(|last| now.duration_since(last) >= interval)
    }

    /// Waits for `work`, and says that it is `waiting` every few seconds.
    pub(super) async fn while_waiting<T>(
        &mut self,
        waiting: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(SILENCE_MAX, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.say(&format!("  {waiting}"))?,
            }
        }
    }

    /// The curve as text.
    pub(super) fn chart(&self, progress: &JobProgress) -> String {
        loss_chart(&progress.losses(), progress.steps, &self.marks, CHART_COLUMNS, CHART_LINES)
    }

    /// Takes bar and curve away and forgets the job; lines stay.
    pub(super) fn close(&mut self) {
        if let Some(bars) = self.bars.take() {
            bars.bar.finish_and_clear();
            bars.chart.finish_and_clear();
        }
        self.started = None;
        self.marks.clear();
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_S_MAX));
        let chart = all.add(ProgressBar::no_length());
        let bar = all.add(ProgressBar::no_length());
        // The templates are constants; were one wrong, indicatif's own style would be used.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            chart.set_style(style);
        }
        if let Ok(style) = ProgressStyle::with_template("{spinner} [{bar:30}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { all, bar, chart }
    }

    fn draw(&self, progress: &JobProgress, line: &str, chart: &str) {
        self.bar.set_length(progress.steps.max(1));
        self.bar.set_position(progress.step);
        self.bar.set_message(line.to_owned());
        self.bar.tick();
        if !chart.is_empty() {
            self.chart.set_message(chart.to_owned());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::OutputFormat;
    use super::*;

    fn screen() -> Screen {
        let palette = Palette { on: false };
        Screen::on_stderr(&Output::plain(OutputFormat::Table, false, palette))
    }

    #[test]
    fn nothing_is_said_of_a_job_of_which_nothing_was_heard() {
        let mut screen = screen();
        let mut progress = JobProgress::default();
        screen.progress(&progress);
        assert_eq!(screen.line_last, None);
        progress.steps = 9;
        screen.progress(&progress);
        assert!(screen.line_last.is_some());
    }

    #[test]
    fn a_line_that_says_the_same_is_seldom_repeated() {
        let mut screen = screen();
        let start = Instant::now();
        assert!(screen.is_due("queued: waits for 3 nodes", start), "the first line comes at once");
        (screen.line_last, screen.progress_last) = (Some(start), "queued: waits for 3 nodes".into());
        assert!(!screen.is_due("queued: waits for 3 nodes", start + LINE_INTERVAL));
        assert!(screen.is_due("queued: waits for 2 nodes", start + LINE_INTERVAL));
        assert!(screen.is_due("queued: waits for 3 nodes", start + SAME_LINE_INTERVAL));
    }
}
