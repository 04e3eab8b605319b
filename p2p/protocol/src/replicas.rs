//! Which nodes hold a checkpoint: a pure function, so that its writers need no word of anybody.
//!
//! Rendezvous hashing (Thaler and Ravishankar, "A name-based mapping scheme for rendezvous", 1996): each node has a rank
//! for each checkpoint, by a hash of both. So the load is even, and a node that leaves moves nothing but what it held.
//! Nodes with the same failure label (a rack, a site) fail together: one of another label comes first.

use std::collections::BTreeSet;

use crate::ids::{JobId, NodeId};
use crate::view::View;

/// A node that may hold a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate<'a> {
    /// The node.
    pub node: NodeId,
    /// What it fails together with; empty for nothing but itself.
    pub label: &'a str,
}

/// The nodes that hold the checkpoint of `job` after `step`: all of `kept`, and so many of `candidates` that there are
/// `replicas`, or all of them if they are fewer. The order of both does not matter.
#[must_use]
pub fn choose_holders(
    (job, step): (JobId, u64),
    replicas: usize,
    kept: &[Candidate<'_>],
    candidates: &[Candidate<'_>],
) -> BTreeSet<NodeId> {
    let mut chosen: BTreeSet<NodeId> = kept.iter().map(|candidate| candidate.node).collect();
    if chosen.len() >= replicas {
        return chosen;
    }
    let mut labels: BTreeSet<&str> = kept.iter().map(|candidate| candidate.label).collect();
    let mut ranked: Vec<([u8; 32], Candidate<'_>)> = candidates
        .iter()
        .filter(|candidate| !chosen.contains(&candidate.node))
        .map(|candidate| (rank(job, step, candidate.node), *candidate))
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    while chosen.len() < replicas {
        let is_apart =
            |candidate: &Candidate<'_>| candidate.label.is_empty() || !labels.contains(candidate.label);
        let apart = ranked.iter().rposition(|(_, candidate)| is_apart(candidate));
        let Some(position) = apart.or(ranked.len().checked_sub(1)) else { break };
        let (_, candidate) = ranked.remove(position);
        chosen.insert(candidate.node);
        labels.insert(candidate.label);
    }
    chosen
}

/// The members of `view` that write the checkpoint after `step`, each from the state that it has: `replicas` of those that
/// have work, which stay and have the state. All of them where the view halts, so that all can go on at once later.
/// `labels` are what they fail together with, in the order of the members.
#[must_use]
pub fn choose_writers(view: &View, labels: &[String], step: u64, replicas: u32) -> BTreeSet<NodeId> {
    let leased: BTreeSet<u16> = view.leases.iter().copied().collect();
    let members = (0u16..).zip(&view.members).filter(|(position, _)| view.halt || leased.contains(position));
    let label = |position: u16| labels.get(usize::from(position)).map_or("", String::as_str);
    let candidates: Vec<Candidate<'_>> =
        members.map(|(position, member)| Candidate { node: member.node, label: label(position) }).collect();
    let replicas = if view.halt { candidates.len() } else { replicas as usize };
    choose_holders((view.job, step), replicas, &[], &candidates)
}

fn rank(job: JobId, step: u64, node: NodeId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("traind replica rank v1");
    hasher.update(&node.0).update(&job.0).update(&step.to_le_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const JOB: JobId = JobId([7; 8]);
    const STEPS: u64 = 400;

    /// Nodes of a seed, `labels` of them with the same label each.
    fn nodes(seed: u64, count: u64, labels: u64) -> Vec<(NodeId, String)> {
        let node = |number: u64| {
            NodeId(*blake3::hash(&[seed.to_le_bytes(), number.to_le_bytes()].concat()).as_bytes())
        };
        let label = |number: u64| match labels {
            0 => String::new(),
            labels => format!("rack-{}", number % labels),
        };
        (0..count).map(|number| (node(number), label(number))).collect()
    }

    fn candidates(nodes: &[(NodeId, String)]) -> Vec<Candidate<'_>> {
        nodes.iter().map(|(node, label)| Candidate { node: *node, label }).collect()
    }

    #[test]
    fn every_node_holds_about_as_much() {
        for seed in 0..20 {
            let nodes = nodes(seed, 8, 0);
            let mut held: BTreeMap<NodeId, u64> = BTreeMap::new();
            for step in 0..STEPS {
                let chosen = choose_holders((JOB, step), 2, &[], &candidates(&nodes));
                assert_eq!(chosen.len(), 2);
                chosen.into_iter().for_each(|node| *held.entry(node).or_default() += 1);
            }
            // 100 of 800 each; the deviation of a fair draw is 9.
            assert!(held.len() == 8 && held.values().all(|count| (60..140).contains(count)), "{held:?}");
        }
    }

    #[test]
    fn a_node_that_leaves_moves_only_what_it_held() {
        for seed in 0..20 {
            let all = nodes(seed, 7, 0);
            let fewer = &all[1..];
            for step in 0..STEPS {
                let before = choose_holders((JOB, step), 3, &[], &candidates(&all));
                let after = choose_holders((JOB, step), 3, &[], &candidates(fewer));
                let moved = after.difference(&before).count();
                assert_eq!(moved, usize::from(before.contains(&all[0].0)), "seed {seed}, step {step}");
            }
        }
    }

    #[test]
    fn other_labels_come_first_and_the_same_ones_where_there_is_no_other() {
        for seed in 0..20 {
            let nodes = nodes(seed, 9, 3);
            let label = |node: &NodeId| nodes.iter().find(|(of, _)| of == node).map(|(_, label)| label);
            for step in 0..STEPS {
                for replicas in 1..=4 {
                    let chosen = choose_holders((JOB, step), replicas, &[], &candidates(&nodes));
                    let labels: BTreeSet<_> = chosen.iter().map(label).collect();
                    assert_eq!((chosen.len(), labels.len()), (replicas, replicas.min(3)));
                }
            }
        }
    }

    #[test]
    fn who_holds_it_keeps_it_and_its_label_counts() {
        for seed in 0..20 {
            let nodes = nodes(seed, 6, 2);
            let candidates = candidates(&nodes);
            for (step, kept) in (0..STEPS).zip(candidates.iter().cycle()) {
                let chosen = choose_holders((JOB, step), 2, &[*kept], &candidates);
                let other =
                    candidates.iter().find(|other| other.node != kept.node && chosen.contains(&other.node));
                assert!(chosen.contains(&kept.node) && other.is_some_and(|other| other.label != kept.label));
                let all = choose_holders((JOB, step), 1, &candidates, &[]);
                assert_eq!(all.len(), 6, "nobody who holds it is told to drop it");
            }
        }
    }

    #[test]
    fn the_order_of_candidates_does_not_matter_and_too_few_are_all_taken() {
        let nodes = nodes(1, 5, 2);
        let mut candidates = candidates(&nodes);
        for step in 0..STEPS {
            let chosen = choose_holders((JOB, step), 3, &[], &candidates);
            candidates.rotate_left(1);
            assert_eq!(choose_holders((JOB, step), 3, &[], &candidates), chosen);
        }
        assert_eq!(choose_holders((JOB, 0), 9, &[], &candidates).len(), 5);
        assert!(choose_holders((JOB, 0), 2, &[], &[]).is_empty());
    }
}
