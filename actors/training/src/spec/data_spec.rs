//! What a job is trained on: the `data` key of a job file.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer};

use super::{
    SpecError,
    table_reader::{Kind, TableReader},
    text_spec::{TEXT_KINDS, TextSpec},
};

pub(super) const ABSOLUTE: &str =
    "an absolute path: every node reads its own file, at the same absolute path on each";
const CSV_KEYS: &[&str] = &["path", "label", "header", "held_out_every", "scale", "shape"];
const KINDS: [Kind; 7] = [
    Kind { name: "digits", keys: &[] },
    Kind { name: "idx", keys: &["path"] },
    Kind { name: "csv", keys: CSV_KEYS },
    TEXT_KINDS[0],
    TEXT_KINDS[1],
    TEXT_KINDS[2],
    TEXT_KINDS[3],
];
/// One sample in so many is held out: every second at most, and from a table of a few thousand lines still some.
const HELD_OUT_EVERY: Range<u32> = 2..1001;
const HELD_OUT_EVERY_DEFAULT: u32 = 5;
/// Channels, rows or columns of an image: 2^16 of them in one line would be longer than any line that is read.
const SIDES: Range<u64> = 1..65_537;
/// Channels, height, width.
const DIMENSIONS: usize = 3;

/// The data set of a job. Files are named, not carried: every node reads its own copy, at the same absolute path, and
/// all copies must have the same contents.
#[derive(Clone, Debug, PartialEq)]
pub enum DataSpec {
    /// 1,797 handwritten digits, embedded, scaled to 1×32×32.
    Digits,
    /// A directory with the four IDX files of MNIST and its relatives, each plain or compressed by gzip.
    Idx {
        /// The directory, absolute.
        path: PathBuf,
    },
    /// A table of numbers with a label in each line.
    Csv(CsvSpec),
    /// Text or tokens for a language model.
    Text(TextSpec),
}

/// A table of numbers in a text file: one sample a line, values separated by commas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CsvSpec {
    /// The file, absolute; compressed by gzip if its name ends in `.gz`.
    pub path: PathBuf,
    /// Which column is the class. Default: the last.
    pub label: LabelColumn,
    /// Whether the first line names the columns. Default false.
    pub header: bool,
    /// One sample in so many is held out for the test, 2 to 1000: the last of every so many lines. Default 5.
    pub held_out_every: u32,
    /// Every value but the label is divided by it; finite and above 0. Default 1.
    pub scale: f64,
    /// Channels, height and width of a sample. Default: one row, `[1, 1, columns]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<[u32; 3]>,
}

/// The column of a table that holds the class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelColumn {
    /// The leftmost.
    First,
    /// The rightmost.
    Last,
    /// The one that the header calls so.
    Named(String),
}

impl DataSpec {
    /// Its kind, as job files name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Idx { .. } => "idx",
            Self::Csv(_) => "csv",
            Self::Text(text) => text.kind.name(),
        }
    }

    /// Whether samples are sequences of tokens.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Tokens of a sample; `None` for data that are no text.
    pub(crate) fn context(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(u64::from(text.sequence_tokens)),
            _ => None,
        }
    }

    /// Where each node finds it; `None` for data that is part of the program.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Digits => None,
            Self::Idx { path } => Some(path),
            Self::Csv(csv) => Some(&csv.path),
            Self::Text(text) => text.path.as_deref(),
        }
    }

    pub(super) fn read(root: &TableReader<'_>) -> Result<Self, SpecError> {
        let (table, kind) = root.section_of_kind("data", &[], &KINDS, None)?;
        match kind {
            "digits" => Ok(Self::Digits),
            "idx" => Ok(Self::Idx { path: table.string("path", parse_path, ABSOLUTE, None)? }),
            kind => match TextSpec::read(&table, kind) {
                Some(text) => text.map(Self::Text),
                None => CsvSpec::read(&table).map(Self::Csv),
            },
        }
    }
}

