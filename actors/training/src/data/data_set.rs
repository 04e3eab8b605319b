//! A data set in memory, whatever its files look like.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::SystemTime,
};

use super::{
    csv_table::CsvTable,
    data_error::DataError,
    data_summary::DataSummary,
    digits::Digits,
    fingerprint::Fingerprint,
    idx_images::IdxImages,
    normalisation::Normalisation,
    text::{Text, Tokenizer},
};
use crate::{data_facts::DataFacts, spec::DataSpec};

/// A data set. Copies share one memory, and so do data sets of this process that were opened from the same unchanged
/// files.
#[derive(Clone)]
pub struct DataSet {
    loaded: Arc<Loaded>,
}

struct Loaded {
    samples: Samples,
    digest: [u8; 32],
}

enum Samples {
    Digits(Digits),
    Idx(Box<IdxImages>),
    Csv(CsvTable),
    Text(Box<Text>),
}

/// A file and what would change if it were written: length and time of modification.
type Stamp = (PathBuf, u64, Option<SystemTime>);

/// A data set that was opened.
struct Open {
    spec: DataSpec,
    stamps: Vec<Stamp>,
    loaded: Weak<Loaded>,
}

/// What was opened and is still in use somewhere in this process.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

impl DataSet {
    /// Reads and checks the files that a job names, unless this process still has them.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn open(spec: &DataSpec) -> Result<Self, DataError> {
        let files = match spec {
            DataSpec::Digits => Vec::new(),
            DataSpec::Idx { path } => IdxImages::files(path)?,
            DataSpec::Csv(csv) => vec![csv.path.clone()],
            DataSpec::Text(text) => Text::files(text),
        };
        let stamps = files.iter().map(stamp).collect::<Result<Vec<_>, _>>()?;
        // Held while loading: two sessions that start together must not load the same files twice. A thread that
        // panicked meanwhile left the list as it was.
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| other.loaded.strong_count() > 0);
        let found = open.iter().find(|other| other.spec == *spec && other.stamps == stamps);
        if let Some(loaded) = found.and_then(|other| other.loaded.upgrade()) {
            return Ok(Self { loaded });
        }
        let samples = match spec {
            DataSpec::Digits => Samples::Digits(Digits::load()?),
            DataSpec::Idx { .. } => Samples::Idx(Box::new(IdxImages::load(&files)?)),
            DataSpec::Csv(csv) => Samples::Csv(CsvTable::load(csv)?),
            DataSpec::Text(text) => Samples::Text(Box::new(Text::load(text)?)),
        };
        let digest = samples.digest(spec.kind());
        let loaded = Arc::new(Loaded { samples, digest });
        open.push(Open { spec: spec.clone(), stamps, loaded: Arc::downgrade(&loaded) });
        Ok(Self { loaded })
    }

    /// Channels, height and width of a sample as the model sees it.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        self.loaded.samples.image_shape()
    }

    /// How many classes there are: the largest label and one. At most 65,536.
    #[must_use]
    pub fn classes(&self) -> usize {
        match &self.loaded.samples {
            Samples::Digits(_) => Digits::CLASSES,
            Samples::Idx(images) => images.classes(),
            Samples::Csv(table) => table.classes(),
            Samples::Text(text) => text.sequences.vocabulary() as usize,
        }
    }

    /// Ids of the samples to train on, ascending; at least one.
    #[must_use]
    pub fn training(&self) -> Vec<u32> {
        match &self.loaded.samples {
            Samples::Digits(digits) => digits.training(),
            Samples::Idx(images) => images.training().collect(),
            Samples::Csv(table) => {
                (0..table.samples()).filter(|sample| !table.is_held_out(*sample)).collect()
            }
            Samples::Text(text) => text.sequences.training().collect(),
        }
    }

    /// Ids of the samples that are held out for the test, ascending; at least one.
    #[must_use]
    pub fn held_out(&self) -> Vec<u32> {
        match &self.loaded.samples {
            Samples::Digits(digits) => digits.held_out(),
            Samples::Idx(images) => images.held_out().collect(),
            Samples::Csv(table) => (0..table.samples()).filter(|sample| table.is_held_out(*sample)).collect(),
            Samples::Text(text) => text.sequences.held_out().collect(),
        }
    }

    /// The class of a sample, which is one of [`Self::training`] or [`Self::held_out`].
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn label(&self, sample: u32) -> u32 {
        match &self.loaded.samples {
            Samples::Digits(digits) => digits.label(sample),
            Samples::Idx(images) => images.label(sample),
            Samples::Csv(table) => table.label(sample),
            Samples::Text(_) => panic!("a sequence of tokens has no class"),
        }
    }

    /// Appends a sequence of tokens, the token after each, and where each one's document begins; see the engine's batches.
    ///
    /// # Panics
    /// If the samples are no text, or there is no such sample.
    pub(crate) fn append_tokens(
        &self,
        sample: u32,
        ignored: u32,
        out: (&mut Vec<u32>, &mut Vec<u32>, &mut Vec<u32>),
    ) {
        match &self.loaded.samples {
            Samples::Text(text) => text.sequences.append(sample, ignored, out),
            _ => panic!("the samples are no text"),
        }
    }

    /// The tokenizer of text, where one is known.
    #[must_use]
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        match &self.loaded.samples {
            Samples::Text(text) => text.tokenizer.as_ref(),
            _ => None,
        }
    }

    /// The tokens to train on, and those held out, in the order of the text; `None` if the samples are no text.
    #[must_use]
    pub fn token_streams(&self) -> Option<(&[u32], &[u32])> {
        match &self.loaded.samples {
            Samples::Text(text) => Some(text.sequences.streams()),
            _ => None,
        }
    }

    /// Appends a sample's values as the model sees them, normalised: channel by channel, row by row.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn append_image(&self, sample: u32, out: &mut Vec<f32>) {
        match &self.loaded.samples {
            Samples::Digits(digits) => digits.append_image(sample, out),
            Samples::Idx(images) => images.append_image(sample, out),
            Samples::Csv(table) => table.append_image(sample, out),
            Samples::Text(_) => panic!("a sequence of tokens is no image"),
        }
    }

    /// What was done to the values of the files.
    #[must_use]
    pub fn normalisation(&self) -> Normalisation {
        match &self.loaded.samples {
            Samples::Digits(_) => Digits::normalisation(),
            Samples::Idx(images) => images.normalisation(),
            Samples::Csv(table) => table.normalisation(),
            Samples::Text(_) => Normalisation::division(1.0),
        }
    }

    /// Memory that the samples take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.loaded.samples {
            Samples::Digits(digits) => digits.bytes(),
            Samples::Idx(images) => images.bytes(),
            Samples::Csv(table) => table.bytes(),
            Samples::Text(text) => text.bytes(),
        }
    }

    /// BLAKE3 of what decides the samples: values, labels, shape, which are held out, how they are normalised. It does not
    /// depend on the files' names or compression. Nodes with equal digests train on the same data.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.loaded.digest
    }

    /// What a model has to know of it.
    #[must_use]
    pub fn facts(&self) -> DataFacts {
        DataFacts {
            image_shape: self.image_shape(),
            classes: self.classes(),
            tokens: self.token_streams().is_some(),
            black: self.normalisation().apply(0.0),
            bytes: self.bytes(),
        }
    }

    /// Whether both are one copy of the samples.
    #[must_use]
    pub fn shares_memory_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.loaded, &other.loaded)
    }

    /// The facts that nodes compare and people read.
    #[must_use]
    pub fn summary(&self) -> DataSummary {
        DataSummary {
            digest: self.digest(),
            training: self.training().len() as u64,
            held_out: self.held_out().len() as u64,
            shape: self.image_shape(),
            classes: self.classes(),
            bytes: self.bytes(),
        }
    }
}

impl Samples {
    fn image_shape(&self) -> [usize; 3] {
        match self {
            Self::Digits(_) => Digits::image_shape(),
            Self::Idx(images) => images.shape(),
            Self::Csv(table) => table.shape(),
            Self::Text(text) => [1, 1, text.sequences.length()],
        }
    }

    fn digest(&self, kind: &str) -> [u8; 32] {
        let mut fingerprint = Fingerprint::new(kind);
        for side in self.image_shape() {
            fingerprint.number(side as u64);
        }
        match self {
            Self::Digits(digits) => digits.describe(&mut fingerprint),
            Self::Idx(images) => images.describe(&mut fingerprint),
            Self::Csv(table) => table.describe(&mut fingerprint),
            Self::Text(text) => text.describe(&mut fingerprint),
        }
        fingerprint.finish()
    }
}

fn stamp(path: &PathBuf) -> Result<Stamp, DataError> {
    let metadata = fs::metadata(path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    Ok((path.clone(), metadata.len(), metadata.modified().ok()))
}
