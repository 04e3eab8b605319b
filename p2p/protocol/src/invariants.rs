//! What must always hold, each with an id, a sentence and a predicate over plain data. The simulator checks them after
//! every event; ids and sentences are those of the table in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Chain, CouncilId, Epoch, Incarnation};
use crate::index_set::IndexSet;

/// A rule that no run may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// Its short name.
    pub id: &'static str,
    /// What it says.
    pub sentence: &'static str,
}

/// See [`views_grow`].
pub const V1: Invariant = Invariant {
    id: "V1",
    sentence: "at most one committed view per (job, incarnation, epoch); both only grow",
};

/// See [`changes_nothing`].
pub const V2: Invariant = Invariant {
    id: "V2",
    sentence: "a result or state message of an older epoch changes nothing; of a later one it is held (bounded) until \
               its view is entered",
};

/// See [`agree`].
pub const B1: Invariant = Invariant {
    id: "B1",
    sentence: "members of one view that applied step s hold the same chain and digest; steps differ by one at most",
};

/// See [`is_expected`].
pub const B2: Invariant = Invariant {
    id: "B2",
    sentence: "in sync mode that digest is a function of job, data and seed alone, on one numeric class",
};

/// See [`exactly_once`].
pub const D1: Invariant = Invariant {
    id: "D1",
    sentence: "in every applied step each micro-batch contributes exactly once, computed from this very state",
};

/// See [`StableSteps::claim`].
pub const S1: Invariant = Invariant {
    id: "S1",
    sentence: "a stable step is never undone while one synced member of the latest view lives; a checkpoint in the ledger \
               can be restored while one holder lives",
};

/// See [`BegunWork::claim`].
pub const W1: Invariant = Invariant {
    id: "W1",
    sentence: "while members only join, leave in order and halt, no micro-batch of a step is computed twice",
};

/// See [`halts_alike`].
pub const H1: Invariant = Invariant {
    id: "H1",
    sentence: "members of a view that halts stop at one state and compute nothing more in it; nothing is begun beyond it",
};

/// See [`used_once`].
pub const D2: Invariant = Invariant {
    id: "D2",
    sentence: "in every epoch of the data each sample is used exactly once, under any churn",
};

/// See [`is_durable`].
pub const S2: Invariant = Invariant {
    id: "S2",
    sentence: "durable before visible: votes, ledger entries, admissions, checkpoints are on disk before they are sent",
};

/// See [`is_expected_council`].
pub const C1: Invariant = Invariant {
    id: "C1",
    sentence: "what a seat says in one council counts in no other: each has one command at an index and one leader in a term",
};

/// See [`ends_somewhere`].
pub const C2: Invariant = Invariant {
    id: "C2",
    sentence: "of councils that meet exactly one goes on, and one that gave way commits nothing more",
};

/// See [`is_bounded`].
pub const L1: Invariant =
    Invariant { id: "L1", sentence: "every queue, map, message and retry has a named bound" };

/// See [`has_advanced`].
pub const P1: Invariant = Invariant {
    id: "P1",
    sentence: "with at least one synced member live and connected, the step counter advances",
};

/// See [`is_just`].
pub const A2: Invariant = Invariant {
    id: "A2",
    sentence: "a member that keeps to the protocol is accused of nothing, whatever is lost, late, repeated or overtaken",
};

/// All that have a predicate here. A1 is the transport's, which no machine can break.
pub const ALL: [Invariant; 15] = [V1, V2, B1, B2, D1, D2, S1, S2, C1, C2, W1, H1, L1, P1, A2];

/// What is compared of one life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Lineage and epoch it has entered.
    pub view: Option<(Incarnation, Epoch)>,
    /// Epoch of its admission; `None` while it is no member.
    pub tenure: Option<Epoch>,
    /// Whether it has the state.
    pub synced: bool,
    /// Steps applied.
    pub step: u64,
    /// Chain of its state.
    pub chain: Chain,
    /// Chain of the state a step before.
    pub previous_chain: Chain,
    /// Parts of the step in progress whose result it holds.
    pub held: IndexSet,
}

