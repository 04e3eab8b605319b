//! The state that a job starts from, on disk before the job is in the ledger.

use std::sync::Arc;

use traind_actors::session::InitialState;
use traind_protocol::ids::{Chain, JobId};
use traind_store::{CheckpointRecord, Store, StoreError};

/// Such a state that no job refers to yet. Dropped as it is it is deleted: whoever submitted the job went away in between.
pub(super) struct InitialOnDisk {
    store: Arc<Store>,
    job: JobId,
    record: CheckpointRecord,
    is_claimed: bool,
}

impl InitialOnDisk {
    /// Writes the state of step 0 of `job`. It is deleted too where nobody waits for the end of the write any more.
    ///
    /// # Errors
    /// When the disk is full or fails; `None` when the write panicked.
    pub(super) async fn write(
        store: Arc<Store>,
        job: JobId,
        chain: Chain,
        state: InitialState,
    ) -> Result<Self, Option<StoreError>> {
        let InitialState { digest, bytes } = state;
        let written = tokio::task::spawn_blocking(move || {
            let record = store.write_checkpoint(job, 0, chain, digest, &bytes)?;
            Ok(Self { store, job, record, is_claimed: false })
        });
        written.await.map_err(|_panicked| None)?.map_err(Some)
    }

    /// A job that refers to it is about to be proposed: from here on it is the ledger that says whether it stays.
    pub(super) fn claim(mut self) -> CheckpointRecord {
        self.is_claimed = true;
        self.record
    }
}

impl Drop for InitialOnDisk {
    fn drop(&mut self) {
        if !self.is_claimed
            && let Err(error) = self.store.retain(self.job, &[])
        {
            tracing::warn!(job = %self.job.to_hex(), %error, "the state of a job that was not submitted stays on disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use anyhow::Context as _;
    use traind_protocol::ids::Digest;

    use super::*;

    const JOB: JobId = JobId([7; 8]);

    fn write(store: &Arc<Store>) -> impl Future<Output = Result<InitialOnDisk, Option<StoreError>>> + use<> {
        let state = InitialState { digest: Digest([1; 32]), bytes: vec![3; 1 << 20].into() };
        InitialOnDisk::write(Arc::clone(store), JOB, Chain([2; 32]), state)
    }

    #[test]
    fn a_state_that_no_job_came_to_refer_to_goes() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Arc::new(Store::open(folder.path())?);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let kept = || anyhow::Ok(store.list_checkpoints(Some(JOB))?.len());

        let written = runtime.block_on(write(&store)).ok().context("it is written")?;
        assert_eq!(kept()?, 1);
        drop(written);
        assert_eq!(kept()?, 0, "whoever submitted it is gone");

        let written = runtime.block_on(write(&store)).ok().context("it is written")?;
        assert_eq!(written.claim().step, 0);
        assert_eq!(kept()?, 1, "a job refers to it");
        store.retain(JOB, &[])?;

        // Whoever submitted it goes while it is written.
        let mut interrupted = Box::pin(write(&store));
        let begun = runtime.block_on(async {
            interrupted.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
        });
        drop(interrupted);
        // Waits for the write.
        drop(runtime);
        assert!(begun);
        assert_eq!(kept()?, 0);
        Ok(())
    }
}
