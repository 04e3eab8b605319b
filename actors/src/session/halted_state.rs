//! Captured states and where they go: to the store, to a joiner, or kept until the store has what a job stopped at.

use traind_protocol::ids::{Chain, Digest, Epoch};
use traind_protocol::sync::SyncMessage;
use traind_protocol::wire::control::ReportEvent;

use super::captured_state::CapturedState;
use super::driver::SessionDriver;
use super::trainer::CapturePurpose;

/// The state that a job stopped at. Other checkpoints may be left out when the store is behind, this one may not: the job
/// goes on from it.
#[derive(Debug)]
pub(super) struct HaltedState {
    step: u64,
    chain: Chain,
    digest: Digest,
    state: CapturedState,
}

impl SessionDriver {
    pub(super) fn captured(&mut self, purpose: CapturePurpose, state: CapturedState, digest: Option<Digest>) {
        match purpose {
            CapturePurpose::Checkpoint { step, chain } => {
                self.links.write_checkpoint(self.job(), step, chain, digest, state);
            }
            CapturePurpose::Halt { epoch, step, chain } => {
                let digest = digest.unwrap_or_else(|| state.digest());
                self.captured_halt(epoch, HaltedState { step, chain, digest, state })
            }
            CapturePurpose::Snapshot { request } => {
                if let Some((to, head)) = self.snapshots.remove(&request) {
                    let message =
                        SyncMessage::snapshot(self.job(), self.plan.sync.me.boot, head, state.to_bytes());
                    self.send(to, &message);
                }
            }
        }
    }

    fn captured_halt(&mut self, epoch: Epoch, halted: HaltedState) {
        // In a view that halts as well but is newer the machine says it anew, and it is captured again.
        if epoch != self.reports.epoch() {
            return;
        }
        let HaltedState { step, chain, digest, .. } = halted;
        // The state of step 0 is the seed's: nobody needs it on a disk.
        self.halted = (step > 0).then_some(halted);
        self.offer_halted_state();
        self.report(ReportEvent::Halted { step, chain, digest });
    }

    /// Hands the state that the job stopped at to the store, again until it is written.
    pub(super) fn offer_halted_state(&self) {
        if let Some(HaltedState { step, chain, digest, state }) = &self.halted {
            self.links.write_checkpoint(self.job(), *step, *chain, Some(*digest), state.clone());
        }
    }

    /// The store has a checkpoint of `step`.
    pub(super) fn halt_written(&mut self, step: u64) {
        self.halted.take_if(|halted| halted.step == step);
    }
}
