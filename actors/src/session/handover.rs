//! The state on its way to joiners: offered as chunks by who has it, fetched by who has not.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::AbortHandle;
use traind_protocol::ids::{Chain, Epoch, Incarnation, NodeId, StateId};
use traind_protocol::sync::{SnapshotHead, StateOffer, SyncInput, SyncMessage};
use traind_protocol::transfer::{CHUNK_BYTES_MAX, Chunk};
use traind_store::chunk_id;

use super::captured_state::CapturedState;
use super::driver::{SessionDriver, SessionError};
use super::messages::{FetchedState, SessionInput};
use super::trainer::{CapturePurpose, TrainerCommand, chain_of};
use crate::transfer::HeldStates;

/// What a session offers and gets.
#[derive(Debug, Default)]
pub(super) struct Handover {
    offered: Option<Offered>,
    fetching: Option<Fetching>,
}

/// One state, for all joiners.
#[derive(Debug)]
struct Offered {
    step: u64,
    chain: Chain,
    /// Number of the capture.
    request: u64,
    /// What goes with the state, until it is cut.
    head: Option<SnapshotHead>,
    /// `None` while it is captured and cut.
    offer: Option<(StateId, StateOffer)>,
    /// Who is to hear of it, and the view in which it asked.
    waiting: Vec<(NodeId, (Incarnation, Epoch))>,
}

#[derive(Debug)]
struct Fetching {
    id: StateId,
    offer: StateOffer,
    /// Waits for the chunks and puts them together.
    task: AbortHandle,
}

impl SessionDriver {
    /// Offers the state that is kept to a joiner: all are offered the same.
    pub(super) fn offer_state(&mut self, to: NodeId, head: SnapshotHead) {
        let of = (head.incarnation, head.epoch);
        let Some(offered) = &mut self.handover.offered else { return };
        if (offered.step, offered.chain) != (head.step, head.chain) {
            return;
        }
        match &offered.offer {
            Some((_, offer)) => {
                let offer = offer.clone();
                self.send_offer(to, of, offer);
            }
            None => {
                offered.waiting.retain(|(node, _)| *node != to);
                offered.waiting.push((to, of));
            }
        }
    }

    /// Captures the state for joiners, and cuts it.
    pub(super) fn keep_state(&mut self, head: SnapshotHead) {
        self.withdraw_offer();
        let request = self.next_request();
        let (step, chain) = (head.step, head.chain);
        let waiting = Vec::new();
        self.handover.offered =
            Some(Offered { step, chain, request, head: Some(head), offer: None, waiting });
        match self.present.hold(self.restored, step) {
            Some(state) => {
                self.command(TrainerCommand::PrepareUpdateBeside);
                self.cut_state(request, state);
            }
            // The trainer has not come to that step yet.
            None => self.command(TrainerCommand::Capture { purpose: CapturePurpose::Snapshot { request } }),
        }
    }

    /// The state that was to be offered is captured: it is cut beside the session, as its length takes.
    pub(super) fn cut_state(&mut self, request: u64, state: CapturedState) {
        let offered = self.handover.offered.as_mut().filter(|offered| offered.request == request);
        let Some(head) = offered.and_then(|offered| offered.head.take()) else { return };
        let (held, inbox) = (Arc::clone(self.links.transfers.held()), self.links.inbox.clone());
        tokio::task::spawn_blocking(move || {
            // Copied here, so that the trainer is not held up, and what it captured is free for its next update.
            let copy = state.to_bytes();
            drop(state);
            let (id, offer) = cut(&held, &head, &copy);
            if inbox.blocking_send(SessionInput::StateCut { request, id, offer }).is_err() {
                // The session has ended.
                held.release(id);
            }
        });
    }

    /// The state is cut: everybody who asked hears of it.
    pub(super) fn state_cut(&mut self, request: u64, id: StateId, offer: StateOffer) {
        let offered = self.handover.offered.as_mut().filter(|offered| offered.request == request);
        let Some(offered) = offered else { return self.links.transfers.held().release(id) };
        let waiting = std::mem::take(&mut offered.waiting);
        offered.offer = Some((id, offer.clone()));
        waiting.into_iter().for_each(|(to, of)| self.send_offer(to, of, offer.clone()));
    }

    fn send_offer(&mut self, to: NodeId, of: (Incarnation, Epoch), offer: StateOffer) {
        let message = SyncMessage::offer(self.job(), self.plan.sync.me.boot, of, offer);
        self.send(to, &message);
    }

    fn withdraw_offer(&mut self) {
        let offered = self.handover.offered.take();
        if let Some((id, _)) = offered.and_then(|offered| offered.offer) {
            self.links.transfers.held().release(id);
        }
    }

