//! What is wrong with the files of a data set.

use std::{
    error::Error as StdError,
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{digits::DigitsError, text::TextError};

/// Where Debian's package puts Fashion-MNIST.
const FASHION_MNIST: &str = "/usr/share/datasets/fashion-mnist";

/// Why a data set cannot be used. Each names the file, what was found there and what was expected.
#[derive(Debug, Error)]
pub enum DataError {
    /// Text, tokens or a tokenizer.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The embedded digits are damaged: the program itself is.
    #[error("the embedded digits are damaged: install the program again")]
    Embedded(#[source] Box<dyn StdError + Send + Sync>),
    /// No file has any of the names that were looked for.
    #[error("{} holds none of {}{}", .directory.display(), .names.join(", "), advice_of(.directory))]
    Missing {
        /// Where they were looked for.
        directory: PathBuf,
        /// The names.
        names: Vec<String>,
        /// What the last look gave.
        #[source]
        source: io::Error,
    },
    /// The operating system refused to read it.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory, pipe or device where a file should be.
    #[error("{} is no regular file", .path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// It ends in `.gz` and is no gzip file, or a damaged one.
    #[error("{} is damaged or no gzip file: fetch it again", .path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// More contents than any data set may have.
    #[error("{} holds more than {bytes_max} bytes, the most this program reads", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit on its decompressed contents.
        bytes_max: u64,
    },
    /// Its first bytes are not those of the kind of IDX file that its name promises.
    #[error(
        "{} begins with the bytes {found:02x?}: not an IDX file of unsigned bytes with {expected}",
        .path.display()
    )]
    NotIdx {
        /// The file.
        path: PathBuf,
        /// Its first four bytes at most.
        found: Vec<u8>,
        /// The dimensions that were expected, for people.
        expected: &'static str,
    },
    /// It holds less or more than its header declares.
    #[error(
        "{} declares {declared} values ({dimensions:?}) and holds {}: fetch it again",
        .path.display(),
        held_of(*.found, *.declared)
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The header's dimensions.
        dimensions: Vec<u32>,
        /// Their product.
        declared: u64,
        /// Values that are there; reading stopped at one more than were declared.
        found: u64,
    },
    /// Images and labels that do not belong together.
    #[error(
        "{} holds {images} images and {} {labels} labels: they are not of one set",
        .images_path.display(),
        .labels_path.display()
    )]
    Counts {
        /// The file of images.
        images_path: PathBuf,
        /// How many it holds.
        images: u64,
        /// The file of labels.
        labels_path: PathBuf,
        /// How many it holds.
        labels: u64,
    },
    /// Images to train on and to test on that differ in shape.
    #[error(
        "{} holds images of {held_out:?} and the training set of {training:?} (channels, height, width)",
        .path.display()
    )]
    Shapes {
        /// The file of test images.
        path: PathBuf,
        /// The training images' shape.
        training: [usize; 3],
        /// The test images'.
        held_out: [usize; 3],
    },
    /// No samples, or samples without a value.
    #[error("{} holds no {what}", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is not there.
        what: String,
    },
    /// All training pixels are equal.
    #[error("every pixel of {} is {value}: there is nothing to learn from", .path.display())]
    Constant {
        /// The file.
        path: PathBuf,
        /// The value of all of them.
        value: u8,
    },
    /// All training samples are of one class.
    #[error("every training label in {} is 0: there is nothing to tell apart", .path.display())]
    OneClass {
        /// The file.
        path: PathBuf,
    },
    /// A label that is no class of the training samples.
    #[error(
        "{}, {place}: label {label}, but the training samples' labels are 0 to {largest}",
        .path.display()
    )]
    UnknownClass {
        /// The file.
        path: PathBuf,
        /// The sample or line.
        place: String,
        /// The label there.
        label: u32,
        /// The largest label in training.
        largest: u32,
    },
    /// A label that is no whole number from 0 to 65,535.
    #[error("{}, line {line}: label {found:?} (allowed: a whole number from 0 to {largest})", .path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What stands there.
        found: String,
        /// The largest label that is allowed.
        largest: u32,
    },
    /// A line with more or fewer columns than the first.
    #[error("{}, line {line}: {found} columns, but the lines above have {expected}", .path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// Columns of this line.
        found: usize,
        /// Columns of the first.
        expected: usize,
    },
    /// A value that is no finite number within the range of 32-bit floats.
    #[error("{}, line {line}, column {column}: {found:?} is no number{}", .path.display(), header_advice(*.line))]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// Its column, from 1.
        column: usize,
        /// What stands there, its first characters if it is long.
        found: String,
    },
    /// A line that is longer than any sample.
    #[error("{}, line {line}: longer than {bytes_max} bytes, the most a line may have", .path.display())]
    LongLine {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The header does not have the column once.
    #[error("the header of {} names {times} columns {name:?}, its columns are {}", .path.display(), .columns.join(", "))]
    NoSuchColumn {
        /// The file.
        path: PathBuf,
        /// The name that was looked for.
        name: String,
        /// How often it is there.
        times: usize,
        /// The header's first names.
        columns: Vec<String>,
    },
    /// The job's `data.shape` does not have as many values as a line.
    #[error(
        "{} has {columns} columns beside the label, but data.shape = {shape:?} needs {}",
        .path.display(),
        .shape.iter().map(|side| u128::from(*side)).product::<u128>()
    )]
    ShapeOfTable {
        /// The file.
        path: PathBuf,
        /// Values of a line.
        columns: usize,
        /// The job's shape.
        shape: [u32; 3],
    },
    /// Too few samples to hold one out.
    #[error("{} holds {samples} samples: with held_out_every = {held_out_every} none is held out", .path.display())]
    NoneHeldOut {
        /// The file.
        path: PathBuf,
        /// How many samples it has.
        samples: u64,
        /// The job's split.
        held_out_every: u32,
    },
}

impl From<DigitsError> for DataError {
    fn from(error: DigitsError) -> Self {
        Self::Embedded(Box::new(error))
    }
}

fn advice_of(directory: &Path) -> &'static str {
    if directory.starts_with(FASHION_MNIST) {
        "; on Debian and Ubuntu `apt-get install dataset-fashion-mnist` puts them there"
    } else {
        ""
    }
}

fn header_advice(line: u64) -> &'static str {
    if line == 1 { "; if the first line names the columns, the job needs data.header = true" } else { "" }
}

fn held_of(found: u64, declared: u64) -> String {
    if found > declared { "more".to_owned() } else { found.to_string() }
}