/// V1: whether a view committed as `next` may follow `previous`.
#[must_use]
pub fn views_grow(previous: (Incarnation, Epoch), next: (Incarnation, Epoch)) -> bool {
    next.0 >= previous.0 && next.1 > previous.1
}

/// V2: whether a life that was at `before` may be at `after` once a message of `view` was taken that is not of its own
/// view: it may not have moved at all.
#[must_use]
pub fn changes_nothing(view: (Incarnation, Epoch), before: &Place, after: &Place) -> bool {
    before.view == Some(view) || before == after
}

/// B1: whether two synced members of one view may be where they are.
#[must_use]
pub fn agree(one: &Place, other: &Place) -> bool {
    let (behind, ahead) = if one.step <= other.step { (one, other) } else { (other, one) };
    match ahead.step - behind.step {
        0 => ahead.chain == behind.chain,
        1 => ahead.previous_chain == behind.chain,
        _ => false,
    }
}

/// B2: whether a state has the chain that one processor alone would have given it.
#[must_use]
pub fn is_expected(chain: Chain, expected: Chain) -> bool {
    chain == expected
}

/// D1: whether `leaves`, the micro-batches that went into a result and the chains they were computed on, are each of
/// `0..microbatches` once, on `base`.
#[must_use]
pub fn exactly_once(leaves: &[(u32, Chain)], microbatches: u32, base: Chain) -> bool {
    let mut seen = IndexSet::new();
    leaves.iter().all(|&(microbatch, chain)| {
        let is_first = !seen.contains(microbatch);
        seen.insert(microbatch);
        is_first && chain == base
    }) && seen == IndexSet::full(microbatches)
}

/// D2: whether `used`, places of samples in the sequence of the data's epochs, are those of `range`, each once. An epoch
/// of the data is a stretch of that sequence.
#[must_use]
pub fn used_once(mut used: Vec<u64>, range: std::ops::Range<u64>) -> bool {
    used.sort_unstable();
    used.into_iter().eq(range)
}

/// A2: whether `accused` is among those that did not keep to the protocol.
#[must_use]
pub fn is_just<T: Ord>(accused: T, liars: &BTreeSet<T>) -> bool {
    liars.contains(&accused)
}

/// S2: whether what a message says, a term and an index in it, may be said when the disk holds that much.
#[must_use]
pub fn is_durable(said: (u64, u64), on_disk: (u64, u64)) -> bool {
    said.0 <= on_disk.0 && said.1 <= on_disk.1
}

/// C1: whether a message of the consensus group that is of council `said` may be taken in council `own`.
#[must_use]
pub fn is_expected_council(said: CouncilId, own: CouncilId) -> bool {
    said == own
}

/// C2: whether following from `council` who gave way to whom ends at one that did not.
#[must_use]
pub fn ends_somewhere(yields: &BTreeMap<CouncilId, CouncilId>, council: CouncilId) -> bool {
    std::iter::successors(yields.get(&council), |next| yields.get(next)).take(yields.len() + 1).count()
        <= yields.len()
}

/// L1: whether so many are within their bound.
#[must_use]
pub fn is_bounded(count: usize, count_max: usize) -> bool {
    count <= count_max
}

/// P1: whether a member that was to be at `goal` by now is.
#[must_use]
pub fn has_advanced(step: u64, goal: u64) -> bool {
    step >= goal
}

/// H1: whether two members that say in one view that they have stopped may be at these steps and chains.
#[must_use]
pub fn halts_alike(one: (u64, Chain), other: (u64, Chain)) -> bool {
    one == other
}

/// Computations that were begun, by step and chain of the state they are computed on.
#[derive(Clone, Debug, Default)]
pub struct BegunWork {
    begun: BTreeMap<(u64, Chain), IndexSet>,
}

impl BegunWork {
    /// W1: whether `microbatch` may be begun on this state, that is, was not before. Notes it.
    pub fn claim(&mut self, step: u64, base: Chain, microbatch: u32) -> bool {
        let begun = self.begun.entry((step, base)).or_default();
        let is_first = !begun.contains(microbatch);
        begun.insert(microbatch);
        is_first
    }

