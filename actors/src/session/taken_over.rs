//! Work that is done again because whoever had it is gone.

use traind_protocol::index_set::IndexSet;
use traind_protocol::view::View;

/// Micro-batches whose holder in `former` is no member of `view` any more: whatever it did of them may be lost.
pub(super) fn leases_of_the_gone(former: &View, view: &View) -> IndexSet {
    let is_gone = |index: &u32| {
        let holder = former.lease_holder(*index).and_then(|node| former.member_on(node));
        holder.is_some_and(|member| !view.members.contains(member))
    };
    (0..).take(former.leases.len()).filter(is_gone).collect()
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{Boot, Epoch, Incarnation, JobId, NodeId};
    use traind_protocol::view::{Member, Origin};

    use super::*;

    fn view(members: &[(u8, u64)], leases: &[u16]) -> View {
        let member = |(node, boot): &(u8, u64)| Member {
            node: NodeId([*node; 32]),
            boot: Boot(*boot),
            tenure: Epoch(1),
        };
        View {
            job: JobId([7; 8]),
            incarnation: Incarnation(1),
            epoch: Epoch(2),
            founding_epoch: Epoch(1),
            origin: Origin::Seed,
            members: members.iter().map(member).collect(),
            leases: leases.to_vec(),
            owners: vec![0],
            halt: false,
        }
    }

    #[test]
    fn what_the_dead_had_is_taken_over_and_what_moves_between_the_living_is_not() {
        let before = view(&[(1, 1), (2, 1), (3, 1)], &[0, 0, 1, 1, 2, 2]);
        let gone = |members: &[(u8, u64)], leases: &[u16]| -> Vec<u32> {
            leases_of_the_gone(&before, &view(members, leases)).iter().collect()
        };
        assert_eq!(gone(&[(1, 1), (3, 1)], &[0, 0, 0, 1, 1, 1]), [2, 3]);
        assert_eq!(gone(&[(1, 1), (2, 2), (3, 1)], &[0, 0, 1, 1, 2, 2]), [2, 3], "another process");
        assert_eq!(gone(&[(1, 1), (2, 1), (3, 1)], &[1, 1, 2, 2, 0, 0]), [0u32; 0]);
        assert_eq!(gone(&[(1, 1), (2, 1), (3, 1), (4, 1)], &[0, 1, 2, 3, 3, 3]), [0u32; 0]);
    }
}
