//! Reads `metrics.jsonl`, also while it is written.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use super::line::MetricLine;

/// Longest line, bytes; ours have about two hundred. What is longer is nobody's line and is passed over.
const LINE_BYTES_MAX: usize = 4096;

/// Opens the points of a job: evaluations and steps after `since_step`, oldest first, without those that a return has
/// made void. Lines that cannot be read are passed over.
///
/// # Errors
/// `NotFound` when nothing was recorded yet; else what the system says.
pub fn read_points(path: &Path, since_step: u64) -> io::Result<PointsReader> {
    // What is void is known only from what follows: the returns are read first.
    let mut returns = Vec::new();
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        if let Some(MetricLine::Returned(returned)) = line.parsed {
            returns.push((line.number, returned.to_step));
        }
    }
    // A line is void if any later return goes back before it: the least of what follows is enough to know.
    let mut least = u64::MAX;
    for (_number, to_step) in returns.iter_mut().rev() {
        least = least.min(*to_step);
        *to_step = least;
    }
    Ok(PointsReader { lines: Lines::open(path)?, lines_max: lines.number, returns, since_step })
}

/// Points of a job, from [`read_points`].
#[derive(Debug)]
pub struct PointsReader {
    lines: Lines,
    /// What came after the returns were read is for the next reader.
    lines_max: u64,
    /// Line number and the least step that this return or a later one goes back to.
    returns: Vec<(u64, u64)>,
    since_step: u64,
}

impl PointsReader {
    fn is_wanted(&self, number: u64, line: &MetricLine) -> bool {
        let Some(step) = line.step() else { return false };
        let next_return = self.returns.partition_point(|(returned_at, _)| *returned_at < number);
        let is_void = self.returns.get(next_return).is_some_and(|(_, to_step)| step > *to_step);
        step > self.since_step && !is_void
    }
}

impl Iterator for PointsReader {
    type Item = io::Result<MetricLine>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.lines.number < self.lines_max {
            match self.lines.next_line() {
                Ok(Some(NumberedLine { number, parsed: Some(line) })) if self.is_wanted(number, &line) => {
                    return Some(Ok(line));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    self.lines_max = 0;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// A line that ends.
#[derive(Debug)]
pub(super) struct NumberedLine {
    /// From 1.
    pub(super) number: u64,
    /// `None` if it is no line of ours.
    pub(super) parsed: Option<MetricLine>,
}

/// Whole lines of a file. A last line without its end is not told: it is torn, or is being written.
#[derive(Debug)]
pub(super) struct Lines {
    reader: BufReader<File>,
    number: u64,
    whole_bytes: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(File::open(path)?), number: 0, whole_bytes: 0 })
    }

    /// Bytes of the lines so far.
    pub(super) fn whole_bytes(&self) -> u64 {
        self.whole_bytes
    }

    pub(super) fn next_line(&mut self) -> io::Result<Option<NumberedLine>> {
        let mut bytes = Vec::new();
        let mut length = (&mut self.reader).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes)?;
        let is_long = length == LINE_BYTES_MAX && bytes.last() != Some(&b'\n');
        if is_long {
            length += self.reader.skip_until(b'\n')?;
            // Whether the end was found is seen by the last byte alone, which is gone: nothing follows if it was not.
            if self.reader.fill_buf()?.is_empty() {
                return Ok(None);
            }
        } else if bytes.last() != Some(&b'\n') {
            return Ok(None);
        }
        self.number += 1;
        self.whole_bytes += length as u64;
        let parsed = if is_long { None } else { serde_json::from_slice(&bytes).ok() };
        Ok(Some(NumberedLine { number: self.number, parsed }))
    }
}
