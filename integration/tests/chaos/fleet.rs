//! The daemons of one trial: running, frozen or killed.

use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::time::Instant;
use traind::control::api::{NodeRole, Request, Response};
use traind_integration::{Daemon, DaemonOptions, HungThread};

use crate::KIT;
use crate::plan::MICRO_BATCH_TIME;

/// How long an answer of a daemon may take before another is asked.
const ANSWER: Duration = Duration::from_secs(2);

enum State {
    Running(Daemon),
    Frozen(Daemon, Instant),
    Killed(DaemonOptions),
}

/// All daemons ever started, in the order of their first start.
pub(crate) struct Fleet {
    folder: TempDir,
    /// Processes that got SIGKILL.
    pub(crate) kills: usize,
    members: Vec<State>,
    /// Trainers that stand still: of which daemon, and until when.
    hung: Vec<(usize, Instant, HungThread)>,
}

impl Fleet {
    /// `count` daemons that know each other.
    pub(crate) async fn start(count: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the fleet")?;
        let mut fleet = Self { folder, kills: 0, members: Vec::new(), hung: Vec::new() };
        for _ in 0..count {
            fleet.add().await?;
        }
        let wait = Request::NodeWait { live: u32::try_from(count)?, timeout_ms: 30_000 };
        for daemon in fleet.running() {
            daemon.ask(wait.clone()).await?;
        }
        Ok(fleet)
    }

    /// Starts a daemon with a directory of its own.
    pub(crate) async fn add(&mut self) -> anyhow::Result<()> {
        let options = DaemonOptions {
            binary: KIT.into(),
            data_dir: self.folder.path().join(format!("node-{}", self.members.len() + 1)),
            peers: self.address().into_iter().collect(),
            listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
            threads: 1,
            variables: vec![("TRAIND_LIMITS__MICRO_BATCH_TIME".to_owned(), MICRO_BATCH_TIME.to_owned())],
            namespace: None,
        };
        self.members.push(State::Running(Daemon::start(options).await?));
        Ok(())
    }

    /// Where a new daemon finds the others: the first living one, or nowhere.
    fn address(&self) -> Option<String> {
        self.running().next().map(|daemon| daemon.address().to_owned())
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Daemon> {
        self.members.iter().filter_map(|member| match member {
            State::Running(daemon) => Some(daemon),
            _ => None,
        })
    }

    /// Positions of daemons that are not killed, frozen ones too.
    pub(crate) fn living(&self) -> Vec<usize> {
        self.positions(|state| !matches!(state, State::Killed(_)))
    }

    /// Positions of killed daemons.
    pub(crate) fn killed(&self) -> Vec<usize> {
        self.positions(|state| matches!(state, State::Killed(_)))
    }

    fn positions(&self, wanted: impl Fn(&State) -> bool) -> Vec<usize> {
        (0..self.members.len()).filter(|&position| wanted(&self.members[position])).collect()
    }

    /// Position of the coordinator, by the word of the first daemon that answers and knows one.
    pub(crate) async fn coordinator(&self) -> Option<usize> {
        for daemon in self.running() {
            let asked = tokio::time::timeout(ANSWER, daemon.ask(Request::NodeList)).await;
            let Ok(Ok(Response::NodeList { nodes })) = asked else { continue };
            let Some(leading) = nodes.iter().find(|node| node.role == NodeRole::Coordinator) else {
                continue;
            };
            let found = self.positions(|state| match state {
                State::Running(daemon) | State::Frozen(daemon, _) => daemon.node() == leading.id,
                State::Killed(_) => false,
            });
            return found.first().copied();
        }
        None
    }

    /// Whether the job has ended, by the word of the first daemon that answers; without one nobody knows.
    pub(crate) async fn has_ended(&self, job: &str) -> bool {
        for daemon in self.running() {
            let request = Request::JobShow { job: job.to_owned() };
            if let Ok(Ok(Response::JobDetail(detail))) =
                tokio::time::timeout(ANSWER, daemon.ask(request)).await
            {
                return detail.status.has_ended();
            }
        }
        false
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, position: usize) -> anyhow::Result<()> {
        self.hung.retain(|(of, ..)| *of != position);
        let member = self.members.remove(position);
        let options = match member {
            State::Running(daemon) | State::Frozen(daemon, _) => {
                self.kills += 1;
                daemon.kill()?
            }
            State::Killed(options) => options,
        };
        self.members.insert(position, State::Killed(options));
        Ok(())
    }

    /// SIGSTOP; [`Self::pass`] continues it.
    pub(crate) fn freeze(&mut self, position: usize, time: Duration) -> anyhow::Result<()> {
        let member = self.members.remove(position);
        let member = match member {
            State::Running(daemon) => {
                daemon.freeze()?;
                State::Frozen(daemon, Instant::now() + time)
            }
            other => other,
        };
        self.members.insert(position, member);
        Ok(())
    }

    /// The trainer stands still, if there is one; [`Self::pass`] lets it go on.
    pub(crate) fn hang(&mut self, position: usize, time: Duration) {
        if let State::Running(daemon) = &self.members[position]
            && let Ok(thread) = daemon.hang_thread("trainer")
        {
            self.hung.push((position, Instant::now() + time, thread));
        }
    }

    /// Starts a killed daemon where it was.
    pub(crate) async fn restart(&mut self, position: usize) -> anyhow::Result<()> {
        if let State::Killed(options) = &self.members[position] {
            let daemon = Daemon::start(options.clone()).await?;
            self.members[position] = State::Running(daemon);
        }
        Ok(())
    }

    /// Lets time pass and continues frozen daemons when theirs is over.
    pub(crate) async fn pass(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        loop {
            let next = self.members.iter().filter_map(|member| match member {
                State::Frozen(_, until) => Some(*until),
                _ => None,
            });
            let next = next.chain(self.hung.iter().map(|(_, until, _)| *until)).min();
            let until = next.map_or(end, |next| next.min(end));
            tokio::time::sleep_until(until).await;
            self.thaw(|due| due <= Instant::now())?;
            self.hung.retain(|(_, until, _)| *until > Instant::now());
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    /// Everybody runs again.
    pub(crate) async fn recover(&mut self) -> anyhow::Result<()> {
        self.thaw(|_| true)?;
        self.hung.clear();
        for position in self.killed() {
            self.restart(position).await?;
        }
        Ok(())
    }

    fn thaw(&mut self, is_due: impl Fn(Instant) -> bool) -> anyhow::Result<()> {
        for member in std::mem::take(&mut self.members) {
            self.members.push(match member {
                State::Frozen(daemon, until) if is_due(until) => {
                    daemon.thaw()?;
                    State::Running(daemon)
                }
                other => other,
            });
        }
        Ok(())
    }

    /// Fails if a process that nobody killed has ended.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        for member in &mut self.members {
            if let State::Running(daemon) | State::Frozen(daemon, _) = member {
                let ended = daemon.ended()?;
                anyhow::ensure!(
                    ended.is_none(),
                    "{} ended by itself: {ended:?}",
                    daemon.data_dir().display()
                );
            }
        }
        Ok(())
    }

    /// All logs.
    pub(crate) fn logs(&self) -> Vec<(String, String)> {
        (1..=self.members.len())
            .map(|number| {
                let name = format!("node-{number}");
                let path = self.folder.path().join(&name).with_extension("log");
                (name, std::fs::read_to_string(path).unwrap_or_default())
            })
            .collect()
    }
}
