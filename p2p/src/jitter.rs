//! Pauses that differ from node to node, yet are the same whenever the seed is.

use traind_protocol::ids::{Boot, NodeId};

/// A reproducible sequence of numbers: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Of one process of one node: two that fail at the same moment do not try again at the same moment.
    pub(crate) fn of(node: NodeId, boot: Boot) -> Self {
        let words = node.0.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
        Self::new(words.fold(boot.0, |seed, word| seed.rotate_left(13) ^ word))
    }

    /// A number below `bound`; zero if that is zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_and_nodes_differ() {
        let sequence = |mut jitter: Jitter| (0..8).map(|_| jitter.below(1_000)).collect::<Vec<_>>();
        let of = |node, boot| sequence(Jitter::of(NodeId([node; 32]), Boot(boot)));
        assert_eq!(of(1, 1), of(1, 1));
        assert_ne!(of(1, 1), of(2, 1));
        assert_ne!(of(1, 1), of(1, 2));
        assert!(of(3, 3).iter().all(|&number| number < 1_000));
        assert_eq!(Jitter::new(1).below(0), 0);
    }
}
