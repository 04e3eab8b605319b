//! A directory in the layout of MNIST: training and test images and their labels, four IDX files.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    data_error::DataError, fingerprint::Fingerprint, idx_file::IdxFile, normalisation::Normalisation,
};

/// What the four files are called, less their endings: training images, training labels, test images, test labels.
const STEMS: [&str; 4] = ["train-images", "train-labels", "t10k-images", "t10k-labels"];
/// Endings in use, in the order of preference. `images` and `labels` differ in the number of dimensions.
const IMAGE_ENDINGS: [&str; 4] = ["-idx3-ubyte", ".idx3-ubyte", "-idx4-ubyte", ".idx4-ubyte"];
const LABEL_ENDINGS: [&str; 2] = ["-idx1-ubyte", ".idx1-ubyte"];
const IMAGE_DIMENSIONS: [u8; 2] = [3, 4];
const LABEL_DIMENSIONS: [u8; 1] = [1];

/// Images as they are in the files, one byte a value; those for training first.
pub(super) struct IdxImages {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    /// How many samples are for training.
    training: u32,
    shape: [usize; 3],
    classes: usize,
    normalisation: Normalisation,
    /// What each byte becomes.
    table: [f32; 256],
}

/// One half of the set.
struct Half {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    shape: [usize; 3],
    images_path: PathBuf,
    labels_path: PathBuf,
}

impl IdxImages {
    /// The files of a directory: training images, training labels, test images, test labels.
    pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
        STEMS.iter().map(|stem| find(directory, stem)).collect()
    }

    /// Reads what [`Self::files`] found.
    pub(super) fn load(files: &[PathBuf]) -> Result<Self, DataError> {
        let [training_images, training_labels, test_images, test_labels] = files else {
            unreachable!("a directory has one file for each stem");
        };
        let mut training = Half::read(training_images, training_labels)?;
        let held_out = Half::read(test_images, test_labels)?;
        if held_out.shape != training.shape {
            let (path, held_out) = (held_out.images_path, held_out.shape);
            return Err(DataError::Shapes { path, training: training.shape, held_out });
        }
        let largest = training.labels.iter().copied().max().unwrap_or(0);
        if largest == 0 {
            return Err(DataError::OneClass { path: training.labels_path });
        }
        if let Some(sample) = held_out.labels.iter().position(|label| *label > largest) {
            let label = u32::from(held_out.labels[sample]);
            let place = format!("label {sample} (from 0)");
            let path = held_out.labels_path;
            return Err(DataError::UnknownClass { path, place, label, largest: u32::from(largest) });
        }
        let Some(normalisation) = Normalisation::of_bytes(&training.pixels) else {
            return Err(DataError::Constant { path: training.images_path, value: training.pixels[0] });
        };
        let count = u32::try_from(training.labels.len()).expect("contents are shorter than 2^32 bytes");
        // Doubling, as vectors grow by themselves, would take twice the memory.
        training.pixels.reserve_exact(held_out.pixels.len());
        training.labels.reserve_exact(held_out.labels.len());
        training.pixels.extend_from_slice(&held_out.pixels);
        training.labels.extend_from_slice(&held_out.labels);
        Ok(Self {
            pixels: training.pixels,
            labels: training.labels,
            training: count,
            shape: training.shape,
            classes: usize::from(largest) + 1,
            normalisation,
            table: normalisation.table(),
        })
    }

    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    pub(super) fn normalisation(&self) -> Normalisation {
        self.normalisation
    }

    pub(super) fn training(&self) -> Range<u32> {
        0..self.training
    }

    pub(super) fn held_out(&self) -> Range<u32> {
        self.training..u32::try_from(self.labels.len()).expect("contents are shorter than 2^32 bytes")
    }

    pub(super) fn label(&self, sample: u32) -> u32 {
        u32::from(self.labels[sample as usize])
    }

    pub(super) fn append_image(&self, sample: u32, out: &mut Vec<f32>) {
        let values: usize = self.shape.iter().product();
        let start = sample as usize * values;
        out.extend(self.pixels[start..start + values].iter().map(|byte| self.table[usize::from(*byte)]));
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.pixels.capacity() + self.labels.capacity()) as u64
    }

    pub(super) fn describe(&self, fingerprint: &mut Fingerprint) {
        fingerprint.number(u64::from(self.training));
        fingerprint.bytes(&self.pixels);
        fingerprint.bytes(&self.labels);
    }
}

impl Half {
    fn read(images_path: &Path, labels_path: &Path) -> Result<Self, DataError> {
        let expected = "3 dimensions (images, height, width) or 4 (images, channels, height, width)";
        let images = IdxFile::read(images_path, &IMAGE_DIMENSIONS, expected)?;
        let labels = IdxFile::read(labels_path, &LABEL_DIMENSIONS, "1 dimension (labels)")?;
        let (images_path, labels_path) = (images_path.to_owned(), labels_path.to_owned());
        let side = |side: u32| side as usize;
        let (count, shape) = match *images.dimensions {
            [count, height, width] => (count, [1, side(height), side(width)]),
            [count, channels, height, width] => (count, [side(channels), side(height), side(width)]),
            _ => unreachable!("an IDX file has as many dimensions as were allowed"),
        };
        if u64::from(count) != labels.values.len() as u64 {
            let (images, labels) = (u64::from(count), labels.values.len() as u64);
            return Err(DataError::Counts { images_path, images, labels_path, labels });
        }
        Ok(Self { pixels: images.values, labels: labels.values, shape, images_path, labels_path })
    }
}

/// The first name of this stem that a file has.
fn find(directory: &Path, stem: &str) -> Result<PathBuf, DataError> {
    let endings: &[&str] = if stem.ends_with("images") { &IMAGE_ENDINGS } else { &LABEL_ENDINGS };
    let plain: Vec<String> = endings.iter().map(|ending| format!("{stem}{ending}")).collect();
    let names: Vec<String> = plain.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).collect();
    let mut source = io::Error::from(io::ErrorKind::NotFound);
    for name in &names {
        let path = directory.join(name);
        match fs::metadata(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => source = error,
            Err(error) => return Err(DataError::Read { path, source: error }),
        }
    }
    Err(DataError::Missing { directory: directory.to_owned(), names, source })
}
