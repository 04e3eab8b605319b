//! Values of the records, cut in pieces.
//!
//! sled keeps up to 16 values in a page and moves pages beyond a quarter of a segment (128 KiB) to files that it never
//! syncs. Pieces of 4 KiB keep every page in its log.

use crate::StoreError;

/// Bytes of a piece. 17 of them, a page about to be split, are 68 KiB.
const PIECE_BYTES: usize = 4096;

/// First byte of the last piece of a value.
const LAST: u8 = 0;
/// First byte of every other piece.
const MORE: u8 = 1;

/// Inserts `value` under `prefix`; pieces of an older value must be removed before.
pub(crate) fn insert(batch: &mut sled::Batch, prefix: &[u8], value: &[u8]) {
    let pieces = value.len().div_ceil(PIECE_BYTES).max(1);
    for piece in 0..pieces {
        let body = &value[piece * PIECE_BYTES..value.len().min((piece + 1) * PIECE_BYTES)];
        let mut bytes = Vec::with_capacity(1 + body.len());
        bytes.push(if piece + 1 == pieces { LAST } else { MORE });
        bytes.extend_from_slice(body);
        let number = u32::try_from(piece).expect("values are bounded far below 2^32 pieces");
        batch.insert([prefix, &number.to_be_bytes()].concat(), bytes);
    }
}

/// Removes all keys that start with `prefix`.
pub(crate) fn remove(records: &sled::Tree, batch: &mut sled::Batch, prefix: &[u8]) -> Result<(), StoreError> {
    for key in records.scan_prefix(prefix).keys() {
        batch.remove(key.map_err(StoreError::index("read records"))?);
    }
    Ok(())
}

/// The value under `prefix`, if there is one.
pub(crate) fn read(records: &sled::Tree, prefix: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let mut joined = Joined::default();
    for item in records.scan_prefix(prefix) {
        let (key, piece) = item.map_err(StoreError::index("read records"))?;
        if let Some(value) = joined.push(&key[prefix.len()..], &piece, prefix)? {
            return Ok(Some(value));
        }
    }
    joined.finish(prefix)?;
    Ok(None)
}

/// Joins pieces that come in order.
#[derive(Default)]
pub(crate) struct Joined {
    value: Vec<u8>,
    pieces: u32,
}

impl Joined {
    /// Takes the piece of this `number` (four bytes); gives the value back with its last one.
    pub(crate) fn push(
        &mut self,
        number: &[u8],
        piece: &[u8],
        what: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let in_order = number == self.pieces.to_be_bytes();
        match piece.split_first() {
            Some((&LAST, body)) if in_order => {
                self.value.extend_from_slice(body);
                self.pieces = 0;
                Ok(Some(std::mem::take(&mut self.value)))
            }
            Some((&MORE, body)) if in_order => {
                self.value.extend_from_slice(body);
                self.pieces += 1;
                Ok(None)
            }
            _ => Err(damaged(what)),
        }
    }

    /// That no value is half joined.
    pub(crate) fn finish(&self, what: &[u8]) -> Result<(), StoreError> {
        if self.pieces == 0 { Ok(()) } else { Err(damaged(what)) }
    }
}

fn damaged(what: &[u8]) -> StoreError {
    StoreError::RecordDamaged { what: format!("the value at {}", what.escape_ascii()) }
}
