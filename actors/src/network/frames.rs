//! Takes frames of the data connections to the running session and to the transfer thread.

use tokio::sync::{mpsc, watch};
use traind_p2p::DataEvent;
use traind_protocol::wire::data::FrameKind;

use crate::session::SessionInput;
use crate::transfer::{TransferInput, Transfers};

/// Routes until the network ends. While the session's queue is full this waits, and with it the sending peers.
/// Without a session its frames are dropped: a session that starts later says where it stands and is sent them again.
/// The transfer thread takes what it asked for; this never waits for it, because training would.
pub(super) fn route(
    mut data: mpsc::Receiver<DataEvent>,
    session: &watch::Receiver<Option<mpsc::Sender<SessionInput>>>,
    transfers: &Transfers,
) {
    while let Some(event) = data.blocking_recv() {
        let input = match event {
            DataEvent::Frame { from, kind: FrameKind::Transfer, header, payload } => {
                transfers.route(TransferInput::Frame { from, header, payload });
                continue;
            }
            DataEvent::Frame { from, kind: FrameKind::Sync, header, payload } => {
                SessionInput::Frame { from, header, payload }
            }
            DataEvent::Violated { from } => SessionInput::Violated(from),
            DataEvent::PathOpened { to } => {
                transfers.route(TransferInput::PathOpened(to));
                SessionInput::PathOpened(to)
            }
        };
        let sink = session.borrow().clone();
        let Some(sink) = sink else { continue };
        // A session that has just ended needs no more frames.
        let _ = sink.blocking_send(input);
    }
}
