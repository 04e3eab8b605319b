//! States of joiners: they come in memory, from the members that the session names.

use std::sync::Arc;

use bytes::Bytes;
use traind_protocol::ids::{ChunkId, NodeId, StateId};
use traind_protocol::transfer::{Chunk, Fetch, FetchInput};
use traind_store::{StoreError, chunk_id};

use super::driver::{Done, Driver};
use super::fetching::{Fetching, Stage};
use super::messages::{FetchError, Request, What};

impl Driver {
    /// A session needs a state, or names more members that have it, or some from which something may be lost. With
    /// `only_these` who was named before is asked no more: it may be gone from the view, and have let the state go.
    pub(super) fn state_requested(
        &mut self,
        id: StateId,
        chunks: &[Chunk],
        only_these: bool,
        request: Request,
    ) {
        let what = What::State(id);
        let Request { sources, reply, .. } = request;
        // A node is a joiner of one state at a time.
        let is_other = |of: &What| matches!(of, What::State(_)) && *of != what;
        let others: Vec<What> = self.fetches.iter().map(|fetching| fetching.what).filter(is_other).collect();
        others.into_iter().for_each(|other| self.end(other, Err(FetchError::Forgotten)));
        // The connection that it joins by may be newer than the last look.
        self.look_at_connections();
        if self.fetching(what).is_none() {
            let mut fetching = Fetching::new(what, self.parts.clock.now());
            let missing = self.held.missing(id, chunks);
            fetching.stage = Stage::Chunks(Box::new(Fetch::new(self.parts.node, &missing)));
            self.fetches.push(fetching);
        }
        let me = self.parts.node;
        let sources: Vec<NodeId> = sources.into_iter().filter(|node| *node != me).collect();
        let mut gone = Vec::new();
        if let Some(fetching) = self.fetching(what) {
            if only_these {
                gone.extend(fetching.sources.iter().filter(|node| !sources.contains(node)).copied());
                fetching.sources.retain(|node| sources.contains(node));
            }
            fetching.sources.extend(&sources);
            fetching.join(reply);
        }
        for node in gone {
            self.assembly.forget_sender(node);
            self.feed(what, FetchInput::SourceLost(node));
        }
        for node in sources {
            self.assembly.forget_sender(node);
            self.feed(what, FetchInput::SourceForgiven(node));
            self.feed(what, FetchInput::SourceLost(node));
            if self.connections.contains(node) {
                self.feed(what, FetchInput::SourceJoined(node));
            }
        }
        self.feed(what, FetchInput::Tick);
    }

    /// Checks a chunk of a state beside this thread and keeps it.
    pub(super) fn keep_in_memory(&self, id: StateId, from: NodeId, chunk: ChunkId, content: Bytes) {
        let what = What::State(id);
        let held = Arc::clone(&self.held);
        let keep = move || {
            let is_right = chunk_id(&content) == chunk;
            if is_right {
                held.keep(id, chunk, content);
            }
            let outcome = if is_right { Ok(()) } else { Err(StoreError::WrongContent { id: chunk }) };
            Done::Kept { what, from, chunk, outcome }
        };
        self.work(keep, Done::Finished { what, outcome: Err(FetchError::Panicked) });
    }
}
