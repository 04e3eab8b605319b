//! A tiny image data set in IDX files, made here: stripes whose direction is the class.

use std::path::Path;

use anyhow::Context as _;

/// Classes: the direction of the stripes.
const CLASSES: usize = 4;

/// Images of the four files.
#[derive(Clone, Copy, Debug)]
pub struct IdxFiles {
    /// Images to train on.
    pub training: usize,
    /// Images to test on.
    pub held_out: usize,
    /// Side of an image, pixels.
    pub side: usize,
    /// Changes the noise: other contents of the same shape.
    pub seed: u64,
}

impl Default for IdxFiles {
    fn default() -> Self {
        Self { training: 400, held_out: 101, side: 8, seed: 1 }
    }
}

impl IdxFiles {
    /// Writes the four files into `directory`, which is made.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(directory).context("making a directory for images")?;
        let (side, mut seed) = (self.side, self.seed);
        for (name, count) in [("train", self.training), ("t10k", self.held_out)] {
            let mut images = head(3, &[count, side, side]);
            let mut labels = head(1, &[count]);
            for index in 0..count {
                let class = index % CLASSES;
                labels.push(u8::try_from(class)?);
                images.extend((0..side * side).map(|place| pixel(class, place, side, &mut seed)));
            }
            std::fs::write(directory.join(format!("{name}-images-idx3-ubyte")), images)?;
            std::fs::write(directory.join(format!("{name}-labels-idx1-ubyte")), labels)?;
        }
        Ok(())
    }
}

/// Unsigned bytes in `lengths.len()` dimensions, each length as four bytes, big endian.
fn head(dimensions: u8, lengths: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions];
    for &length in lengths {
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    bytes
}

/// Bright or dark by stripe, with noise of SplitMix64 (Steele, Lea, Flood 2014).
fn pixel(class: usize, place: usize, side: usize, seed: &mut u64) -> u8 {
    let (row, column) = (place / side, place % side);
    let along = [row, column, row + column, side + row - column][class];
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let noise = u8::try_from(mixed >> 58).unwrap_or(0);
    if along % 4 < 2 { 160 + noise } else { 20 + noise }
}