    /// What was begun on this state.
    #[must_use]
    pub fn on(&self, step: u64, base: Chain) -> IndexSet {
        self.begun.get(&(step, base)).cloned().unwrap_or_default()
    }
}

/// Steps that were called stable, with their chains.
#[derive(Clone, Debug, Default)]
pub struct StableSteps {
    chains: BTreeMap<u64, Chain>,
}

impl StableSteps {
    /// S1: whether `step` may be called stable with this chain, that is, was never so with another. Notes it.
    pub fn claim(&mut self, step: u64, chain: Chain) -> bool {
        *self.chains.entry(step).or_insert(chain) == chain
    }

    /// How many steps are stable.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(step: u64, chain: u8, previous: u8) -> Place {
        Place {
            view: Some((Incarnation(1), Epoch(3))),
            tenure: Some(Epoch(1)),
            synced: true,
            step,
            chain: Chain([chain; 32]),
            previous_chain: Chain([previous; 32]),
            held: IndexSet::new(),
        }
    }

    #[test]
    fn each_predicate_tells_right_from_wrong() {
        let at = |epoch| (Incarnation(1), Epoch(epoch));
        assert!(views_grow(at(3), at(4)) && !views_grow(at(3), at(3)));
        assert!(!views_grow((Incarnation(2), Epoch(3)), at(4)));

        let moved = Place { held: IndexSet::full(1), ..place(4, 1, 0) };
        assert!(changes_nothing(at(2), &place(4, 1, 0), &place(4, 1, 0)));
        assert!(!changes_nothing(at(2), &place(4, 1, 0), &moved));
        assert!(changes_nothing(at(3), &place(4, 1, 0), &moved));

        assert!(agree(&place(4, 1, 0), &place(4, 1, 0)) && !agree(&place(4, 1, 0), &place(4, 2, 0)));
        assert!(agree(&place(5, 2, 1), &place(4, 1, 0)) && !agree(&place(4, 1, 0), &place(5, 2, 3)));
        assert!(!agree(&place(6, 2, 1), &place(4, 1, 0)));
        assert!(is_expected(Chain([1; 32]), Chain([1; 32])) && !is_expected(Chain([1; 32]), Chain([2; 32])));

        let base = Chain([7; 32]);
        assert!(exactly_once(&[(1, base), (0, base)], 2, base));
        assert!(!exactly_once(&[(0, base)], 2, base));
        assert!(!exactly_once(&[(0, base), (1, base), (1, base)], 2, base));
        assert!(!exactly_once(&[(0, base), (1, Chain([8; 32]))], 2, base));
        assert!(!exactly_once(&[(0, base), (1, base), (2, base)], 2, base));

        assert!(
            used_once(vec![5, 4, 6], 4..7) && !used_once(vec![4, 6], 4..7) && !used_once(vec![4, 4, 5], 4..6)
        );
        assert!(is_durable((2, 9), (2, 9)) && !is_durable((3, 9), (2, 9)) && !is_durable((2, 10), (2, 9)));
        assert!(is_bounded(3, 3) && !is_bounded(4, 3) && has_advanced(3, 3) && !has_advanced(2, 3));
        assert!((1..ALL.len()).all(|index| ALL[..index].iter().all(|other| other.id != ALL[index].id)));

        assert!(halts_alike((4, base), (4, base)) && !halts_alike((4, base), (5, base)));
        assert!(!halts_alike((4, base), (4, Chain([8; 32]))));

        let mut begun = BegunWork::default();
        assert!(begun.claim(4, base, 1) && begun.claim(4, base, 0) && begun.claim(5, base, 1));
        assert!(!begun.claim(4, base, 1) && begun.claim(4, Chain([8; 32]), 1));
        assert_eq!(begun.on(4, base), IndexSet::full(2));

        let mut stable = StableSteps::default();
        assert!(stable.claim(4, base) && stable.claim(4, base) && !stable.claim(4, Chain([8; 32])));
    }
}
