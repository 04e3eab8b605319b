//! What is done to the daemons of one trial: a function of the seed alone.

use std::time::Duration;

use traind_integration::JobFile;

use crate::random::Random;

/// Steps of a job. At its pace a job outlasts the deeds: three nodes need at least 16 s.
const STEPS: u64 = 500;

/// Least time of a micro-batch, as `limits.micro_batch_time`: steps take long enough for most deeds to meet one, and the
/// processors are left to elections and starts.
pub(crate) const MICRO_BATCH_TIME: &str = "8 ms";

/// Processes that each trial kills before it lets the job end.
pub(crate) const KILLS: usize = 16;

/// Deeds of a trial, at most: a kill takes two to three, as much that is drawn finds nobody.
const DEEDS_MAX: usize = 40 * KILLS;

/// Daemons that are ever started in one trial: the fleet does not outgrow two cores.
pub(crate) const DAEMONS_MAX: usize = 6;

/// What is done to daemons. Numbers choose one among those for whom it makes sense at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// SIGKILL to a daemon that does not coordinate.
    KillWorker(u64),
    /// SIGKILL to the coordinator.
    KillCoordinator,
    /// SIGKILL to two at once.
    KillTwo(u64),
    /// SIGKILL to all.
    KillAll,
    /// SIGSTOP to any daemon, and SIGCONT after that time.
    Freeze(u64, Duration),
    /// The same to the coordinator.
    FreezeCoordinator(Duration),
    /// The trainer's thread of any daemon stands still for that time, all else of it goes on.
    Hang(u64, Duration),
    /// One of the killed comes back, where it was and with its data directory.
    Restart(u64),
    /// A new daemon.
    Add,
}

/// The job of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trained {
    /// LeNet by SGD.
    Lenet,
    /// A perceptron by AdamW.
    Mlp,
}

/// One trial.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Daemons at the start.
    pub(crate) daemons: usize,
    /// Its job.
    pub(crate) trained: Trained,
    random: Random,
}

impl Plan {
    /// The plan of `seed`.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let daemons = 3 + (random.next() % 2) as usize;
        let trained = if seed.is_multiple_of(2) { Trained::Lenet } else { Trained::Mlp };
        Self { daemons, trained, random }
    }

    /// What is done, with the pauses before. It goes on until enough processes were killed.
    pub(crate) fn deeds(&self) -> impl Iterator<Item = (Duration, Deed)> {
        let mut random = self.random.clone();
        std::iter::repeat_with(move || (pause(&mut random), deed(&mut random))).take(DEEDS_MAX)
    }
}

fn pause(random: &mut Random) -> Duration {
    // Half of the deeds meet the daemons while they deal with the one before.
    let high = if random.next().is_multiple_of(2) { 200 } else { 1_000 };
    Duration::from_millis(random.between(0, high))
}

fn deed(random: &mut Random) -> Deed {
    let pick = random.next();
    let freeze = Duration::from_millis(random.between(300, 6_000));
    // Some of these are long enough to be taken out for.
    let hang = Duration::from_millis(random.between(300, 12_000));
    // About as many come back as are killed, or most deeds would find nobody.
    match random.next() % 32 {
        0..=5 => Deed::KillWorker(pick),
        6..=10 => Deed::KillCoordinator,
        11 => Deed::KillTwo(pick),
        12 => Deed::KillAll,
        13..=14 => Deed::Freeze(pick, freeze),
        15 => Deed::Hang(pick, hang),
        16..=17 => Deed::FreezeCoordinator(freeze),
        18..=30 => Deed::Restart(pick),
        _ => Deed::Add,
    }
}

impl Trained {
    /// What is submitted.
    pub(crate) fn job(self) -> JobFile {
        match self {
            Self::Lenet => JobFile::lenet("chaos", STEPS),
            Self::Mlp => JobFile::mlp("chaos", STEPS).with_adamw(),
        }
    }
}
