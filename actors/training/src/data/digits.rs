//! The handwritten digits that are embedded in the program; data/README.md tells where they come from.

use std::io::Read;

use flate2::read::GzDecoder;
use thiserror::Error;

use super::{fingerprint::Fingerprint, normalisation::Normalisation};

const EMBEDDED: &[u8] = include_bytes!("../../data/digits.csv.gz");
/// Lines of the file.
const SAMPLES: usize = 1_797;
/// Rows and columns of an image in the file.
const SIDE: usize = 8;
/// Every pixel becomes a square of this side, which gives LeNet the 32×32 it was made for.
const SCALE: usize = 4;
/// Rows and columns of an image as the model sees it.
const SIDE_SCALED: usize = SIDE * SCALE;
const GREY_MAX: u8 = 16;
const DIGITS: u8 = 10;
/// Longest text that decompression may give, in bytes; the file holds 264 KB.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Every fifth sample is held out for the test.
const HELD_OUT_EVERY: usize = 5;
/// Mean and standard deviation of pixel / 16 over the training samples (population formula, over 1,438 × 64 pixels).
const MEAN: f32 = 0.305_806_68;
const DEVIATION: f32 = 0.376_442_3;

/// 1,797 images of handwritten digits, in memory as they are in the file: one byte a pixel.
pub(crate) struct Digits {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

/// What is wrong with the embedded file.
#[derive(Debug, Error)]
pub(crate) enum DigitsError {
    #[error("cannot decompress the digits")]
    Decompress(#[source] std::io::Error),
    #[error("line {line} of the digits does not hold 64 values up to 16 and a digit")]
    Line { line: usize },
    #[error("the digits have {found} lines instead of 1797")]
    Lines { found: usize },
}

impl Digits {
    /// The digits 0 to 9.
    pub(crate) const CLASSES: usize = DIGITS as usize;

    /// Decompresses and checks the embedded file.
    pub(crate) fn load() -> Result<Self, DigitsError> {
        Self::parse(EMBEDDED)
    }

    fn parse(compressed: &[u8]) -> Result<Self, DigitsError> {
        let mut text = String::new();
        GzDecoder::new(compressed)
            .take(TEXT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(DigitsError::Decompress)?;
        let mut digits = Self { pixels: Vec::new(), labels: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            digits.push(line).ok_or(DigitsError::Line { line: index + 1 })?;
        }
        match digits.labels.len() {
            SAMPLES => Ok(digits),
            found => Err(DigitsError::Lines { found }),
        }
    }

    fn push(&mut self, line: &str) -> Option<()> {
        let values: Vec<u8> = line.split(',').map(|value| value.parse().ok()).collect::<Option<_>>()?;
        let (label, pixels) = values.split_last()?;
        if pixels.len() != SIDE * SIDE || *label >= DIGITS || pixels.iter().any(|pixel| *pixel > GREY_MAX) {
            return None;
        }
        self.pixels.extend_from_slice(pixels);
        self.labels.push(*label);
        Some(())
    }

    /// Channels, height and width of an image as the model sees it.
    pub(crate) fn image_shape() -> [usize; 3] {
        [1, SIDE_SCALED, SIDE_SCALED]
    }

    /// Ids (lines, counted from zero) of the samples to train on, ascending.
    pub(crate) fn training(&self) -> Vec<u32> {
        self.ids(|index| index % HELD_OUT_EVERY != HELD_OUT_EVERY - 1)
    }

    /// Ids of the samples that are held out for the test, ascending.
    pub(crate) fn held_out(&self) -> Vec<u32> {
        self.ids(|index| index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1)
    }

    fn ids(&self, wanted: impl Fn(usize) -> bool) -> Vec<u32> {
        (0u32..).take(self.labels.len()).filter(|index| wanted(*index as usize)).collect()
    }

    /// What [`Self::append_image`] does to the values of the file.
    pub(crate) fn normalisation() -> Normalisation {
        Normalisation {
            divide_by: f64::from(GREY_MAX),
            mean: f64::from(MEAN),
            deviation: f64::from(DEVIATION),
            repeat: SCALE as u32,
        }
    }

    /// Memory that the images and labels take.
    pub(crate) fn bytes(&self) -> u64 {
        (self.pixels.capacity() + self.labels.capacity()) as u64
    }

    /// Adds all that decides the samples.
    pub(crate) fn describe(&self, fingerprint: &mut Fingerprint) {
        fingerprint.number(HELD_OUT_EVERY as u64);
        fingerprint.bytes(&self.pixels);
        fingerprint.bytes(&self.labels);
    }

    /// The digit of a sample.
    pub(crate) fn label(&self, sample: u32) -> u32 {
        u32::from(self.labels[sample as usize])
    }

    /// Appends a sample's image, normalised to mean 0 and deviation 1 over the training samples, row by row.
    pub(crate) fn append_image(&self, sample: u32, out: &mut Vec<f32>) {
        let start = sample as usize * SIDE * SIDE;
        for row in self.pixels[start..start + SIDE * SIDE].chunks_exact(SIDE) {
            for _ in 0..SCALE {
                for pixel in row {
                    let value = (f32::from(*pixel) / f32::from(GREY_MAX) - MEAN) / DEVIATION;
                    out.extend_from_slice(&[value; SCALE]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_embedded_digits_are_split_one_to_four() {
        let digits = Digits::load().unwrap();
        let (training, held_out) = (digits.training(), digits.held_out());
        assert_eq!((training.len(), held_out.len()), (1_438, 359));
        assert_eq!(held_out[..3], [4, 9, 14]);
        let mut all = [training, held_out].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1_797));
    }

    #[test]
    fn training_images_have_mean_zero_and_deviation_one() {
        let digits = Digits::load().unwrap();
        let mut values = Vec::new();
        for sample in digits.training() {
            digits.append_image(sample, &mut values);
        }
        let count = values.len() as f64;
        assert_eq!(values.len(), 1_438 * 1_024);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let square = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "{mean} {square}");
    }

    /// The first line of the file starts 0,0,5,13,… and is a zero.
    #[test]
    fn a_pixel_becomes_a_square() {
        let digits = Digits::load().unwrap();
        let mut image = Vec::new();
        digits.append_image(0, &mut image);
        assert_eq!(digits.label(0), 0);
        let grey = |value: f32| (value / 16.0 - MEAN) / DEVIATION;
        for row in 0..4 {
            assert_eq!(image[row * 32..row * 32 + 8], [grey(0.0); 8]);
            assert_eq!(image[row * 32 + 8..row * 32 + 12], [grey(5.0); 4]);
            assert_eq!(image[row * 32 + 12..row * 32 + 16], [grey(13.0); 4]);
        }
    }

    #[test]
    fn a_broken_file_is_refused_by_line() {
        let row = ["1"; 65].join(",");
        let wrong = |line: &str| Digits::parse(&compressed(&format!("{row}\n{line}\n"))).err().unwrap();
        for line in ["1,2,3", &row.replace('1', "17"), &row.replace('1', "x"), &format!("{row},1")] {
            assert!(matches!(wrong(line), DigitsError::Line { line: 2 }), "{line}");
        }
        assert!(matches!(wrong(&row), DigitsError::Lines { found: 2 }));
        assert!(matches!(Digits::parse(b"not gzip"), Err(DigitsError::Decompress(_))));
    }
}
