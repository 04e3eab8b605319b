//! The node's store: what is in it, whether it is whole, and what is mended by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use traind_actors::session::chain_of;
use traind_protocol::ids::ManifestId;
use traind_store::{Chunks, StoreError, Verified};

use super::Backend;
use crate::control::STREAM_ITEMS_MAX;
use crate::control::api::{ApiError, Response, StoreCollected, StoreReport, StreamItem};

/// From one word on the progress of a verification to the next.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

impl Backend {
    pub(super) async fn store_status(&self) -> Result<Response, ApiError> {
        let status = self.with_chunks("the store cannot be counted", Chunks::status).await?;
        Ok(Response::StoreStatus(StoreReport::of(self.data_dir.display().to_string(), &status)))
    }

    pub(super) async fn store_collect(&self, dry_run: bool) -> Result<Response, ApiError> {
        let collect = move |chunks: &Chunks| chunks.collect(dry_run);
        let collected = self.with_chunks("the store cannot be swept", collect).await?;
        Ok(Response::StoreCollected(StoreCollected::of(dry_run, collected)))
    }

    pub(super) async fn store_rebuild_index(&self) -> Result<Response, ApiError> {
        let manifests = self.with_chunks("the index cannot be made anew", Chunks::rebuild_index).await?;
        Ok(Response::StoreIndexRebuilt { manifests })
    }

    /// Reads all of the store beside everything else; stops when nobody listens any more.
    pub(super) fn store_verify(&self) -> mpsc::Receiver<StreamItem> {
        let (items, receiver) = mpsc::channel(STREAM_ITEMS_MAX);
        let chunks = Arc::clone(self.facts.store.chunks());
        tokio::task::spawn_blocking(move || match verify(&chunks, None, &items) {
            Ok(verified) => {
                // A reader that is gone needs neither.
                let _ = items.blocking_send(StreamItem::StoreVerified(verified.into()));
                let _ = items.blocking_send(StreamItem::StreamEnd);
            }
            // The stream ends without its last line, which the client reports.
            Err(error) => tracing::error!(error = chain_of(&error), "the store cannot be verified"),
        });
        receiver
    }

    async fn with_chunks<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Chunks) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let chunks = Arc::clone(self.facts.store.chunks());
        match tokio::task::spawn_blocking(move || work(&chunks)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                Err(ApiError::unavailable(what).because(chain_of(&error)).next("trainctl status"))
            }
            Err(_panicked) => Err(ApiError::unavailable(what)),
        }
    }
}

/// Reads what `only` names, or all, and tells how far it is.
pub(super) fn verify(
    chunks: &Chunks,
    only: Option<ManifestId>,
    items: &mpsc::Sender<StreamItem>,
) -> Result<Verified, StoreError> {
    let mut told_at = Instant::now();
    chunks.verify_all(only, &mut |progress| {
        if told_at.elapsed() < PROGRESS_INTERVAL {
            return !items.is_closed();
        }
        told_at = Instant::now();
        items.blocking_send(StreamItem::StoreProgress(progress.into())).is_ok()
    })
}
