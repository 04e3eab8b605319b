//! A table of numbers in a text file, one sample a line.

use std::path::PathBuf;

use super::{
    contents::Contents,
    csv_lines::{CsvLine, CsvLines},
    data_error::DataError,
    fingerprint::Fingerprint,
    normalisation::Normalisation,
};
use crate::spec::{CsvSpec, LabelColumn};

/// Largest label: a classifier of more classes has a head larger than the models of this program.
const LABEL_MAX: u32 = 65_535;
/// Characters of a bad value that an error shows. The error travels to whoever submitted the job: enough to find the value,
/// not enough to read other files with.
const SHOWN_CHARACTERS_MAX: usize = 16;
/// Columns of a header that an error shows.
const SHOWN_COLUMNS_MAX: usize = 10;

/// The values of a table, already divided by the job's scale.
pub(super) struct CsvTable {
    values: Vec<f32>,
    labels: Vec<u16>,
    shape: [usize; 3],
    classes: usize,
    held_out_every: u32,
    scale: f64,
}

/// A table that is being read.
struct Builder<'a> {
    spec: &'a CsvSpec,
    normalisation: Normalisation,
    /// Columns of a line and where the label is; known after the first line.
    layout: Option<(usize, usize)>,
    values: Vec<f32>,
    labels: Vec<u16>,
    /// Line of each sample that is held out and whose label is the largest of those so far, for the error.
    largest_held_out: Option<(u16, u64)>,
}

impl CsvTable {
    pub(super) fn load(spec: &CsvSpec) -> Result<Self, DataError> {
        let mut lines = CsvLines::new(Contents::open(&spec.path)?);
        let mut builder = Builder::new(spec);
        if spec.header
            && let Some(header) = lines.next()?
        {
            builder.read_header(&header)?;
        }
        while let Some(line) = lines.next()? {
            builder.push(&line)?;
        }
        builder.finish()
    }

    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    pub(super) fn normalisation(&self) -> Normalisation {
        Normalisation::division(self.scale)
    }

    pub(super) fn samples(&self) -> u32 {
        u32::try_from(self.labels.len()).expect("contents are shorter than 2^32 bytes")
    }

    pub(super) fn is_held_out(&self, sample: u32) -> bool {
        is_held_out(u64::from(sample), self.held_out_every)
    }

    pub(super) fn label(&self, sample: u32) -> u32 {
        u32::from(self.labels[sample as usize])
    }

    pub(super) fn append_image(&self, sample: u32, out: &mut Vec<f32>) {
        let values: usize = self.shape.iter().product();
        let start = sample as usize * values;
        out.extend_from_slice(&self.values[start..start + values]);
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.values.capacity() * size_of::<f32>() + self.labels.capacity() * size_of::<u16>()) as u64
    }

    pub(super) fn describe(&self, fingerprint: &mut Fingerprint) {
        fingerprint.number(u64::from(self.held_out_every));
        fingerprint.values(&self.values);
        for label in &self.labels {
            fingerprint.number(u64::from(*label));
        }
    }
}

impl<'a> Builder<'a> {
    fn new(spec: &'a CsvSpec) -> Self {
        Self {
            spec,
            normalisation: Normalisation::division(spec.scale),
            layout: None,
            values: Vec::new(),
            labels: Vec::new(),
            largest_held_out: None,
        }
    }

    fn path(&self) -> PathBuf {
        self.spec.path.clone()
    }

    fn read_header(&mut self, header: &CsvLine<'_>) -> Result<(), DataError> {
        let label = match &self.spec.label {
            LabelColumn::First => 0,
            LabelColumn::Last => header.columns() - 1,
            LabelColumn::Named(name) => {
                let mut places = (0..).zip(header.fields()).filter(|(_, column)| *column == name.as_bytes());
                match (places.next(), places.count()) {
                    (Some((place, _)), 0) => place,
                    (first, more) => {
                        let times = usize::from(first.is_some()) + more;
                        let columns = header.fields().take(SHOWN_COLUMNS_MAX).map(shown).collect();
                        let (path, name) = (self.path(), name.clone());
                        return Err(DataError::NoSuchColumn { path, name, times, columns });
                    }
                }
            }
        };
        self.set_layout(header.columns(), label)
    }

