//! What a seed decides before a run begins.

use crate::random::Random;

/// How often each fault happens, per mille of actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultRates {
    /// A process dies.
    pub crash: u64,
    /// A dead node starts again.
    pub restart: u64,
    /// Members are evicted, dead or alive.
    pub evict: u64,
    /// A node is admitted.
    pub join: u64,
    /// A connection breaks.
    pub break_path: u64,
    /// A connection, or all of a node, is blocked or unblocked, both ways or one.
    pub partition: u64,
    /// A process stands still, or goes on.
    pub pause: u64,
    /// A member is to leave in order.
    pub drain: u64,
    /// The job is halted.
    pub halt: u64,
    /// The lineage is given up: a new one starts from the newest checkpoint.
    pub found: u64,
    /// A member begins to lie to joiners, or stops.
    pub lie: u64,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of all that happens.
    pub seed: u64,
    /// Nodes there are.
    pub nodes: usize,
    /// Members of the first view.
    pub founders: usize,
    /// Parts of the gradient.
    pub parts: u32,
    /// Micro-batches of a step.
    pub microbatches: u32,
    /// Steps of the job.
    pub steps: u64,
    /// The step that the founders start from; above zero they load a checkpoint.
    pub origin_step: u64,
    /// Whether two computations of one micro-batch differ.
    pub unlike: bool,
    /// Whether messages of a pair overtake each other.
    pub reorder: bool,
    /// Whether payloads of a later epoch than the receiver's are lost.
    pub bulk_dropped: bool,
    /// Whether messages travel as bytes.
    pub encoded: bool,
    /// Whether faults leave one member that the job can go on from.
    pub survivable: bool,
    /// Whether nodes only join, leave in order and come back: nothing may be computed twice.
    pub orderly: bool,
    /// Random actions before faults stop for once.
    pub actions: u64,
    /// Faults among them.
    pub faults: FaultRates,
}

/// Fewest nodes of a run.
pub const NODES_MIN: usize = 3;

/// Fewest steps of a run that counts, beyond those that it starts from.
pub const STEPS_MIN: u64 = 20;

/// Fewest faults of a run that counts.
pub const FAULTS_MIN: u64 = 5;

impl Plan {
    /// The run of `seed`.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let founders = 2 + random.below(4);
        let scale = [10, 4, 20, 1, 10][random.below(5)];
        let crashes = if random.chance(200) { 0 } else { scale };
        let faults = FaultRates {
            crash: 8 * crashes / 10,
            restart: 12 * crashes / 10,
            evict: 2 * scale,
            join: 2 * scale,
            break_path: if random.chance(300) { 0 } else { 15 * scale / 10 },
            partition: if random.chance(300) { 0 } else { 12 * scale / 10 },
            pause: 1 + 5 * scale / 10,
            drain: 0,
            halt: 0,
            found: 0,
            lie: if random.chance(400) { 2 + scale } else { 0 },
        };
        let origin_step = if random.chance(200) { 1 + random.below(3) as u64 } else { 0 };
        let last = origin_step + STEPS_MIN + random.below(12) as u64;
        let plan = Self {
            seed,
            nodes: NODES_MIN.max(founders + random.below(3)),
            founders,
            parts: 1 + random.below(4) as u32,
            microbatches: 1 + random.below(8) as u32,
            steps: if random.chance(150) { last } else { u64::MAX },
            origin_step,
            unlike: random.chance(700),
            reorder: random.chance(500),
            bulk_dropped: random.chance(250),
            encoded: random.chance(100),
            survivable: random.chance(800),
            orderly: false,
            actions: 150 + random.below(1200) as u64,
            faults,
        };
        // Halts and leaves take the place of other faults, so most runs are without.
        match random.below(100) {
            0..20 => plan.in_order(scale),
            20..45 => {
                let faults = FaultRates { drain: scale, halt: 1 + scale / 4, ..plan.faults };
                Self { faults, ..plan }
            }
            45..52 => {
                let faults =
                    FaultRates { found: 1 + scale / 4, drain: scale / 2, halt: 1 + scale / 2, ..plan.faults };
                Self { faults, ..plan }
            }
            _ => plan,
        }
    }

    /// Bytes of results that members keep for joiners: from none to far more than a run makes.
    #[must_use]
    pub fn kept_bytes_max(&self) -> u64 {
        [0, 400, 4_000, u64::MAX][(self.seed % 4) as usize]
    }

    /// The same with no process that dies and nobody put out, and with much coming and going. Messages are lost as
    /// ever: that makes nobody compute anything again.
    fn in_order(self, scale: u64) -> Self {
        let faults = FaultRates {
            crash: 0,
            restart: 4 * scale,
            evict: 0,
            join: 4 * scale,
            drain: 2 * scale,
            halt: 2 + scale / 2,
            ..self.faults
        };
        Self { orderly: true, faults, ..self }
    }
}
