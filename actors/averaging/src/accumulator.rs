//! The exact sum of contributions to one part.

use crate::contribution::{Contribution, ContributionWriter, SUM_BITS_MAX};
use crate::totals::ContributionHeader;
use crate::{BLOCK_ELEMENTS, CodecError};

/// Integers that contributions are added to. The order and grouping of additions leave no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulator {
    header: ContributionHeader,
    sums: Vec<i64>,
}

impl Accumulator {
    /// An empty sum over a part of `elements`, [`crate::PartLayout::range`]'s length.
    #[must_use]
    pub fn new(elements: usize) -> Self {
        Self { header: ContributionHeader::default(), sums: vec![0; elements] }
    }

    /// Adds the contribution of some micro-batches. Whose they are is the caller's to know.
    ///
    /// # Errors
    /// When the bytes are malformed, or the sum would leave the exact range. Then nothing was added.
    pub fn add(&mut self, contribution: &[u8]) -> Result<(), CodecError> {
        let contribution = Contribution::parse(self.sums.len(), contribution)?;
        let header = self.header.plus(&contribution.header)?;
        for (block, values) in contribution.blocks().enumerate() {
            let refused = match values.check(block) {
                Ok(()) if values.add_to::<1>(self.block_mut(block)) >> SUM_BITS_MAX == 0 => continue,
                Ok(()) => {
                    values.add_to::<-1>(self.block_mut(block));
                    CodecError::OutOfRange { block }
                }
                Err(error) => error,
            };
            for (earlier, values) in contribution.blocks().take(block).enumerate() {
                values.add_to::<-1>(self.block_mut(earlier));
            }
            return Err(refused);
        }
        self.header = header;
        Ok(())
    }

    /// The sum as one contribution.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = ContributionWriter::new(self.header, self.sums.len());
        for block in self.sums.chunks(BLOCK_ELEMENTS) {
            writer.push(block);
        }
        writer.finish()
    }

    /// Samples (or tokens) of all contributions.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.header.samples
    }

    pub(crate) fn header(&self) -> ContributionHeader {
        self.header
    }

    pub(crate) fn sums(&self) -> &[i64] {
        &self.sums
    }

    fn block_mut(&mut self, block: usize) -> &mut [i64] {
        let start = block * BLOCK_ELEMENTS;
        let end = self.sums.len().min(start + BLOCK_ELEMENTS);
        &mut self.sums[start..end]
    }
}
