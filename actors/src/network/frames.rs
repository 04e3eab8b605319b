//! Takes frames of the data connections to the running session.

use tokio::sync::{mpsc, watch};
use traind_p2p::DataEvent;

use crate::session::SessionInput;

/// Routes until the network ends. While the session's queue is full this waits, and with it the sending peers.
/// Without a session frames are dropped: a session that starts later says where it stands and is sent them again.
pub(super) fn route(
    mut data: mpsc::Receiver<DataEvent>,
    session: &watch::Receiver<Option<mpsc::Sender<SessionInput>>>,
) {
    while let Some(event) = data.blocking_recv() {
        let sink = session.borrow().clone();
        let Some(sink) = sink else { continue };
        let input = match event {
            DataEvent::Frame { from, header, payload, kind: _ } => SessionInput::Frame { from, header, payload },
            DataEvent::PathOpened { to } => SessionInput::PathOpened(to),
        };
        // A session that has just ended needs no more frames.
        let _ = sink.blocking_send(input);
    }
}