    fn set_layout(&mut self, columns: usize, label: usize) -> Result<(), DataError> {
        let values = columns - 1;
        if values == 0 {
            let what = "columns beside the label (columns are separated by commas)".to_owned();
            return Err(DataError::Empty { path: self.path(), what });
        }
        if let Some(shape) = self.spec.shape {
            // Sides are at most 2^16, so their product fits 64 bits.
            if shape.iter().map(|side| u64::from(*side)).product::<u64>() != values as u64 {
                return Err(DataError::ShapeOfTable { path: self.path(), columns: values, shape });
            }
        }
        self.layout = Some((columns, label));
        Ok(())
    }

    fn push(&mut self, record: &CsvLine<'_>) -> Result<(), DataError> {
        let (line, found) = (record.number, record.columns());
        if self.layout.is_none() {
            let label = if self.spec.label == LabelColumn::First { 0 } else { found - 1 };
            self.set_layout(found, label)?;
        }
        let (columns, label_column) = self.layout.expect("set by the first line");
        if found != columns {
            return Err(DataError::Ragged { path: self.path(), line, found, expected: columns });
        }
        let sample = self.labels.len() as u64;
        for (column, text) in record.fields().enumerate() {
            if column == label_column {
                let label = parse_label(text);
                let label = label.ok_or_else(|| self.label_error(line, column, text))?;
                self.labels.push(label);
                let is_largest = self.largest_held_out.is_none_or(|(largest, _)| label > largest);
                if is_held_out(sample, self.spec.held_out_every) && is_largest {
                    self.largest_held_out = Some((label, line));
                }
            } else {
                let value = parse_number(text).map(|value| self.normalisation.apply(value));
                let value = value.filter(|value| value.is_finite());
                self.values.push(value.ok_or_else(|| self.not_a_number(line, column, text))?);
            }
        }
        Ok(())
    }

    fn not_a_number(&self, line: u64, column: usize, text: &[u8]) -> DataError {
        DataError::NotANumber { path: self.path(), line, column: column + 1, found: shown(text) }
    }

    /// Text instead of a label is more likely a header or another column than a label out of range.
    fn label_error(&self, line: u64, column: usize, text: &[u8]) -> DataError {
        if parse_number(text).is_none() {
            return self.not_a_number(line, column, text);
        }
        DataError::Label { path: self.path(), line, found: shown(text), largest: LABEL_MAX }
    }

    fn finish(mut self) -> Result<CsvTable, DataError> {
        let (path, held_out_every) = (self.path(), self.spec.held_out_every);
        let Some((columns, _)) = self.layout.filter(|_| !self.labels.is_empty()) else {
            return Err(DataError::Empty { path, what: "samples".to_owned() });
        };
        let Some((held_out_label, line)) = self.largest_held_out else {
            let samples = self.labels.len() as u64;
            return Err(DataError::NoneHeldOut { path, samples, held_out_every });
        };
        let training = (0u64..).zip(&self.labels).filter(|(sample, _)| !is_held_out(*sample, held_out_every));
        let largest = training.map(|(_, label)| *label).max().unwrap_or(0);
        if largest == 0 {
            return Err(DataError::OneClass { path });
        }
        if held_out_label > largest {
            let (place, label) = (format!("line {line}"), u32::from(held_out_label));
            return Err(DataError::UnknownClass { path, place, label, largest: u32::from(largest) });
        }
        self.values.shrink_to_fit();
        self.labels.shrink_to_fit();
        Ok(CsvTable {
            values: self.values,
            labels: self.labels,
            shape: self.spec.shape.map_or([1, 1, columns - 1], |shape| shape.map(|side| side as usize)),
            classes: usize::from(largest) + 1,
            held_out_every,
            scale: self.spec.scale,
        })
    }
}

/// The last of every so many samples is held out, as of the embedded digits.
fn is_held_out(sample: u64, held_out_every: u32) -> bool {
    sample % u64::from(held_out_every) == u64::from(held_out_every) - 1
}

fn parse_number(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// A whole number, also where it is written as tools that know only floats write it, `3.0`.
fn parse_label(text: &[u8]) -> Option<u16> {
    let value = parse_number(text)?;
    let is_label = value.fract() == 0.0 && (0.0..=f64::from(LABEL_MAX)).contains(&value);
    is_label.then_some(value as u16)
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(SHOWN_CHARACTERS_MAX).collect()
}
