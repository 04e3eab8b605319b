//! Samples as a model's input.

use super::Session;
use crate::{
    batch::{Batch, ImageBatch, TokenBatch},
    layers::IGNORED,
};

/// Pixels that are put around an image, as many on each side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Border {
    pub(super) width: usize,
    pub(super) value: f32,
}

impl Session {
    /// Samples of the job's data, with the border that the model needs.
    pub(super) fn batch(&self, samples: &[u32]) -> Batch {
        if self.facts.tokens {
            return self.token_batch(samples);
        }
        let [channels, height, width] = self.facts.image_shape;
        let more = 2 * self.border.width;
        let labels = samples.iter().map(|sample| self.data.label(*sample)).collect();
        let mut pixels = Vec::with_capacity(samples.len() * channels * (height + more) * (width + more));
        if self.border.width == 0 {
            samples.iter().for_each(|sample| self.data.append_image(*sample, &mut pixels));
            return Batch::Images(ImageBatch { pixels, labels });
        }
        let mut image = Vec::with_capacity(self.facts.pixels());
        for sample in samples {
            image.clear();
            self.data.append_image(*sample, &mut image);
            for plane in image.chunks_exact(height * width) {
                append_with_border(plane, width, self.border, &mut pixels);
            }
        }
        Batch::Images(ImageBatch { pixels, labels })
    }

    fn token_batch(&self, samples: &[u32]) -> Batch {
        let context = self.facts.pixels();
        let mut batch = TokenBatch { context, ..TokenBatch::default() };
        for sample in samples {
            let out = (&mut batch.tokens, &mut batch.targets, &mut batch.starts);
            self.data.append_tokens(*sample, IGNORED, out);
        }
        Batch::Tokens(batch)
    }
}

/// Appends `plane`, rows of `width` pixels, with `border` around it.
fn append_with_border(plane: &[f32], width: usize, border: Border, out: &mut Vec<f32>) {
    let Border { width: border, value } = border;
    let rows_of_border = border * (width + 2 * border);
    out.resize(out.len() + rows_of_border, value);
    for row in plane.chunks_exact(width) {
        out.resize(out.len() + border, value);
        out.extend_from_slice(row);
        out.resize(out.len() + border, value);
    }
    out.resize(out.len() + rows_of_border, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_border_surrounds_the_image() {
        let mut out = vec![7.0];
        append_with_border(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, Border { width: 1, value: -1.0 }, &mut out);
        let b = -1.0;
        assert_eq!(out, [7.0, b, b, b, b, b, b, 1.0, 2.0, 3.0, b, b, 4.0, 5.0, 6.0, b, b, b, b, b, b]);
    }
}
