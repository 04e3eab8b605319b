//! Chunks of states in memory: of the one that this node offers to joiners, and of the one that it gets as a joiner.
//! Nothing of them is written: a joiner that dies begins anew, and so small a state as most are would wait for the disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use traind_protocol::ids::{ChunkId, StateId};
use traind_protocol::transfer::Chunk;

type ByState = BTreeMap<StateId, BTreeMap<ChunkId, Bytes>>;

/// Chunks by the state that they are of. Whoever puts a state here releases it; a session has two at most.
#[derive(Debug, Default)]
pub struct HeldStates {
    states: Mutex<ByState>,
}

impl HeldStates {
    /// Holds a whole state.
    pub fn hold(&self, state: StateId, chunks: impl IntoIterator<Item = (ChunkId, Bytes)>) {
        self.lock().insert(state, chunks.into_iter().collect());
    }

    /// Makes room for a state of these chunks. What of it is here already, of another state too, is kept.
    pub fn begin(&self, state: StateId, chunks: &[Chunk]) {
        let mut states = self.lock();
        let known = |id: ChunkId| states.values().find_map(|held| held.get(&id)).cloned();
        let here = chunks.iter().filter_map(|chunk| Some((chunk.id, known(chunk.id)?))).collect();
        states.insert(state, here);
    }

    /// Those of `chunks` that are not here of this state.
    #[must_use]
    pub fn missing(&self, state: StateId, chunks: &[Chunk]) -> Vec<Chunk> {
        let states = self.lock();
        let held = states.get(&state);
        let is_here = |chunk: &Chunk| held.is_some_and(|held| held.contains_key(&chunk.id));
        chunks.iter().filter(|chunk| !is_here(chunk)).copied().collect()
    }

    /// A chunk has come whose content was checked. `false` if the state is not wanted any more.
    pub fn keep(&self, state: StateId, chunk: ChunkId, content: Bytes) -> bool {
        let mut states = self.lock();
        let held = states.get_mut(&state);
        held.map(|held| held.insert(chunk, content)).is_some()
    }

    /// The content of a chunk of any state.
    #[must_use]
    pub fn get(&self, chunk: ChunkId) -> Option<Bytes> {
        self.lock().values().find_map(|held| held.get(&chunk)).cloned()
    }

    /// The state is not needed any more.
    pub fn release(&self, state: StateId) {
        self.lock().remove(&state);
    }

    fn lock(&self) -> MutexGuard<'_, ByState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(index: u8) -> Chunk {
        Chunk { id: ChunkId([index; 32]), bytes: 1 }
    }

    #[test]
    fn what_two_states_share_is_kept_and_what_is_released_is_gone() {
        let held = HeldStates::default();
        let (old, new) = (StateId([1; 32]), StateId([2; 32]));
        let content = |index: u8| Bytes::from(vec![index]);
        held.hold(old, [(chunk(1).id, content(1)), (chunk(2).id, content(2))]);
        let list = [chunk(2), chunk(3)];
        assert_eq!(held.missing(new, &list), list);
        assert!(!held.keep(new, chunk(3).id, content(3)), "nobody has asked for it");
        held.begin(new, &list);
        assert_eq!(held.missing(new, &list), [chunk(3)]);
        held.release(old);
        assert_eq!((held.get(chunk(1).id), held.get(chunk(2).id)), (None, Some(content(2))));
        assert!(held.keep(new, chunk(3).id, content(3)));
        assert_eq!(held.missing(new, &list), []);
        held.begin(new, &list);
        assert_eq!(held.missing(new, &list), [], "begun again, nothing is lost");
    }
}
