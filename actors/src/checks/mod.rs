//! The actor that checks on this node, before a job starts, that the job can run here: its data, its model, its memory.
//! If the job runs already, its session is built first.
//!
//! Hears: the published ledger. Tells: the coordinator, through the council's queue, once for each job and again every
//! second for as long as the job may need this node, because the word may be lost with a connection or a coordinator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::mpsc;
use traind_protocol::ids::{JobId, Life, NodeId};
use traind_protocol::ledger::JobStatus;
use traind_protocol::wire::control::JobCheck;

use crate::council::{CouncilInbox, Published};
use crate::data_sets::DataSets;
use crate::session::{JobNeeds, LedgerPublished, PrepareSession, Sessions, check_job};

/// Outcomes are told again this often.
const REPEAT_EVERY: Duration = Duration::from_secs(1);

/// Messages that may wait for this actor: ledger changes, which replace each other.
const CHECKS_MAILBOX_MAX: usize = 64;

/// What this node has to offer.
#[derive(Clone)]
pub(crate) struct CheckParts {
    /// This process.
    pub(crate) me: Life,
    /// Device that training runs on.
    pub(crate) device: String,
    /// Bytes that a job may take here; `None` is no limit.
    pub(crate) memory_bytes_max: Option<u64>,
    /// Where data sets of the swarm are on this node.
    pub(crate) data_sets: DataSets,
    /// The council's queue.
    pub(crate) council: mpsc::Sender<CouncilInbox>,
    /// Where sessions are built.
    pub(crate) sessions: Addr<Sessions>,
}

type Outcome = Result<[u8; 32], String>;

/// A job that this node refused is looked at again after this long, and twice as late each time: people may have mended what was
/// wrong, and a look may read all of a job's data.
const RECHECK_PAUSE: Duration = Duration::from_secs(30);

/// Doublings of [`RECHECK_PAUSE`] at most: every eight minutes.
const RECHECK_DOUBLINGS_MAX: u32 = 4;

/// How a check ended.
struct Checked {
    outcome: Outcome,
    /// How often the job was refused in a row, and when it is looked at again.
    refusals: u32,
    due_at: Option<Instant>,
}

impl Checked {
    /// After `refusals` before.
    fn new(outcome: Outcome, refusals: u32, now: Instant) -> Self {
        let pause = RECHECK_PAUSE * 2u32.pow(refusals.min(RECHECK_DOUBLINGS_MAX));
        let due_at = outcome.is_err().then_some(now + pause);
        let refusals = if outcome.is_err() { refusals.saturating_add(1) } else { 0 };
        Self { outcome, refusals, due_at }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due_at.is_some_and(|due_at| now >= due_at)
    }
}

/// Checks jobs one after the other, beside everything else.
pub(crate) struct Checks {
    parts: CheckParts,
    published: Arc<Published>,
    coordinator: Option<NodeId>,
    outcomes: BTreeMap<JobId, Checked>,
    checking: Option<JobId>,
}

impl Checks {
    /// Nothing is checked yet.
    #[must_use]
    pub(crate) fn new(parts: CheckParts) -> Self {
        Self {
            parts,
            published: Arc::default(),
            coordinator: None,
            outcomes: BTreeMap::new(),
            checking: None,
        }
    }

    fn follow(&mut self, published: Arc<Published>) {
        let is_open = |job: &JobId| published.ledger.jobs.get(job).is_some_and(|record| !record.has_ended());
        self.outcomes.retain(|job, _outcome| is_open(job));
        self.published = published;
        if self.coordinator != self.published.coordinator {
            self.coordinator = self.published.coordinator;
            self.tell_all();
        }
    }

