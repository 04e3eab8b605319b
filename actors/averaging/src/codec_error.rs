//! Why bytes are refused.

/// Bytes that no honest member sends, or a sum that no honest gradients have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The part does not exist in this layout.
    #[error("part {part} does not exist, there are {parts}")]
    NoSuchPart {
        /// Part asked for.
        part: u32,
        /// Parts there are.
        parts: u32,
    },
    /// The length does not follow from the layout and the flags.
    #[error("{found} bytes where {expected} were expected")]
    Length {
        /// Bytes that the layout and the flags ask for.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A block's flag names no width.
    #[error("block {block} has the unknown flag {flag}")]
    Flag {
        /// Block within the part.
        block: usize,
        /// The flag.
        flag: u8,
    },
    /// A block is wide though its values fit narrow: an honest encoder has one form for a value.
    #[error("block {block} is wide although its values are small")]
    NotCanonical {
        /// Block within the part.
        block: usize,
    },
    /// A value or a sum of values leaves the range in which all arithmetic is exact.
    #[error("a value of block {block} is outside the exact range")]
    OutOfRange {
        /// Block within the part.
        block: usize,
    },
    /// The number of samples, or the sum of two, is out of range.
    #[error("the number of samples is out of range")]
    Samples,
    /// The loss, or the sum of two, is out of range or not finite.
    #[error("the loss is out of range")]
    Loss,
    /// The test on held-out samples counts more right answers than samples, or is out of range.
    #[error("the held-out test is out of range")]
    HeldOut,
    /// A result's value is not finite.
    #[error("value {element} of the result is not finite")]
    NotFinite {
        /// Element within the part.
        element: usize,
    },
    /// A grid's exponent is outside what results can lead to.
    #[error("block {block} has the impossible exponent {exponent}")]
    Exponent {
        /// Block within the gradient.
        block: usize,
        /// The exponent.
        exponent: i16,
    },
}
