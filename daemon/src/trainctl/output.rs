//! Data on the standard output, messages on the standard error, colour only where a person looks.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::args::OutputFormat;
use super::failure::Failure;
use crate::control::encode_line;
use crate::exit_code;

/// Where and how to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Form of the data.
    pub(super) format: OutputFormat,
    /// Whether the standard error is a terminal: progress is drawn there.
    pub(super) draws: bool,
    /// Whether messages may be coloured.
    pub(super) palette: Palette,
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
    pub(super) fn of_process(format: OutputFormat) -> Self {
        let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let draws = io::stderr().is_terminal() && !is_dumb;
        let on = wants_colour && draws && io::stdout().is_terminal();
        Self { format, draws, palette: Palette { on } }
    }

    /// Writes data: `value` as a line of JSON, or what `table` makes of it.
    pub(super) fn data<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = match self.format {
            OutputFormat::Json => {
                encode_line(value).map_err(|error| Failure::new(exit_code::FAILED, error.to_string()))?
            }
            OutputFormat::Table => table(),
        };
        self.write(&text)
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
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells why a verb failed; gives its exit code.
    pub(super) fn fail(&self, failure: &Failure) -> u8 {
        self.message(&failure_text(failure, self.palette));
        failure.code
    }
}

/// What happened, why, what next.
fn failure_text(failure: &Failure, palette: Palette) -> String {
    let mut text = format!("{} {}", palette.red("error:"), failure.message);
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
        assert_eq!(
            failure_text(&failure, Palette { on: false }),
            "error: no daemon\n  cause: no socket\n  next:  traind"
        );
        assert!(
            failure_text(&failure, Palette { on: true }).starts_with("\u{1b}[31merror:\u{1b}[0m no daemon")
        );
        assert_eq!(failure_text(&Failure::new(1, "bad"), Palette { on: false }), "error: bad");
    }
}