    /// Starts the check of the first job that has none, if none is under way.
    fn check_next(&mut self, context: &mut Context<Self>) {
        if self.checking.is_some() {
            return;
        }
        let now = Instant::now();
        let is_wanted = |status: &JobStatus| matches!(status, JobStatus::Queued | JobStatus::Running);
        let mut jobs = self.published.ledger.jobs.values();
        // One whose data sets are still on their way is looked at later.
        let next = jobs.find(|record| {
            is_wanted(&record.status)
                && self.outcomes.get(&record.id).is_none_or(|checked| checked.is_due(now))
                && (self.parts.data_sets.is_ready(&record.spec_toml)
                    || self.parts.data_sets.refusal_of(&record.spec_toml).is_some())
        });
        let Some(record) = next else { return };
        let (job, spec_toml) = (record.id, record.spec_toml.clone());
        let refusal = self.parts.data_sets.refusal_of(&spec_toml);
        let needs = JobNeeds {
            device: self.parts.device.clone(),
            memory_bytes_max: self.parts.memory_bytes_max,
            sets: self.parts.data_sets.paths_of(&spec_toml),
        };
        self.checking = Some(job);
        let (sessions, published) = (self.parts.sessions.clone(), Arc::clone(&self.published));
        let check = async move {
            if let Some(reason) = refusal {
                return Err(reason);
            }
            let digest = tokio::task::spawn_blocking(move || check_job(&spec_toml, &needs))
                .await
                .unwrap_or_else(|panicked| Err(format!("the check panicked: {panicked}")))?;
            // Said only now, so that nobody waits for this node to read its data once it is a member.
            let prepared = sessions.send(PrepareSession { published, job }).await;
            prepared.unwrap_or(Ok(())).map(|()| digest)
        };
        let done = check.into_actor(self).map(move |outcome, actor, context| {
            actor.checking = None;
            let before = actor.outcomes.get(&job);
            if let Err(reason) = &outcome
                && before.is_none_or(|before| before.outcome != outcome)
            {
                tracing::warn!(job = %job.short(), reason, "this node refuses a job");
            }
            let refusals = before.map_or(0, |before| before.refusals);
            actor.outcomes.insert(job, Checked::new(outcome, refusals, Instant::now()));
            actor.tell(job);
            actor.check_next(context);
        });
        context.spawn(done);
    }

    fn tell_all(&self) {
        for &job in self.outcomes.keys() {
            self.tell(job);
        }
    }

    /// A member of the view has been taken at its word already.
    fn tell(&self, job: JobId) {
        let me = self.parts.me;
        let is_member = self.published.ledger.jobs.get(&job).is_some_and(|record| {
            record.status == JobStatus::Running
                && record.view.as_ref().is_some_and(|view| view.member(me).is_some())
        });
        let Some(checked) = self.outcomes.get(&job).filter(|_checked| !is_member) else { return };
        let check = JobCheck { job, boot: me.boot, outcome: checked.outcome.clone() };
        // A full queue loses the word; it is said again.
        let _ = self.parts.council.try_send(CouncilInbox::LocalCheck(check));
    }
}

impl Actor for Checks {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(CHECKS_MAILBOX_MAX);
        context.run_interval(REPEAT_EVERY, |actor, context| {
            actor.tell_all();
            actor.check_next(context);
        });
    }
}

impl Handler<LedgerPublished> for Checks {
    type Result = ();

    fn handle(&mut self, message: LedgerPublished, context: &mut Self::Context) {
        self.follow(message.0);
        self.check_next(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_looked_at_again_later_each_time_and_an_acceptance_never() {
        let now = Instant::now();
        let refused = |refusals| Checked::new(Err("no such file".to_owned()), refusals, now);
        let pauses = [0, 1, 2, 3, 4, 5, u32::MAX].map(|refusals| refused(refusals).due_at.unwrap() - now);
        assert_eq!(pauses.map(|pause| pause.as_secs()), [30, 60, 120, 240, 480, 480, 480]);
        assert!(!refused(0).is_due(now + RECHECK_PAUSE / 2) && refused(0).is_due(now + RECHECK_PAUSE));
        assert_eq!(refused(1).refusals, 2);
        let accepted = Checked::new(Ok([1; 32]), 3, now);
        assert!(!accepted.is_due(now + 100 * RECHECK_PAUSE) && accepted.refusals == 0);
    }
}