impl CsvSpec {
    fn read(table: &TableReader<'_>) -> Result<Self, SpecError> {
        const LABELS: &str = "\"first\", \"last\" or the name of a column";
        let header = table.boolean("header", false)?;
        let label = table.string("label", LabelColumn::parse, LABELS, Some(LabelColumn::Last))?;
        if let LabelColumn::Named(name) = &label
            && !header
        {
            let allowed = "\"first\" or \"last\", or a name with header = true";
            return Err(table.conflict("label", format!("{name:?}"), allowed));
        }
        // Values become f32: the divisor must be a normal number there too.
        let is_scale = |scale: f64| (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&scale);
        let shape = table.integers("shape", SIDES, DIMENSIONS..DIMENSIONS + 1)?;
        Ok(Self {
            path: table.string("path", parse_path, ABSOLUTE, None)?,
            label,
            header,
            held_out_every: table.integer_u32("held_out_every", HELD_OUT_EVERY, HELD_OUT_EVERY_DEFAULT)?,
            scale: table.number("scale", is_scale, "a finite number above 0", 1.0)?,
            shape: shape.map(|sides| std::array::from_fn(|place| sides[place] as u32)),
        })
    }
}

impl LabelColumn {
    /// Its form in job files.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Named(name) => name,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "" => None,
            "first" => Some(Self::First),
            "last" => Some(Self::Last),
            name => Some(Self::Named(name.to_owned())),
        }
    }
}

pub(super) fn parse_path(path: &str) -> Option<PathBuf> {
    (Path::new(path).is_absolute() && !path.contains('\0')).then(|| PathBuf::from(path))
}

