//! Who computes which micro-batches.

use super::speeds::shares;
use crate::ids::NodeId;
use crate::view::{Member, View};

/// Contiguous ranges, as equal as possible, over the members at positions `workers`.
pub(super) fn equal_leases(microbatches: u32, workers: &[u16]) -> Vec<u16> {
    let (count, total) = (microbatches as usize, workers.len());
    let share = |position: usize| count * position / total;
    workers
        .iter()
        .enumerate()
        .flat_map(|(position, worker)| vec![*worker; share(position + 1) - share(position)])
        .collect()
}

/// Contiguous ranges over the members at positions `workers`, shorter for those of higher `levels`.
pub(super) fn weighted_leases(microbatches: u32, workers: &[u16], levels: &[u64]) -> Vec<u16> {
    if levels.windows(2).all(|pair| pair[0] == pair[1]) {
        return equal_leases(microbatches, workers);
    }
    let shares = shares(microbatches as usize, levels);
    workers.iter().zip(shares).flat_map(|(worker, share)| vec![*worker; share]).collect()
}

/// Live members keep their ranges; those of the others are handed out in turns so that all are done at about the same time,
/// also where the first of them need not be computed any more.
/// `workers` are positions in `members`, `levels` how slow each of them is.
pub(super) fn split_leases(previous: &View, members: &[Member], workers: &[u16], levels: &[u64]) -> Vec<u16> {
    let stays = |holder: NodeId| {
        workers.iter().copied().find(|worker| {
            let member = &members[usize::from(*worker)];
            member.node == holder && previous.members.contains(member)
        })
    };
    let mut leases: Vec<Option<u16>> = (0u32..)
        .zip(&previous.leases)
        .map(|(index, _)| previous.lease_holder(index).and_then(stays))
        .collect();
    let mut loads: Vec<(u16, usize, usize)> = workers
        .iter()
        .map(|worker| (*worker, leases.iter().filter(|lease| **lease == Some(*worker)).count(), 0))
        .collect();
    for _ in 0..leases.iter().filter(|lease| lease.is_none()).count() {
        let least = loads
            .iter_mut()
            .zip(levels)
            .min_by_key(|((worker, load, more), level)| ((*load + *more + 1) as u64 * **level, *worker));
        if let Some(((_, _, more), _)) = least {
            *more += 1;
        }
    }
    let turns = loads.iter().map(|(_, _, more)| *more).max().unwrap_or(0);
    let mut dealt = (0..turns)
        .flat_map(|turn| loads.iter().filter(move |(_, _, more)| turn < *more).map(|(worker, _, _)| *worker));
    for lease in leases.iter_mut().filter(|lease| lease.is_none()) {
        *lease = dealt.next();
    }
    leases.into_iter().flatten().collect()
}

/// Takes micro-batches away from members that failed to compute them, where anybody else can.
pub(super) fn avoid(leases: &mut [u16], members: &[Member], workers: &[u16], avoided: &[(u32, NodeId)]) {
    for (microbatch, node) in avoided {
        let Some(holder) = leases.get(*microbatch as usize).copied() else { continue };
        if members[usize::from(holder)].node != *node {
            continue;
        }
        let load = |worker: u16| leases.iter().filter(|lease| **lease == worker).count();
        let other = workers.iter().copied().filter(|worker| *worker != holder).min_by_key(|w| (load(*w), *w));
        if let Some(other) = other {
            leases[*microbatch as usize] = other;
        }
    }
}
