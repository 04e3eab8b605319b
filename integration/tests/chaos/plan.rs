//! What is done to the daemons of one trial: a function of the seed alone.

use std::time::Duration;

use traind_integration::JobFile;

use crate::random::Random;

/// Lengths of jobs. A few, since each costs a run on a single node to compare with.
const STEPS: [u64; 2] = [60, 120];

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
    /// One of the killed comes back, where it was and with its data directory.
    Restart(u64),
    /// A new daemon.
    Add,
}

/// One trial.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Daemons at the start.
    pub(crate) daemons: usize,
    /// Steps of the job.
    pub(crate) steps: u64,
    /// Deeds with the pauses before them.
    pub(crate) deeds: Vec<(Duration, Deed)>,
}

impl Plan {
    /// The plan of `seed`.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let daemons = 3 + (random.next() % 2) as usize;
        let steps = STEPS[(random.next() % STEPS.len() as u64) as usize];
        let count = random.between(4, 14);
        let deeds = (0..count).map(|_| (pause(&mut random), deed(&mut random))).collect();
        Self { daemons, steps, deeds }
    }
}

fn pause(random: &mut Random) -> Duration {
    // Half of the deeds meet the daemons while they deal with the one before.
    let high = if random.next().is_multiple_of(2) { 300 } else { 1_500 };
    Duration::from_millis(random.between(0, high))
}

fn deed(random: &mut Random) -> Deed {
    let pick = random.next();
    let freeze = Duration::from_millis(random.between(300, 6_000));
    // About as many come back as are killed, or most deeds would find nobody.
    match random.next() % 32 {
        0..=4 => Deed::KillWorker(pick),
        5..=8 => Deed::KillCoordinator,
        9 => Deed::KillTwo(pick),
        10 => Deed::KillAll,
        11..=14 => Deed::Freeze(pick, freeze),
        15..=17 => Deed::FreezeCoordinator(freeze),
        18..=29 => Deed::Restart(pick),
        _ => Deed::Add,
    }
}

/// The job of all trials: its steps take long enough for most deeds to meet it.
pub(crate) fn job(steps: u64) -> JobFile {
    JobFile { micro_batch_size: 24, ..JobFile::lenet("chaos", steps) }
}
