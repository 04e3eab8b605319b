//! A set of small indices: micro-batches of a step, parts of a gradient.

use serde::{Deserialize, Serialize};

/// Sorted set of indices as words of 64 bits; trailing zero words are never stored, so equal sets are equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexSet {
    words: Vec<u64>,
}

impl IndexSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All of `0..count`.
    #[must_use]
    pub fn full(count: u32) -> Self {
        (0..count).collect()
    }

    /// Adds `index`.
    pub fn insert(&mut self, index: u32) {
        let word = (index / 64) as usize;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (index % 64);
    }

    /// Takes `index` out.
    pub fn remove(&mut self, index: u32) {
        if let Some(word) = self.words.get_mut((index / 64) as usize) {
            *word &= !(1 << (index % 64));
        }
        self.trim();
    }

    /// Whether `index` is in the set.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        self.words.get((index / 64) as usize).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Number of indices.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Adds all of `other`.
    pub fn extend_from(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// The indices that are in `self` and not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut words = self.words.clone();
        for (word, less) in words.iter_mut().zip(&other.words) {
            *word &= !less;
        }
        let mut set = Self { words };
        set.trim();
        set
    }

    /// Whether no index is in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(one, two)| one & two == 0)
    }

    /// Whether every index of `self` is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        let rest = self.words.get(other.words.len()..).unwrap_or_default();
        self.words.iter().zip(&other.words).all(|(one, two)| one & !two == 0)
            && rest.iter().all(|word| *word == 0)
    }

    /// The indices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(position, &word)| {
            let base = u32::try_from(position).unwrap_or(u32::MAX / 64) * 64;
            let bits = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            bits.take_while(|rest| *rest != 0).map(move |rest| base + rest.trailing_zeros())
        })
    }

    /// Whether a set from the wire is in its one normal form and below `count`.
    #[must_use]
    pub fn is_valid(&self, count: u32) -> bool {
        let Some(last) = self.words.last() else { return true };
        let (words, bits) = ((count as usize).div_ceil(64), count % 64);
        let is_full = bits == 0 || self.words.len() < words;
        *last != 0 && self.words.len() <= words && (is_full || last >> bits == 0)
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
        let mut set = Self::new();
        for index in indices {
            set.insert(index);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_behave_as_sets_and_stay_in_normal_form() {
        let mut set: IndexSet = [3, 70, 5].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 5, 70]);
        set.remove(70);
        assert_eq!(set, [5, 3].into_iter().collect());
        assert!(set.is_valid(6) && !set.is_valid(5));
        assert!(set.is_subset(&IndexSet::full(6)));
        assert_eq!(IndexSet::full(66).minus(&IndexSet::full(64)).iter().collect::<Vec<_>>(), [64, 65]);
        assert!(set.minus(&set).is_empty());
        let ends: IndexSet = [0, 63, 64, 127, 4095].into_iter().collect();
        assert_eq!(ends.iter().collect::<Vec<_>>(), [0, 63, 64, 127, 4095]);
        let is_valid = |count: u32| ends.is_valid(count);
        assert_eq!([4094, 4095, 4096, 5000].map(is_valid), [false, false, true, true]);
        assert!(IndexSet::full(64).is_valid(64) && !IndexSet::full(65).is_valid(64));
        assert!(IndexSet::new().is_valid(0) && !IndexSet { words: vec![0] }.is_valid(64));
        let less = |index: u32| ends.minus(&[index].into_iter().collect());
        for index in [0, 63, 64, 127, 4095] {
            assert!(less(index).is_subset(&ends) && !ends.is_subset(&less(index)), "{index}");
        }
        assert!(IndexSet::new().is_subset(&set) && !set.is_subset(&IndexSet::new()));
    }
}
