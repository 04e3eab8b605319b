//! One fetch: first the manifest, if it is not here, then its chunks.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;
use traind_protocol::ids::{Millis, NodeId};
use traind_protocol::transfer::{Fetch, LACKS_RETRY_MS, MANIFEST_MS_MAX};

use super::messages::{FetchError, FetchSummary, TransferStatus, WAITING_MAX, What};

/// Where a fetch is.
pub(super) enum Stage {
    /// It has not begun: others go on.
    Waiting,
    /// Files are looked at.
    Looking,
    /// The manifest is not here.
    Manifest {
        /// Who was asked, and when.
        asked: Option<(NodeId, Millis)>,
        /// Who is not asked again before a time.
        deferred: BTreeMap<NodeId, Millis>,
    },
    /// Chunks come.
    Chunks(Box<Fetch>),
}

/// One fetch.
pub(super) struct Fetching {
    pub(super) what: What,
    /// When it was asked for.
    pub(super) began_at: Millis,
    /// Who may have it; everybody if empty.
    pub(super) sources: BTreeSet<NodeId>,
    pub(super) stage: Stage,
    pub(super) distrusted: BTreeSet<NodeId>,
    replies: Vec<oneshot::Sender<Result<FetchSummary, FetchError>>>,
}

impl Fetching {
    pub(super) fn new(what: What, now: Millis) -> Self {
        Self {
            what,
            began_at: now,
            sources: BTreeSet::new(),
            stage: Stage::Waiting,
            distrusted: BTreeSet::new(),
            replies: Vec::new(),
        }
    }

    /// Somebody else waits for it.
    pub(super) fn join(&mut self, reply: Option<oneshot::Sender<Result<FetchSummary, FetchError>>>) {
        // Who has stopped waiting makes room.
        self.replies.retain(|reply| !reply.is_closed());
        if self.replies.len() < WAITING_MAX {
            self.replies.extend(reply);
        }
    }

    /// Tells everybody who waits. An error is told to the first alone in full, since it is not to be copied.
    pub(super) fn end(self, outcome: Result<(), FetchError>) {
        let summary = match &self.stage {
            Stage::Chunks(fetch) => {
                let progress = fetch.progress();
                FetchSummary { bytes: progress.bytes_done, bytes_wasted: progress.bytes_wasted }
            }
            _ => FetchSummary::default(),
        };
        let mut outcome = Some(outcome.map(|()| summary));
        for reply in self.replies {
            let told = match &outcome {
                Some(Ok(summary)) => Ok(*summary),
                Some(Err(_)) => outcome.take().unwrap_or(Err(FetchError::Stopped)),
                None => Err(FetchError::Forgotten),
            };
            // Whoever asked may have stopped waiting.
            let _ = reply.send(told);
        }
    }

    /// Whom to ask for the manifest now, of those that are connected.
    pub(super) fn manifest_source(&mut self, now: Millis, connected: &[NodeId]) -> Option<NodeId> {
        let Stage::Manifest { asked, deferred } = &mut self.stage else { return None };
        if let Some((node, at)) = asked {
            if connected.contains(node) && now.since(*at) < MANIFEST_MS_MAX {
                return None;
            }
            deferred.insert(*node, now.plus(LACKS_RETRY_MS));
        }
        *asked = None;
        let may_ask = |node: &&NodeId| {
            !self.distrusted.contains(node) && deferred.get(node).is_none_or(|until| now >= *until)
        };
        let node = *connected.iter().find(may_ask)?;
        *asked = Some((node, now));
        Some(node)
    }

    /// That node cannot give the manifest.
    pub(super) fn manifest_lacking(&mut self, now: Millis, node: NodeId) {
        if let Stage::Manifest { asked, deferred } = &mut self.stage
            && asked.is_some_and(|(of, _)| of == node)
        {
            *asked = None;
            deferred.insert(node, now.plus(LACKS_RETRY_MS));
        }
    }

    /// Whether `node` was asked for the manifest and has not answered.
    pub(super) fn awaits_manifest_of(&self, node: NodeId) -> bool {
        matches!(&self.stage, Stage::Manifest { asked: Some((of, _)), .. } if *of == node)
    }

    pub(super) fn status(&self) -> TransferStatus {
        let progress = match &self.stage {
            Stage::Chunks(fetch) => Some(fetch.progress()),
            _ => None,
        };
        TransferStatus { what: self.what, progress, distrusted: self.distrusted.iter().copied().collect() }
    }
}
