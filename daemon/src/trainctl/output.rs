//! Data on the standard output, messages on the standard error, colour only where a person looks.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::args::OutputFormat;
use super::failure::Failure;
use super::render;
use crate::control::api::Response;
use crate::control::encode_line;
use crate::exit_code;

/// How much is said on the standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loudness {
    /// Errors alone.
    Quiet,
    /// What a person wants to know.
    #[default]
    Normal,
    /// More.
    Verbose,
}

/// What the command line says about the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputOptions {
    /// Form of the data.
    pub(super) format: OutputFormat,
    /// How much is said.
    pub(super) loudness: Loudness,
    /// `--no-color`.
    pub(super) no_color: bool,
}

/// Where and how to write.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// Form of the data.
    pub(super) format: OutputFormat,
    /// How much is said.
    pub(super) loudness: Loudness,
    /// Whether the standard error is a terminal: progress is drawn there.
    pub(super) draws: bool,
    /// Whether messages may be coloured.
    pub(super) palette: Palette,
    /// What goes on by itself when this program ends early.
    goes_on: Arc<Mutex<Option<String>>>,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    /// Whether to colour.
    pub(super) on: bool,
}

impl Palette {
    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(super) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
}

impl Output {
    /// The output of this process. `NO_COLOR` (no-color.org) turns colour off, and so does anything but a terminal.
    pub(super) fn of_process(options: OutputOptions) -> Self {
        let wants_colour =
            !options.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let draws = options.loudness > Loudness::Quiet && io::stderr().is_terminal() && !is_dumb;
        let on = wants_colour && !is_dumb && io::stderr().is_terminal() && io::stdout().is_terminal();
        Self { loudness: options.loudness, ..Self::plain(options.format, draws, Palette { on }) }
    }

    /// An output that says what a person wants to know.
    pub(super) fn plain(format: OutputFormat, draws: bool, palette: Palette) -> Self {
        Self { format, loudness: Loudness::Normal, draws, palette, goes_on: Arc::default() }
    }

    /// Writes data: `value` as a line of JSON, or what `table` makes of it.
    pub(super) fn data<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = if self.format.is_json() { json(value)? } else { table() };
        self.write(&text)
    }

    /// Writes an answer as it was asked for.
    pub(super) fn answer(&self, answer: &Response) -> Result<(), Failure> {
        let text = match self.format {
            OutputFormat::Table => render::printable(&render::response(answer, false)),
            OutputFormat::Wide => render::printable(&render::response(answer, true)),
            OutputFormat::Name => render::names(answer),
            OutputFormat::Json => json(answer)?,
            OutputFormat::Jsonl => render::elements(answer).unwrap_or_else(|| json(answer))?,
        };
        self.write(&text)
    }

    /// Remembers what goes on by itself should the program end early, to be told then.
    pub(super) fn goes_on(&self, text: impl Into<String>) {
        *self.goes_on.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.into());
    }

    /// What goes on by itself, if anything does.
    pub(super) fn what_goes_on(&self) -> Option<String> {
        self.goes_on.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes text to the standard output.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
            Failure::new(exit_code::FAILED, "cannot write the output").because(error.to_string())
        })
    }

    /// Writes a message to the standard error; one that cannot be written is lost with the terminal.
    pub(super) fn message(&self, text: &str) {
        if self.loudness > Loudness::Quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Writes a message that only those want who asked for more.
    pub(super) fn detail(&self, text: &str) {
        if self.loudness == Loudness::Verbose {
            self.message(text);
        }
    }

    /// Tells why a verb failed, as an object where programs read; gives its exit code.
    pub(super) fn fail(&self, failure: &Failure) -> u8 {
        let text = if self.format.is_json() {
            failure.to_json()
        } else {
            render::printable(&failure_text(failure)).replacen("error:", &self.palette.red("error:"), 1)
                + "\n"
        };
        let _ = io::stderr().lock().write_all(text.as_bytes());
        failure.code
    }
}

/// A line of JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    encode_line(value).map_err(|error| Failure::new(exit_code::FAILED, error.to_string()))
}

/// What happened, why, what next.
fn failure_text(failure: &Failure) -> String {
    let mut text = format!("error: {}", failure.message);
    if let Some(cause) = &failure.cause {
        text.push_str(&format!("\n  cause: {cause}"));
    }
    if let Some(next) = &failure.next {
        text.push_str(&format!("\n  next:  {next}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure = Failure::new(3, "no daemon").because("no socket").next("traind");
        assert_eq!(failure_text(&failure), "error: no daemon\n  cause: no socket\n  next:  traind");
        assert_eq!(failure_text(&Failure::new(1, "bad")), "error: bad");
    }
}