impl Serialize for LabelColumn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// As a job file writes it: the embedded digits by their name, the others as tables.
impl Serialize for DataSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        enum Table<'a> {
            Idx { path: &'a Path },
            Csv(&'a CsvSpec),
        }
        match self {
            Self::Digits => serializer.serialize_str("digits"),
            Self::Idx { path } => Table::Idx { path }.serialize(serializer),
            Self::Csv(csv) => Table::Csv(csv).serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{JobSpec, Problem};

    const KEYS: &str = "name = \"a\"\nsteps = 1\nmodel = \"lenet\"\n";

    fn parse(data: &str) -> Result<DataSpec, SpecError> {
        JobSpec::parse(&format!("{KEYS}{data}\n")).map(|spec| spec.data)
    }

    fn csv(path: &str) -> CsvSpec {
        let path = PathBuf::from(path);
        CsvSpec { path, label: LabelColumn::Last, header: false, held_out_every: 5, scale: 1.0, shape: None }
    }

    #[test]
    fn every_form_is_read_and_reads_back() {
        let whole = CsvSpec {
            label: LabelColumn::Named("class".to_owned()),
            header: true,
            held_out_every: 1000,
            scale: 255.0,
            shape: Some([3, 8, 4]),
            ..csv("/d/x.csv.gz")
        };
        let text = "[data]\nkind = \"csv\"\npath = \"/d/x.csv.gz\"\nlabel = \"class\"\nheader = true\n\
                    held_out_every = 1000\nscale = 255\nshape = [3, 8, 4]";
        for (text, expected) in [
            ("data = \"digits\"", DataSpec::Digits),
            ("[data]\nkind = \"digits\"", DataSpec::Digits),
            ("data = { kind = \"digits\" }", DataSpec::Digits),
            ("[data]\nkind = \"idx\"\npath = \"/d\"", DataSpec::Idx { path: PathBuf::from("/d") }),
            ("[data]\nkind = \"csv\"\npath = \"/d/x.csv\"", DataSpec::Csv(csv("/d/x.csv"))),
            (
                "[data]\nkind = \"csv\"\npath = \"/x\"\nlabel = \"first\"",
                DataSpec::Csv(CsvSpec { label: LabelColumn::First, ..csv("/x") }),
            ),
            (text, DataSpec::Csv(whole)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
            let spec = JobSpec::parse(&format!("{KEYS}{text}\n")).unwrap();
            assert_eq!(JobSpec::parse(&toml::to_string(&spec).unwrap()), Ok(spec), "{text}");
        }
    }

    /// The table's errors: line, key and what is allowed, as for every other key.
    #[test]
    fn what_is_not_allowed_is_refused_with_line_and_key() {
        const NAMES: &str = "\"digits\", \"idx\", \"csv\", \"novel\", \"text\", \"jsonl\", \"tokens\"";
        let path = "path = \"/d\"";
        let mut all = vec!["kind"];
        for key in KINDS.iter().flat_map(|kind| kind.keys) {
            if !all.contains(key) {
                all.push(key);
            }
        }
        for (text, expected) in [
            ("data = \"mnist\"", format!("line 4: `data` is \"mnist\" (allowed: {NAMES})")),
            ("data = 3", format!("line 4: `data` is of type integer (allowed: {NAMES}, or a table)")),
            ("data = \"idx\"", format!("line 4: `data.path` is missing (allowed: {ABSOLUTE})")),
            ("[data]\npath = \"/d\"", format!("line 4: `data.kind` is missing (allowed: {NAMES})")),
            ("[data]\nkind = \"jpeg\"", format!("line 5: `data.kind` is \"jpeg\" (allowed: {NAMES})")),
            (
                "[data]\nkind = \"idx\"\npath = \"mnist\"",
                format!("line 6: `data.path` is \"mnist\" (allowed: {ABSOLUTE})"),
            ),
            ("[data]\nkind = \"csv\"", format!("line 4: `data.path` is missing (allowed: {ABSOLUTE})")),
            (
                "[data]\nkind = \"idx\"\npath = \"/d\"\nscale = 2",
                "line 7: `data.scale` belongs to kind \"csv\", not to \"idx\" (allowed: kind, path)".to_owned(),
            ),
            (
                "[data]\nkind = \"digits\"\npath = \"/d\"",
                "line 6: `data.path` belongs to kind \"idx\", \"csv\", \"text\", \"jsonl\" and \"tokens\", not to \"digits\" (allowed: kind)".to_owned(),
            ),
            (
                "[data]\nkind = \"csv\"\nlable = \"last\"",
                format!("line 6: unknown key `data.lable`, did you mean `data.label`? (allowed: {})", all.join(", ")),
            ),
            (
                "[data]\nkind = \"csv\"\npath = \"/d\"\nlabel = \"class\"",
                "line 7: `data.label` is \"class\" (allowed: \"first\" or \"last\", or a name with header = true)"
                    .to_owned(),
            ),
            (
                "[data]\nkind = \"csv\"\npath = \"/d\"\nshape = [28, 28]",
                "line 7: `data.shape` is a list of 2 (allowed: a list of 3 whole numbers from 1 to 65536)".to_owned(),
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
        for (line, key) in [
            ("held_out_every = 1", "data.held_out_every"),
            ("held_out_every = 1001", "data.held_out_every"),
            ("scale = 0", "data.scale"),
            ("scale = inf", "data.scale"),
            ("label = \"\"", "data.label"),
            ("shape = [1, 2]", "data.shape"),
            ("shape = [1, 2, 3, 4]", "data.shape"),
            ("shape = [1, 0, 3]", "data.shape"),
            ("shape = [1, 2, 65537]", "data.shape"),
            ("path = \"/a\\u0000b\"", "data.path"),
        ] {
            let path = if line.starts_with("path") { "" } else { path };
            let error = parse(&format!("[data]\nkind = \"csv\"\n{line}\n{path}")).unwrap_err();
            assert!(matches!(error.problem, Problem::NotAllowed(_)), "{line}: {error}");
            assert_eq!((error.line, error.key.as_str()), (6, key), "{line}");
        }
        for line in ["header = 1", "shape = 3", "shape = [1, 2.5, 3]", "label = 3"] {
            let error = parse(&format!("[data]\nkind = \"csv\"\n{line}\n{path}")).unwrap_err();
            assert!(matches!(error.problem, Problem::WrongType(_)), "{line}: {error}");
        }
    }
}
