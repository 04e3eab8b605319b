//! Who is to blame, by what all members say.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::blame::{Word, blame, votes_by_ends};
use crate::ids::NodeId;
use crate::ledger::testing::node;

const ME: u8 = 1;

fn set(numbers: &[u8]) -> BTreeSet<NodeId> {
    numbers.iter().map(|number| node(*number)).collect()
}

fn waits(sums_of: &[u8], results_of: &[u8]) -> Word {
    Word::Waits { sums_of: set(sums_of), results_of: set(results_of) }
}

/// The members to blame, and whether half of all wait; the members are 1, 2, 3…
fn blamed(words: &[Word]) -> (Vec<u8>, bool) {
    let words: BTreeMap<NodeId, Word> = (1..).map(node).zip(words.iter().cloned()).collect();
    let blame = blame(&words, node(ME));
    (blame.nodes.iter().map(|node| node.0[0]).collect(), blame.by_half)
}

#[test]
fn who_works_while_the_others_wait_for_it_is_to_blame() {
    assert_eq!(blamed(&[waits(&[2], &[3]), Word::Works, waits(&[2], &[1])]), (vec![2], true));
    // One owner of all parts, 1: the others wait for its results and know no more.
    assert_eq!(blamed(&[waits(&[2], &[]), Word::Works, waits(&[], &[1])]), (vec![2], true));
    // Two that hang.
    let words = [waits(&[2, 3], &[4]), Word::Works, Word::Works, waits(&[2, 3], &[1])];
    assert_eq!(blamed(&words), (vec![2, 3], true));
    // Of two, one.
    assert_eq!(blamed(&[waits(&[2], &[]), Word::Works]), (vec![2], true));
    assert_eq!(blamed(&[Word::Works, waits(&[1], &[])]), (vec![1], true), "the coordinator's own node too");
}

#[test]
fn a_session_that_says_nothing_is_to_blame_like_one_that_says_that_it_works() {
    assert_eq!(blamed(&[waits(&[2], &[3]), Word::Mute, waits(&[2], &[1])]), (vec![2], true));
    assert_eq!(blamed(&[waits(&[2], &[3]), Word::Unknown, waits(&[3], &[1])]).0, [3; 0], "not so lately");
}

#[test]
fn nobody_is_to_blame_while_all_work_or_nobody_says_anything() {
    assert_eq!(blamed(&[Word::Works, Word::Works, Word::Works]), (vec![], false));
    assert_eq!(blamed(&[Word::Unknown, Word::Works, Word::Mute]), (vec![], false));
    assert_eq!(blamed(&[]), (vec![], true));
    assert_eq!(blamed(&[waits(&[], &[]), waits(&[], &[])]), (vec![], false));
    // The dead and those without the state are not among the words.
    assert_eq!(blamed(&[waits(&[9], &[]), waits(&[9], &[])]).0, [0; 0]);
}

#[test]
fn where_few_wait_for_many_it_is_said_so() {
    assert_eq!(blamed(&[waits(&[2, 3], &[]), Word::Works, Word::Works]), (vec![2, 3], false));
}

#[test]
fn sums_that_do_not_arrive_are_their_senders_by_the_word_of_most() {
    // 3 has computed and thinks that the others are late.
    let words = [waits(&[3], &[2, 4]), waits(&[3], &[1, 4]), waits(&[], &[1, 2, 4]), waits(&[3], &[1, 2])];
    assert_eq!(blamed(&words), (vec![3], true));
}

#[test]
fn one_member_alone_takes_nobody_out() {
    // 2 lacks nothing and says that 3 is late; 3 and the others see only that the results of 2 are missing.
    let words = [waits(&[], &[2]), waits(&[3], &[]), waits(&[], &[2]), waits(&[], &[2])];
    assert_eq!(blamed(&words), (vec![2], true), "it is 2 that the others wait for");
    // A confused one names everybody while all others work.
    let words = [Word::Works, waits(&[1, 3, 4], &[]), Word::Works, Word::Works];
    assert_eq!(blamed(&words), (vec![1, 3, 4], false), "that counts after ten minutes only");
    let words = [Word::Unknown, waits(&[1, 3, 4], &[1, 3, 4]), Word::Unknown, Word::Unknown];
    assert_eq!(blamed(&words).0, [0; 0]);
}

#[test]
fn of_two_that_wait_for_each_other_the_coordinator_stays() {
    assert_eq!(blamed(&[waits(&[2], &[2]), waits(&[1], &[1])]), (vec![2], true));
    // A liar against the coordinator's node, which only sees that results are missing.
    assert_eq!(blamed(&[waits(&[], &[2]), waits(&[1], &[])]), (vec![2], true));
}

#[test]
fn a_broken_link_between_two_of_many_costs_one_of_them() {
    let words = [waits(&[], &[2, 3]), waits(&[3], &[3]), waits(&[2], &[2]), waits(&[], &[2, 3])];
    assert_eq!(blamed(&words), (vec![3], true));
}

#[test]
fn somebody_always_stays() {
    // Every set of words of up to three members over these words.
    let choices = |count: u8| {
        let others: Vec<u8> = (1..=count).collect();
        vec![
            Word::Works,
            Word::Mute,
            Word::Unknown,
            waits(&others, &[]),
            waits(&[], &others),
            waits(&[2], &[3]),
        ]
    };
    for count in 1..=3u8 {
        let choices = choices(count);
        for code in 0..choices.len().pow(u32::from(count)) {
            let words: Vec<Word> = (0..u32::from(count))
                .map(|place| choices[code / choices.len().pow(place) % choices.len()].clone())
                .collect();
            let (nodes, _) = blamed(&words);
            assert!(nodes.len() < words.len(), "{words:?}: {nodes:?}");
        }
    }
}

/// Members at which the waits that begin at `waiter` end, followed forwards.
fn ends(words: &BTreeMap<NodeId, Word>, waiter: NodeId) -> BTreeSet<NodeId> {
    let (mut seen, mut ends, mut next) = (BTreeSet::from([waiter]), BTreeSet::new(), vec![waiter]);
    while let Some(node) = next.pop() {
        let Some(Word::Waits { sums_of, results_of }) = words.get(&node) else { continue };
        for named in sums_of.union(results_of) {
            match words.get(named) {
                Some(Word::Works | Word::Mute) => drop(ends.insert(*named)),
                Some(Word::Waits { .. }) if seen.insert(*named) => next.push(*named),
                _ => {}
            }
        }
    }
    ends
}

#[test]
fn votes_are_those_of_following_every_wait() {
    let mut random = 88_172_645_463_325_252u64;
    let mut below = |end: u64| {
        // xorshift64, Marsaglia (2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % end
    };
    for _ in 0..2000 {
        let count = 2 + below(6) as u8;
        let mut some = |share: u64| -> BTreeSet<NodeId> {
            (1..=count + 1).filter(|_| below(4) < share).map(node).collect()
        };
        let words: BTreeMap<NodeId, Word> = (1..=count)
            .map(|number| {
                let word = match number % 4 {
                    0 => Word::Works,
                    1 if count > 6 => Word::Mute,
                    _ => Word::Waits { sums_of: some(1), results_of: some(2) },
                };
                (node(number), word)
            })
            .collect();
        let waiters: Vec<NodeId> = words.keys().copied().collect();
        let mut expected: BTreeMap<NodeId, usize> = BTreeMap::new();
        for end in waiters.iter().flat_map(|waiter| ends(&words, *waiter)) {
            *expected.entry(end).or_default() += 1;
        }
        assert_eq!(votes_by_ends(&words, &waiters), expected, "{words:?}");
    }
}
