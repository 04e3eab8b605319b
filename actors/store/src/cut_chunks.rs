//! How bytes that lie in several places are cut into chunks.

use crate::chunk_directory::CHUNK_BYTES_MAX;

/// Calls `visit` with the chunks of what `pieces` are one after the other, each of [`CHUNK_BYTES_MAX`] bytes but the last. Only
/// a chunk that lies in more than one piece is copied.
///
/// # Errors
/// The first of `visit`.
pub fn cut_chunks<E>(pieces: &[&[u8]], mut visit: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut begun: Vec<u8> = Vec::new();
    for &piece in pieces {
        let missing = if begun.is_empty() { 0 } else { CHUNK_BYTES_MAX - begun.len() };
        let (of_begun, rest) = piece.split_at(missing.min(piece.len()));
        begun.extend_from_slice(of_begun);
        if begun.len() == CHUNK_BYTES_MAX {
            visit(&begun)?;
            begun.clear();
        }
        let (whole, begins) = rest.split_at(rest.len() - rest.len() % CHUNK_BYTES_MAX);
        whole.chunks(CHUNK_BYTES_MAX).try_for_each(&mut visit)?;
        begun.extend_from_slice(begins);
    }
    if begun.is_empty() { Ok(()) } else { visit(&begun) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_those_of_the_joined_pieces_however_they_are_cut() {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES_MAX + 1000).map(|index| ((index * 31) >> 5) as u8).collect();
        let expected: Vec<&[u8]> = bytes.chunks(CHUNK_BYTES_MAX).collect();
        let end = bytes.len();
        for cuts in [
            vec![],
            vec![0, 0, 5],
            vec![107, 107 + CHUNK_BYTES_MAX],
            vec![CHUNK_BYTES_MAX, 2 * CHUNK_BYTES_MAX],
            vec![1, 2, 3, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX + 1, 3 * CHUNK_BYTES_MAX, end],
        ] {
            let mut borders = vec![0];
            borders.extend(cuts);
            borders.push(end);
            let pieces: Vec<&[u8]> = borders.windows(2).map(|border| &bytes[border[0]..border[1]]).collect();
            let mut found = Vec::new();
            cut_chunks::<()>(&pieces, |chunk| {
                found.push(chunk.to_vec());
                Ok(())
            })
            .unwrap();
            assert_eq!(found, expected);
        }
        assert_eq!(cut_chunks(&[], |_| Err("no chunk")), Ok(()));
        assert_eq!(cut_chunks(&[&[], &[1]], |_| Err("one")), Err("one"));
    }
}
