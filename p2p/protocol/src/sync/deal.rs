//! Who computes what is left of a step that a new view interrupted.
//!
//! What members told on entering the view is the same for all of them, so all find the same answer. Nothing depends on it but time: whoever
//! is asked for a micro-batch computes it.

use super::message::Entry;
use crate::index_set::IndexSet;
use crate::view::View;

/// The micro-batches of one step by who computes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deal {
    /// The step.
    pub(super) step: u64,
    /// For each micro-batch the position of a member in the view.
    holders: Vec<u16>,
    /// What nobody needs to compute: every owner told that it has the sums.
    summed: IndexSet,
}

impl Deal {
    /// The position in the view of the one that computes `microbatch`.
    pub(super) fn holder(&self, microbatch: u32) -> Option<u16> {
        self.holders.get(microbatch as usize).copied()
    }

    /// What the member at `position` is to compute, or has computed.
    pub(super) fn due(&self, position: u16) -> IndexSet {
        let held = (0u32..).zip(&self.holders).filter(|(_, holder)| **holder == position);
        held.map(|(microbatch, _)| microbatch).collect::<IndexSet>().minus(&self.summed)
    }

    /// Deals the latest step in which anybody entered `view`, from what members told of their entries, by their positions. Who
    /// tells nothing had nothing. `None` where nobody had.
    ///
    /// What is begun stays with whoever has begun it. The rest is dealt so that all are done at the same time, as far as their
    /// leases show how quick they are: leases are for a whole step, and in one that is half done who comes has the other
    /// half only. Of its own lease everybody keeps the first, and what failed anywhere stays with whom the view gives it to.
    pub(super) fn of(view: &View, entries: &[(u16, &Entry)]) -> Option<Self> {
        let step = entries.iter().map(|(_, entry)| entry.step).max()?;
        let at_step: Vec<(u16, &Entry)> =
            entries.iter().filter(|(_, entry)| entry.step == step).copied().collect();
        let all: IndexSet = (0u32..).zip(&view.leases).map(|(microbatch, _)| microbatch).collect();
        let summed = summed_by_owners(view, &at_step, &all);
        let mut deal = Self { step, holders: view.leases.clone(), summed };
        let mut free = all.minus(&deal.summed);
        let sets: [fn(&Entry) -> &IndexSet; 2] = [|entry| &entry.computed, |entry| &entry.computing];
        for set in sets {
            let mut begun = IndexSet::new();
            for (position, entry) in &at_step {
                for microbatch in set(entry).iter().filter(|microbatch| free.contains(*microbatch)) {
                    let has_lease = view.leases[microbatch as usize] == *position;
                    if has_lease || !begun.contains(microbatch) {
                        deal.holders[microbatch as usize] = *position;
                    }
                    begun.insert(microbatch);
                }
            }
            free = free.minus(&begun);
        }
        let mut failed = IndexSet::new();
        at_step.iter().for_each(|(_, entry)| failed.extend_from(&entry.failed));
        let movable = free.minus(&failed);
        deal.deal_free(view, &at_step, &movable, &free.minus(&movable));
        Some(deal)
    }

    /// Deals `free`; those of `staying` are with the holders of their leases.
    fn deal_free(&mut self, view: &View, at_step: &[(u16, &Entry)], free: &IndexSet, staying: &IndexSet) {
        let mut weights = vec![0u64; view.members.len()];
        view.leases.iter().for_each(|position| weights[usize::from(*position)] += 1);
        // In halves of micro-batches: what is in hand is half done in the mean.
        let mut left = vec![0u64; view.members.len()];
        for (position, entry) in at_step {
            let begun = 2 * u64::from(entry.computing.minus(&entry.computed).len());
            left[usize::from(*position)] += begun.saturating_sub(1);
        }
        staying.iter().for_each(|microbatch| left[usize::from(view.leases[microbatch as usize])] += 2);
        let mut rooms = vec![0u32; view.members.len()];
        for _ in free.iter() {
            let workers = (0..weights.len()).filter(|position| weights[*position] > 0);
            // The one that would be done first with one more.
            let next = workers.min_by(|one, other| {
                ((left[*one] + 2) * weights[*other]).cmp(&((left[*other] + 2) * weights[*one]))
            });
            if let Some(next) = next {
                left[next] += 2;
                rooms[next] += 1;
            }
        }
        let mut rest = Vec::new();
        for microbatch in free.iter() {
            let room = &mut rooms[usize::from(view.leases[microbatch as usize])];
            match *room {
                0 => rest.push(microbatch),
                _ => *room -= 1,
            }
        }
        let mut others = (0u16..).zip(&rooms).flat_map(|(position, room)| (0..*room).map(move |_| position));
        for microbatch in rest {
            if let Some(position) = others.next() {
                self.holders[microbatch as usize] = position;
            }
        }
    }
}

/// Of `all`, what every owner of a part told that it has the sums of.
fn summed_by_owners(view: &View, at_step: &[(u16, &Entry)], all: &IndexSet) -> IndexSet {
    let mut summed = all.clone();
    for owner in view.owners.iter().collect::<std::collections::BTreeSet<_>>() {
        let told = at_step.iter().find(|(position, _)| position == owner);
        summed = told.map_or_else(IndexSet::new, |(_, entry)| summed.minus(&all.minus(&entry.summed)));
    }
    summed
}
