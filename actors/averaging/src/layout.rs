//! How a flat gradient is cut in parts of whole blocks.

use std::ops::Range;

/// Elements that share one exponent. 256 keeps the exponents under 1 % of the state and a block's values of like size.
pub const BLOCK_ELEMENTS: usize = 256;

/// Elements of a part at most: 64 blocks, 64 KiB of results. Small enough that three nodes share the work of owning a
/// small convolutional network, large enough that the header of a part does not count.
pub const PART_ELEMENTS_MAX: usize = 64 * BLOCK_ELEMENTS;

/// Elements of a gradient at most: 2^36, 256 GiB of `f32`. Keeps the number of parts (2^22) within its type.
pub const ELEMENTS_MAX: usize = 1 << 36;

/// Why a gradient cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There is nothing to average.
    #[error("cut a gradient in parts: it has no elements")]
    Empty,
    /// More than [`ELEMENTS_MAX`].
    #[error("cut a gradient in parts: {elements} elements are more than {ELEMENTS_MAX}")]
    TooLarge {
        /// Elements asked for.
        elements: usize,
    },
}

/// The parts of a flat gradient: all of [`PART_ELEMENTS_MAX`] but the last, which may be ragged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLayout {
    elements: usize,
}

impl PartLayout {
    /// Cuts a gradient of `elements` values.
    ///
    /// # Errors
    /// When there are none or more than [`ELEMENTS_MAX`].
    pub fn new(elements: usize) -> Result<Self, LayoutError> {
        match elements {
            0 => Err(LayoutError::Empty),
            1..=ELEMENTS_MAX => Ok(Self { elements }),
            _ => Err(LayoutError::TooLarge { elements }),
        }
    }

    /// How many parts there are, at least one.
    #[must_use]
    pub fn parts(&self) -> u32 {
        u32::try_from(self.elements.div_ceil(PART_ELEMENTS_MAX))
            .expect("ELEMENTS_MAX bounds the parts by 2^22")
    }

    /// The elements of `part` within the flat gradient; empty for a part that does not exist.
    #[must_use]
    pub fn range(&self, part: u32) -> Range<usize> {
        let start = (part as usize).saturating_mul(PART_ELEMENTS_MAX).min(self.elements);
        start..start.saturating_add(PART_ELEMENTS_MAX).min(self.elements)
    }

    /// Elements of the whole gradient.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Blocks of the whole gradient. Parts hold whole blocks, so none spans two parts.
    pub(crate) fn blocks(&self) -> usize {
        self.elements.div_ceil(BLOCK_ELEMENTS)
    }

    /// The blocks of `part` within those of the whole gradient.
    pub(crate) fn block_range(&self, part: u32) -> Range<usize> {
        let range = self.range(part);
        range.start.div_ceil(BLOCK_ELEMENTS)..range.end.div_ceil(BLOCK_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_gradient_without_overlap() {
        for elements in [1, 255, 256, 257, PART_ELEMENTS_MAX, PART_ELEMENTS_MAX + 1, 61_706] {
            let layout = PartLayout::new(elements).unwrap();
            let (mut end, mut block_end) = (0, 0);
            for part in 0..layout.parts() {
                let (range, blocks) = (layout.range(part), layout.block_range(part));
                assert_eq!((range.start, blocks.start), (end, block_end));
                assert!(!range.is_empty() && range.len() <= PART_ELEMENTS_MAX);
                (end, block_end) = (range.end, blocks.end);
            }
            assert_eq!((end, block_end), (elements, layout.blocks()));
            assert!(layout.range(layout.parts()).is_empty());
            assert!(layout.range(u32::MAX).is_empty());
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert_eq!(PartLayout::new(0), Err(LayoutError::Empty));
        assert!(PartLayout::new(ELEMENTS_MAX).is_ok());
        assert_eq!(PartLayout::new(usize::MAX), Err(LayoutError::TooLarge { elements: usize::MAX }));
    }
}
