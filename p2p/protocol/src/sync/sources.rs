//! Who gave which result: what shows that a member says different things at different times, or to different members.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::{Chain, Epoch, NodeId};

/// Where results are from, by part: who gave it, and in which epoch. Own ones are not in it.
type Givers = BTreeMap<u32, (NodeId, Epoch)>;

/// Where our results are from.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Of the step in progress.
    now: Givers,
    /// Of the step before.
    last: Givers,
    /// The last step of a state that was taken from us: others may have had other results.
    lost: Option<LostStep>,
}

/// Results that led to a state which counts no more.
#[derive(Debug)]
struct LostStep {
    /// Steps applied, that one included.
    step: u64,
    base: Chain,
    /// BLAKE3 of each result.
    results: Vec<[u8; 32]>,
    givers: Givers,
}

impl Sources {
    /// The result of `part` is from `giver`.
    pub(super) fn set(&mut self, part: u32, giver: NodeId, epoch: Epoch) {
        self.now.insert(part, (giver, epoch));
    }

    /// Whether `giver` gave the result of `part` in this very epoch. What it gave in an earlier one it may have lost since.
    pub(super) fn is_from(&self, part: u32, giver: NodeId, epoch: Epoch) -> bool {
        self.now.get(&part) == Some(&(giver, epoch))
    }

    /// The step in progress is applied.
    pub(super) fn applied(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }

    /// Our state after `step` steps counts no more. `last` are the results that led to it from the state of `base`.
    pub(super) fn lose(&mut self, (step, base): (u64, Chain), last: &[Bytes]) {
        let givers = std::mem::take(&mut self.last);
        self.now.clear();
        if !last.is_empty() && !givers.is_empty() {
            let results = last.iter().map(|result| *blake3::hash(result).as_bytes()).collect();
            self.lost = Some(LostStep { step, base, results, givers });
        }
    }

    /// Results that were given to us and are not those that others `have`, which led them from the state of `base` to the
    /// one after `step` steps, if ours did so too: part, giver, epoch, and the hash of what it gave. Said once.
    pub(super) fn differing(
        &mut self,
        (step, base): (u64, Chain),
        have: &[Bytes],
    ) -> Vec<(u32, NodeId, Epoch, [u8; 32])> {
        let Some(lost) = self.lost.take_if(|lost| lost.step <= step) else { return Vec::new() };
        if (lost.step, lost.base) != (step, base) || have.len() != lost.results.len() {
            return Vec::new();
        }
        let pairs = (0u32..).zip(lost.results.iter().zip(have));
        let differing = pairs.filter(|(_, (given, have))| **given != *blake3::hash(have).as_bytes());
        let named = differing.filter_map(|(part, (given, _))| {
            lost.givers.get(&part).map(|(giver, epoch)| (part, *giver, *epoch, *given))
        });
        named.collect()
    }
}
