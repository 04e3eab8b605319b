//! Whether a joiner is about to be synced.

use serde::{Deserialize, Serialize};

/// How often a joiner has said in an epoch that it arrives, or taken that back.
///
/// It only grows, so that a word of a joiner that overtakes an earlier one is not undone by it, and an answer counts only for
/// what it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arrival(u8);

impl Arrival {
    /// Whether the others are to wait.
    #[must_use]
    pub fn is_announced(self) -> bool {
        self.0 % 2 == 1
    }

    /// What is said next: that it arrives, or no more. A joiner starts over a few times in an epoch, far below the end of it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Arrival;

    #[test]
    fn it_is_announced_and_taken_back_in_turns_and_only_grows() {
        let announced = Arrival::default().next();
        let back = announced.next();
        assert!(announced.is_announced() && !back.is_announced() && !Arrival::default().is_announced());
        assert!(Arrival::default() < announced && announced < back && back < back.next());
    }
}
