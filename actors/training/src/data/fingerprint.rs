//! A hash of what decides the samples of a data set.

/// Separates these hashes from all others; the number is the format's.
const DOMAIN: &str = "traind data 1";

/// BLAKE3 over fields that are each preceded by their length, so that no two sequences of fields are the same bytes.
pub(crate) struct Fingerprint {
    hasher: blake3::Hasher,
}

impl Fingerprint {
    pub(super) fn new(kind: &str) -> Self {
        let mut fingerprint = Self { hasher: blake3::Hasher::new() };
        fingerprint.bytes(DOMAIN.as_bytes());
        fingerprint.bytes(kind.as_bytes());
        fingerprint
    }

    pub(super) fn number(&mut self, number: u64) {
        self.hasher.update(&number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hasher.update(bytes);
    }

    /// As their bits, little-endian.
    pub(super) fn values(&mut self, values: &[f32]) {
        self.number(values.len() as u64);
        for value in values {
            self.hasher.update(&value.to_le_bytes());
        }
    }

    /// Little-endian.
    pub(super) fn words(&mut self, words: &[u32]) {
        self.number(words.len() as u64);
        for word in words {
            self.hasher.update(&word.to_le_bytes());
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}
