//! A convolution's input as a matrix (im2col) and back (col2im): Chellapilla, Puri and Simard, "High performance
//! convolutional neural networks for document processing" (2006). Stride one, no padding.

use candle_core::WithDType;

/// The shape of a convolution over `[channels, samples, height, width]` with square kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) channels: usize,
    pub(super) samples: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) kernel: usize,
}

impl Geometry {
    pub(super) fn output_height(&self) -> usize {
        self.height - self.kernel + 1
    }

    pub(super) fn output_width(&self) -> usize {
        self.width - self.kernel + 1
    }

    /// Weights of one output channel: rows of the matrix.
    pub(super) fn taps(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// Output pixels of all samples: columns of the matrix.
    pub(super) fn positions(&self) -> usize {
        self.samples * self.output_height() * self.output_width()
    }

    pub(super) fn input_elements(&self) -> usize {
        self.channels * self.samples * self.height * self.width
    }

    /// Calls `visit(matrix offset, input offset)` for each run of `output_width` elements that lie side by side in
    /// both, in a fixed order.
    fn for_each_run(&self, mut visit: impl FnMut(usize, usize)) {
        let (output_height, output_width) = (self.output_height(), self.output_width());
        let mut matrix_offset = 0;
        for channel in 0..self.channels {
            for tap in 0..self.kernel * self.kernel {
                let (tap_row, tap_column) = (tap / self.kernel, tap % self.kernel);
                for sample in 0..self.samples {
                    let plane = (channel * self.samples + sample) * self.height;
                    for row in 0..output_height {
                        visit(matrix_offset, (plane + row + tap_row) * self.width + tap_column);
                        matrix_offset += output_width;
                    }
                }
            }
        }
    }
}

/// `[taps, positions]`: column p holds the input pixels under the kernel at position p.
pub(super) fn unfold<T: WithDType>(input: &[T], geometry: &Geometry) -> Vec<T> {
    let mut matrix = vec![T::zero(); geometry.taps() * geometry.positions()];
    let run = geometry.output_width();
    geometry.for_each_run(|to, from| matrix[to..to + run].copy_from_slice(&input[from..from + run]));
    matrix
}

/// The transpose of [`unfold`]: adds each element of `matrix` to the input pixel it was copied from.
pub(super) fn fold<T: WithDType>(matrix: &[T], geometry: &Geometry) -> Vec<T> {
    let mut input = vec![T::zero(); geometry.input_elements()];
    let run = geometry.output_width();
    geometry.for_each_run(|from, to| {
        for (sum, value) in input[to..to + run].iter_mut().zip(&matrix[from..from + run]) {
            *sum += *value;
        }
    });
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { channels: 2, samples: 3, height: 6, width: 5, kernel: 3 };

    #[test]
    fn unfold_puts_each_pixel_where_the_definition_says() {
        let input: Vec<f32> = (0..GEOMETRY.input_elements()).map(|value| value as f32).collect();
        let matrix = unfold(&input, &GEOMETRY);
        let pixel = |channel: usize, sample: usize, row: usize, column: usize| {
            input[((channel * 3 + sample) * 6 + row) * 5 + column]
        };
        for tap in 0..GEOMETRY.taps() {
            for position in 0..GEOMETRY.positions() {
                let (channel, tap_row, tap_column) = (tap / 9, tap / 3 % 3, tap % 3);
                let (sample, row, column) = (position / 12, position / 3 % 4, position % 3);
                assert_eq!(
                    matrix[tap * GEOMETRY.positions() + position],
                    pixel(channel, sample, row + tap_row, column + tap_column)
                );
            }
        }
    }

    /// `<unfold(x), m> = <x, fold(m)>` defines the transpose.
    #[test]
    fn fold_is_the_transpose_of_unfold() {
        let input: Vec<f64> =
            (0..GEOMETRY.input_elements()).map(|value| ((value * 37) % 101) as f64).collect();
        let unfolded = unfold(&input, &GEOMETRY);
        let matrix: Vec<f64> = (0..unfolded.len()).map(|value| ((value * 53) % 97) as f64).collect();
        let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
        assert_eq!(dot(&unfolded, &matrix), dot(&input, &fold(&matrix, &GEOMETRY)));
    }
}
