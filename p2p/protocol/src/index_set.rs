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
        self.minus(other).is_empty()
    }

    /// The indices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(position, &word)| {
            let base = u32::try_from(position).unwrap_or(u32::MAX / 64) * 64;
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| base + bit)
        })
    }

    /// Whether a set from the wire is in its one normal form and below `count`.
    #[must_use]
    pub fn is_valid(&self, count: u32) -> bool {
        self.words.last() != Some(&0) && self.words.len() <= (count as usize).div_ceil(64) && {
            self.iter().last().is_none_or(|last| last < count)
        }
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
    }
}
