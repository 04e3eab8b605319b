//! Who holds up a step, by the words of all members together. No member's word alone takes another one out of a view.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::NodeId;

/// What is known of one member that lives and has the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It has done its work and waits for others.
    Waits {
        /// Whose sums it lacks.
        sums_of: BTreeSet<NodeId>,
        /// Whose results it lacks.
        results_of: BTreeSet<NodeId>,
    },
    /// It says itself that it still has something to do.
    Works,
    /// It is connected, and its session has said nothing for long.
    Mute,
    /// It has said nothing lately of what it lacks.
    Unknown,
}

impl Word {
    fn names(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (sums_of, results_of) = match self {
            Self::Waits { sums_of, results_of } => (Some(sums_of), Some(results_of)),
            _ => (None, None),
        };
        sums_of.into_iter().chain(results_of).flatten().copied()
    }

    fn waits(&self) -> bool {
        self.names().next().is_some()
    }
}

/// Who holds up a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    /// Members that the others wait for.
    pub(super) nodes: BTreeSet<NodeId>,
    /// Whether at least half of the members have done their work.
    pub(super) by_half: bool,
}

/// Whom the members of `words` wait for, at least one of whom is never among them.
///
/// First those at whom waits end, by following them from most of those who wait: they say themselves that they work, or say
/// nothing. Where waits only lead in circles, as where sums do not arrive, the one of whom most members lack sums; else the one
/// that most members name at all, one at a time, and where two are named alike not `me`, the coordinator's node.
pub(super) fn blame(words: &BTreeMap<NodeId, Word>, me: NodeId) -> Blame {
    let waiters: Vec<NodeId> = words.iter().filter(|(_, word)| word.waits()).map(|(node, _)| *node).collect();
    let by_half = 2 * waiters.len() >= words.len();
    let mut votes = votes_by_ends(words, &waiters);
    votes.retain(|_, count| 2 * *count > waiters.len());
    if !votes.is_empty() {
        return Blame { nodes: votes.into_keys().collect(), by_half };
    }
    let others = words.len().saturating_sub(1);
    let sums = accused(words, |word| match word {
        Word::Waits { sums_of, .. } => sums_of.iter().copied().collect(),
        _ => Vec::new(),
    });
    // Of two members each says that the other is late: one word against one.
    let by_sums = most(&sums, |count| count >= 2 && 2 * count > others, me);
    let any = accused(words, |word| word.names().collect::<BTreeSet<_>>().into_iter().collect());
    let worst = by_sums.or_else(|| most(&any, |count| 2 * count > others, me));
    Blame { nodes: worst.into_iter().collect(), by_half }
}

/// Members at which waits end, and how many of `waiters` come there by following those whom they wait for. From the ends back:
/// members mostly all wait for each other, and there are few ends.
pub(super) fn votes_by_ends(words: &BTreeMap<NodeId, Word>, waiters: &[NodeId]) -> BTreeMap<NodeId, usize> {
    let mut named_by: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for waiter in waiters {
        for named in words.get(waiter).into_iter().flat_map(Word::names) {
            named_by.entry(named).or_default().push(*waiter);
        }
    }
    let mut votes = BTreeMap::new();
    for (end, _) in words.iter().filter(|(_, word)| matches!(word, Word::Works | Word::Mute)) {
        let (mut reached, mut next) = (BTreeSet::new(), vec![*end]);
        while let Some(node) = next.pop() {
            next.extend(named_by.get(&node).into_iter().flatten().filter(|waiter| reached.insert(**waiter)));
        }
        if !reached.is_empty() {
            votes.insert(*end, reached.len());
        }
    }
    votes
}

/// How many members name each other one.
fn accused(words: &BTreeMap<NodeId, Word>, named: impl Fn(&Word) -> Vec<NodeId>) -> BTreeMap<NodeId, usize> {
    let mut counts = BTreeMap::new();
    for (node, word) in words {
        for other in named(word).into_iter().filter(|other| other != node && words.contains_key(other)) {
            *counts.entry(other).or_insert(0) += 1;
        }
    }
    counts
}

fn most(counts: &BTreeMap<NodeId, usize>, is_enough: impl Fn(usize) -> bool, me: NodeId) -> Option<NodeId> {
    let enough = counts.iter().filter(|(_, count)| is_enough(**count));
    enough.max_by_key(|(node, count)| (**count, **node != me, **node)).map(|(node, _)| *node)
}
