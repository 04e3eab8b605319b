//! Small data sets on disk.

use std::{
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;
use traind_training::{DataError, DataSet, DataSpec, JobSpec};

/// The contents of an IDX file of unsigned bytes.
pub(crate) fn idx(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend_from_slice(values);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A temporary directory with these files.
pub(crate) fn directory(files: &[(&str, Vec<u8>)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        fs::write(directory.path().join(name), contents).unwrap();
    }
    directory
}

pub(crate) const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
pub(crate) const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
pub(crate) const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
pub(crate) const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// The files of a set of 1×2×3 images: four to train on with the classes 2, 0, 1, 0, two to test on.
pub(crate) fn tiny() -> Vec<(&'static str, Vec<u8>)> {
    let pixels: Vec<u8> = (0..24).map(|index| index * 10).collect();
    vec![
        (TRAIN_IMAGES, idx(&[4, 2, 3], &pixels)),
        (TRAIN_LABELS, idx(&[4], &[2, 0, 1, 0])),
        (TEST_IMAGES, idx(&[2, 2, 3], &[5; 12])),
        (TEST_LABELS, idx(&[2], &[2, 1])),
    ]
}

/// [`tiny`] with other contents of one file; its name ends as `name` does.
pub(crate) fn tiny_with(name: &'static str, contents: Vec<u8>) -> TempDir {
    let mut files = tiny();
    let stem = name.trim_end_matches(".gz");
    let file = files.iter_mut().find(|(other, _)| *other == stem).unwrap();
    *file = (name, contents);
    directory(&files)
}

/// Images of this side in 10 classes that differ enough to be learnt: 40 to train on, 20 to test on.
pub(crate) fn squares(side: u32) -> TempDir {
    let half = |count: u32| {
        let labels: Vec<u8> = (0..count).map(|index| (index % 10) as u8).collect();
        let pixel = |index: u32, place: u32| ((place * (index % 10 + 1) * 7 + index) % 256) as u8;
        let pixels = (0..count).flat_map(|index| (0..side * side).map(move |place| pixel(index, place)));
        (idx(&[count, side, side], &pixels.collect::<Vec<_>>()), idx(&[count], &labels))
    };
    let ((train_images, train_labels), (test_images, test_labels)) = (half(40), half(20));
    directory(&[
        (TRAIN_IMAGES, train_images),
        (TRAIN_LABELS, train_labels),
        (TEST_IMAGES, test_images),
        (TEST_LABELS, test_labels),
    ])
}

pub(crate) fn idx_spec(path: &Path) -> DataSpec {
    DataSpec::Idx { path: path.to_owned() }
}

/// The error of a data set that must be refused.
pub(crate) fn refused(spec: &DataSpec) -> DataError {
    match DataSet::open(spec) {
        Err(error) => error,
        Ok(data) => panic!("{spec:?} was accepted: {:?}", data.summary()),
    }
}

/// A CSV file of this name and text, and its section of a job file with more keys.
pub(crate) fn csv(name: &str, text: &[u8], keys: &str) -> (TempDir, PathBuf, DataSpec) {
    let directory = directory(&[(name, text.to_vec())]);
    let path = directory.path().join(name);
    let spec = job("model = \"mlp\"", &format!("[data]\nkind = \"csv\"\npath = {path:?}\n{keys}\n")).data;
    (directory, path, spec)
}

/// A job of a model and data.
pub(crate) fn job(model: &str, more: &str) -> JobSpec {
    JobSpec::parse(&format!("name = \"fixture\"\nseed = 7\nsteps = 3\n{model}\n{more}\n")).unwrap()
}

/// A job on the IDX files of a directory.
pub(crate) fn idx_job(model: &str, path: &Path) -> JobSpec {
    job(model, &format!("[data]\nkind = \"idx\"\npath = {path:?}"))
}

/// An error and its causes, as a user sees them.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Every sample of a data set, as the model sees it, with its class.
pub(crate) fn samples(data: &DataSet) -> Vec<(Vec<f32>, u32)> {
    let ids = [data.training(), data.held_out()].concat();
    let sample = |id: &u32| {
        let mut image = Vec::new();
        data.append_image(*id, &mut image);
        (image, data.label(*id))
    };
    ids.iter().map(sample).collect()
}
