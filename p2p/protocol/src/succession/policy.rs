//! What an operator wants where a majority is lost.

/// The setting `on_quorum_loss`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuorumLossPolicy {
    /// The survivors found a new council and go on.
    #[default]
    Continue,
    /// They stand still until a majority is back.
    Halt,
}

impl QuorumLossPolicy {
    /// The words of the setting.
    pub const WORDS: [&'static str; 2] = ["continue", "halt"];

    /// The policy of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "continue" => Some(Self::Continue),
            "halt" => Some(Self::Halt),
            _ => None,
        }
    }
}