    /// Gets the certified state from these members, or from these as well.
    pub(super) fn fetch_state(&mut self, offer: StateOffer, from: Vec<NodeId>, is_anew: bool) {
        let (id, transfers) = (offer.id(), self.links.transfers.clone());
        let list: Vec<Chunk> = offer.chunks().copied().collect();
        tracing::info!(job = %self.job().short(), step = offer.step, bytes = offer.bytes(), members = from.len(), "the state is fetched");
        transfers.held().begin(id, &list);
        if let Some(old) = self.handover.fetching.take() {
            old.task.abort();
            if old.id != id {
                transfers.forget_state(old.id);
            }
        }
        let inbox = self.links.inbox.clone();
        let assembled = offer.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = transfers.fetch_state(id, list, from, is_anew).await {
                return tracing::debug!(error = chain_of(&error), "the state is not fetched any more");
            }
            let held = Arc::clone(transfers.held());
            let assembled = tokio::task::spawn_blocking(move || assemble(&held, id, &assembled)).await;
            if let Ok(Some((state, last))) = assembled {
                // The session may have ended.
                let _ = inbox.send(SessionInput::StateFetched(FetchedState { id, state, last })).await;
            }
        });
        self.handover.fetching = Some(Fetching { id, offer, task: task.abort_handle() });
    }

    pub(super) fn state_fetched(&mut self, fetched: FetchedState) -> Result<(), SessionError> {
        let FetchedState { id, state, last } = fetched;
        self.feed(SyncInput::StateFetched { id, state, last })
    }

    /// The fetched state is ours: others can have its chunks from here.
    pub(super) fn offer_fetched(&mut self, step: u64, chain: Chain) {
        let Some(Fetching { id, offer, .. }) = self.handover.fetching.take() else { return };
        if (offer.step, offer.chain) != (step, chain) {
            return self.links.transfers.forget_state(id);
        }
        let is_same = |known: &Offered| known.offer.as_ref().is_some_and(|(known, _)| *known == id);
        if self.handover.offered.as_ref().is_some_and(is_same) {
            // Fetched anew after a start over: its chunks are those that were offered.
            self.handover.offered = None;
        } else {
            self.withdraw_offer();
        }
        let (request, head, waiting) = (self.next_request(), None, Vec::new());
        let offer = Some((id, offer));
        self.handover.offered = Some(Offered { step, chain, request, head, offer, waiting });
    }

    /// Nothing of states is needed any more.
    pub(super) fn release_state(&mut self) {
        self.withdraw_offer();
        if let Some(fetching) = self.handover.fetching.take() {
            fetching.task.abort();
            self.links.transfers.forget_state(fetching.id);
        }
    }
}

/// Cuts a state and the results before it, and holds the chunks for whoever asks.
fn cut(held: &HeldStates, head: &SnapshotHead, state: &Bytes) -> (StateId, StateOffer) {
    let (state, last) = (pieces(state), pieces(&head.last.concat().into()));
    let list = |pieces: &[(Chunk, Bytes)]| pieces.iter().map(|(chunk, _)| *chunk).collect();
    let offer = StateOffer::new(head, list(&state), list(&last));
    let id = offer.id();
    held.hold(id, state.into_iter().chain(last).map(|(chunk, content)| (chunk.id, content)));
    (id, offer)
}

/// `content` in chunks of [`CHUNK_BYTES_MAX`], as the store cuts it, so that a checkpoint of the same state has the same.
fn pieces(content: &Bytes) -> Vec<(Chunk, Bytes)> {
    let piece = |piece: &[u8]| {
        let bytes = u32::try_from(piece.len()).unwrap_or(CHUNK_BYTES_MAX);
        (Chunk { id: chunk_id(piece), bytes }, content.slice_ref(piece))
    };
    content.chunks(CHUNK_BYTES_MAX as usize).map(piece).collect()
}

/// Puts a state together; its chunks are held as parts of it from then on.
fn assemble(held: &HeldStates, id: StateId, offer: &StateOffer) -> Option<(Bytes, Vec<Bytes>)> {
    let (state, last) = offer.assemble(|chunk| held.get(chunk))?;
    let mut offset = 0;
    for chunk in &offer.state {
        let end = offset + chunk.bytes as usize;
        held.keep(id, chunk.id, state.slice(offset..end));
        offset = end;
    }
    Some((state, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_cut_and_put_together_is_the_same() {
        let held = HeldStates::default();
        let mut state = vec![0; 2 * CHUNK_BYTES_MAX as usize + 5];
        blake3::Hasher::new().finalize_xof().fill(&mut state);
        let last = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two and more")];
        let head = SnapshotHead {
            incarnation: Incarnation(1),
            epoch: Epoch(2),
            step: 3,
            chain: Chain([3; 32]),
            previous_chain: Chain([2; 32]),
            last: last.clone(),
        };
        let (id, offer) = cut(&held, &head, &state.clone().into());
        assert_eq!((offer.state.len(), offer.last.len(), offer.bytes()), (3, 1, state.len() as u64 + 15));
        assert_eq!(assemble(&held, id, &offer), Some((state.into(), last)));
        let whole = assemble(&held, id, &offer).map(|(state, _)| state);
        let first = held.get(offer.state[0].id);
        let start = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.as_ptr());
        assert_eq!(first.as_ref().map(Bytes::len), Some(CHUNK_BYTES_MAX as usize));
        assert_eq!(start(&first), start(&whole), "a chunk is a part of the state, no copy");
        held.release(id);
        assert_eq!(assemble(&held, id, &offer), None);
    }
}
