//! What a node tells the coordinator when it comes no further, and while it is in no view: whether it could work again.

use traind_protocol::coordinator::limits::STEP_WAIT_INTERVAL_MS;
use traind_protocol::wire::control::ReportEvent;

use super::driver::SessionDriver;
use super::trainer::TrainerCommand;

/// That this process is in no view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outside {
    /// The trainer's answer to this shows that it has worked off what it was told before.
    request: u64,
    is_idle: bool,
}

impl SessionDriver {
    /// This process is in no view any more. Its trainer may hang in what it computed last.
    pub(super) fn step_outside(&mut self) {
        let request = self.next_request();
        self.outside = Some(Outside { request, is_idle: false });
        self.command(TrainerCommand::Answer(request));
    }

    /// The trainer has answered.
    pub(super) fn answered(&mut self, request: u64) {
        if let Some(outside) = self.outside.as_mut().filter(|outside| outside.request == request) {
            outside.is_idle = true;
            self.tell_wait();
        }
    }

    /// Tells what is missing here if the step has not advanced for a while, or that this process is in no view.
    pub(super) fn tell_wait(&mut self) {
        let event = match &self.outside {
            Some(outside) => ReportEvent::Outside { is_idle: outside.is_idle },
            None if self.links.now().since(self.machine.since()) < STEP_WAIT_INTERVAL_MS => return,
            None => match self.machine.step_wait() {
                Some(wait) => ReportEvent::Waiting(wait),
                None => return,
            },
        };
        self.report(event);
    }
}
