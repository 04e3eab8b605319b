//! A session that is built before this node is a member: data read, model made. A joiner counts in the barrier from the
//! view that admits it on, so the others would wait for it to read its data.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;
use traind_protocol::ids::JobId;
use traind_protocol::ledger::{JobRecord, JobStatus};

use super::Sessions;
use crate::council::Published;

/// Have the session of this job ready, if the job runs and may take this node: an error says in words why it cannot be
/// built here.
#[derive(Message)]
#[rtype(result = "Result<(), String>")]
pub(crate) struct PrepareSession {
    /// The ledger that shows the job.
    pub(crate) published: Arc<Published>,
    /// The job.
    pub(crate) job: JobId,
}

/// Whether a node that comes may soon be a member. Spares of a full job need no session.
fn has_room(job: &JobRecord) -> bool {
    let view = job.view.as_ref().filter(|_| job.status == JobStatus::Running);
    view.is_some_and(|view| view.members.len() < job.plan.members_max())
}

impl Handler<PrepareSession> for Sessions {
    type Result = ResponseActFuture<Self, Result<(), String>>;

    fn handle(&mut self, message: PrepareSession, _context: &mut Self::Context) -> Self::Result {
        let PrepareSession { published, job } = message;
        let record = published.ledger.jobs.get(&job).filter(|record| has_room(record));
        let (Some(record), None) = (record, &self.running) else {
            return Box::pin(actix::fut::ready(Ok(())));
        };
        let (when_built, built) = oneshot::channel();
        self.start(record, published.detours, Some(when_built));
        let built = async { built.await.unwrap_or_else(|_gone| Err("its session ended".to_owned())) };
        Box::pin(built.into_actor(self).map(move |built, actor, _context| {
            actor.prepared(job, built.is_ok());
            built
        }))
    }
}

impl Sessions {
    /// The session of `job` is there now, or could not be built.
    fn prepared(&mut self, job: JobId, is_built: bool) {
        let Some(running) = self.running.as_mut().filter(|running| running.job == job) else { return };
        if is_built {
            running.is_preparing = false;
            tracing::info!(job = %job.short(), "the session is ready, a view may admit this node");
        } else if running.is_preparing {
            self.running = None;
            self.parts.frames.send_replace(None);
        }
    }
}
