//! Writes `metrics.jsonl`: whole lines, appended, each step once per lineage.

use std::io;
use std::path::Path;

use super::line::MetricLine;
use super::points_reader::Lines;
use crate::observe::append_file::AppendFile;

/// Where a file stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Last step.
    pub(super) step: u64,
    /// Step of the last evaluation.
    pub(super) evaluation: u64,
    /// Lineage of the last line; `None` while there is none.
    pub(super) lineage: Option<u32>,
}

impl Standing {
    fn take(&mut self, line: &MetricLine) {
        self.lineage = Some(line.lineage());
        match line {
            MetricLine::Step(line) => self.step = line.step,
            MetricLine::Evaluation(line) => self.evaluation = line.step,
            MetricLine::Returned(line) => {
                self.step = self.step.min(line.to_step);
                self.evaluation = self.evaluation.min(line.to_step);
            }
        }
    }
}

/// The file of points of one job.
#[derive(Debug)]
pub(super) struct PointsFile {
    file: AppendFile,
    standing: Standing,
}

impl PointsFile {
    /// Opens `path`, or makes it. A last line that a crash has torn is cut off; what it said is told again, or was told
    /// by nobody.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut standing = Standing::default();
        let mut length_bytes = 0;
        if path.try_exists()? {
            let mut lines = Lines::open(path)?;
            while let Some(line) = lines.next_line()? {
                if let Some(line) = line.parsed {
                    standing.take(&line);
                }
            }
            length_bytes = lines.whole_bytes();
        }
        Ok(Self { file: AppendFile::open(path, length_bytes)?, standing })
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Appends `lines`, all or none.
    pub(super) fn append(&mut self, lines: &[MetricLine]) -> io::Result<()> {
        let mut text = Vec::new();
        let mut standing = self.standing;
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
            standing.take(line);
        }
        self.file.append(&text)?;
        self.standing = standing;
        Ok(())
    }
}
