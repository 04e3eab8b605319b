//! Who reduces which part, now and after a death.
//!
//! Rendezvous hashing: a part goes to the worker with the highest hash of (node, part), so only the parts of a member that
//! leaves move, and a member that comes takes only its own. Thaler and Ravishankar, "A name-based mapping scheme for
//! rendezvous", 1996.

use std::cmp::Reverse;

use crate::ids::NodeId;
use crate::view::{Member, View};

/// For each part the one of the members at positions `workers` that reduces it.
pub(crate) fn rendezvous_owners(parts: u32, members: &[Member], workers: &[u16]) -> Vec<u16> {
    (0..parts).filter_map(|part| highest(part, members, workers.iter().copied())).collect()
}

/// For each part of `view` the one of its workers that reduces it once the owner is gone; `None` where nobody else works.
pub(crate) fn heirs(view: &View) -> Vec<Option<NodeId>> {
    let workers = view.workers();
    let heir = |(part, owner): (u32, &u16)| {
        let others = workers.iter().copied().filter(|worker| worker != owner);
        highest(part, &view.members, others).map(|position| view.members[usize::from(position)].node)
    };
    (0u32..).zip(&view.owners).map(heir).collect()
}

fn highest(part: u32, members: &[Member], workers: impl Iterator<Item = u16>) -> Option<u16> {
    let score = |worker: u16| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&members[usize::from(worker)].node.0).update(&part.to_le_bytes());
        *hasher.finalize().as_bytes()
    };
    workers.max_by_key(|worker| (score(*worker), Reverse(*worker)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Boot, Epoch, Incarnation, JobId};
    use crate::view::Origin;

    /// A view of all of `nodes`, which share parts and micro-batches.
    fn view(nodes: &[u8]) -> View {
        let member = |node: &u8| Member { node: NodeId([*node; 32]), boot: Boot(1), tenure: Epoch(1) };
        let members: Vec<Member> = nodes.iter().map(member).collect();
        let workers: Vec<u16> = (0..).take(nodes.len()).collect();
        View {
            job: JobId([1; 8]),
            incarnation: Incarnation(1),
            epoch: Epoch(1),
            founding_epoch: Epoch(1),
            origin: Origin::Seed,
            leases: workers.clone(),
            owners: rendezvous_owners(64, &members, &workers),
            members,
            halt: false,
        }
    }

    #[test]
    fn an_heir_is_the_owner_in_the_view_without_the_owner() {
        let all = [1, 2, 3, 4, 5];
        let (before, heirs) = (view(&all), heirs(&view(&all)));
        for dead in all {
            let rest: Vec<u8> = all.into_iter().filter(|node| *node != dead).collect();
            let after = view(&rest);
            for part in 0..64 {
                let owner = before.owner(part).unwrap();
                let expected = if owner == NodeId([dead; 32]) { heirs[part as usize] } else { Some(owner) };
                assert_eq!(after.owner(part), expected, "part {part} without {dead}");
            }
        }
        assert_eq!(super::heirs(&view(&[1])), [None; 64]);
    }
}
