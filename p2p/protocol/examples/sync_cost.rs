//! What the deciding code of the sync step costs: members in one process, sums of eight bytes, no network.
//!
//! `cargo run --release -p traind-protocol --example sync_cost -- MEMBERS PARTS MICROBATCHES STEPS [EARLY]`
//!
//! EARLY 1 sends sums of micro-batches one by one, as jobs of few parts do on a quick network.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use traind_protocol::ids::{Boot, Chain, Epoch, Incarnation, JobId, Life, Millis, NodeId};
use traind_protocol::numbers::Numbers;
use traind_protocol::sync::{SyncInput, SyncMachine, SyncOptions, SyncOutput};
use traind_protocol::view::{Member, Origin, View};

const JOB: JobId = JobId([1; 8]);
const GENESIS: Chain = Chain([9; 32]);

/// Sums cost nothing, so that what is left is the deciding.
#[derive(Debug)]
struct Free;

impl Numbers for Free {
    fn is_contribution(&self, _: u32, bytes: &[u8]) -> bool {
        bytes.len() == 8
    }

    fn is_result(&self, _: u32, bytes: &[u8]) -> bool {
        bytes.len() == 8
    }

    fn sum(&self, _: u32, contributions: &[Bytes]) -> Bytes {
        contributions.first().cloned().unwrap_or_default()
    }

    fn fold(&self, _: u32, contributions: &[Bytes]) -> Bytes {
        contributions.first().cloned().unwrap_or_default()
    }

    fn advance(&mut self, _: &[Bytes]) {}

    fn has_ended(&self) -> bool {
        false
    }

    fn restore(&mut self, _: &[u8]) -> bool {
        true
    }
}

fn life(index: usize) -> Life {
    let mut node = [0; 32];
    node[..8].copy_from_slice(&(index as u64 + 1).to_be_bytes());
    Life { node: NodeId(node), boot: Boot(1) }
}

fn view(members: usize, parts: u32, microbatches: u32) -> View {
    let member = |index| Member { node: life(index).node, boot: Boot(1), tenure: Epoch(1) };
    let round = |count: u32| (0..count).map(|index| (index as usize % members) as u16).collect();
    View {
        job: JOB,
        incarnation: Incarnation(1),
        epoch: Epoch(1),
        founding_epoch: Epoch(1),
        origin: Origin::Seed,
        members: (0..members).map(member).collect(),
        leases: round(microbatches),
        owners: round(parts),
        halt: false,
    }
}

/// All members, and the inputs that wait.
struct Swarm {
    machines: Vec<SyncMachine<Free>>,
    inputs: VecDeque<(usize, SyncInput)>,
    parts: u32,
    messages: u64,
    now: Millis,
}

impl Swarm {
    fn new(members: usize, (parts, microbatches): (u32, u32), steps: u64, sends_early: bool) -> Self {
        let options = |index| SyncOptions {
            job: JOB,
            me: life(index),
            microbatches,
            parts,
            steps,
            genesis: GENESIS,
            kept_bytes_max: 1 << 30,
            sends_early,
        };
        let machines = (0..members).map(|index| SyncMachine::new(options(index), Free)).collect();
        let view = view(members, parts, microbatches);
        let inputs = (0..members).map(|index| (index, SyncInput::EnterView(view.clone()))).collect();
        Self { machines, inputs, parts, messages: 0, now: Millis(1) }
    }

    /// Feeds the oldest input; the time it took.
    fn turn(&mut self) -> Option<Duration> {
        let (index, input) = self.inputs.pop_front()?;
        let mut out = Vec::new();
        let from = Instant::now();
        self.machines[index].step(self.now, input, &mut out);
        let took = from.elapsed();
        for output in out {
            match output {
                SyncOutput::Send { to, message } => {
                    let to = u64::from_be_bytes(to.0[..8].try_into().unwrap_or_default()) as usize - 1;
                    self.messages += 1;
                    let from = life(index).node;
                    self.inputs.push_back((to, SyncInput::Message { from, message }));
                }
                SyncOutput::Compute { step, base, microbatches } => {
                    // A micro-batch takes so long that sums are sent one by one.
                    self.now = Millis(self.now.0 + 10);
                    for microbatch in microbatches.iter() {
                        let contributions = vec![Bytes::from_static(&[1; 8]); self.parts as usize];
                        let done = SyncInput::Computed { step, base, microbatch, contributions };
                        self.inputs.push_back((index, done));
                    }
                }
                SyncOutput::Refused { reason, .. } => panic!("refused: {reason}"),
                _ => {}
            }
        }
        Some(took)
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).map_while(|word| word.parse::<u64>().ok());
    let mut next = |or: u64| numbers.next().unwrap_or(or);
    let (members, parts, microbatches, steps, early) = (next(8), next(4096), next(64), next(5), next(0));
    let mut swarm = Swarm::new(members as usize, (parts as u32, microbatches as u32), steps, early > 0);
    let (mut total, mut longest) = (Duration::ZERO, Duration::ZERO);
    while let Some(took) = swarm.turn() {
        total += took;
        longest = longest.max(took);
    }
    assert!(swarm.machines.iter().all(|machine| machine.place().step == steps), "all steps are done");
    let each = total / (members * steps) as u32;
    println!(
        "{members} members, {parts} parts, {microbatches} micro-batches: {each:.1?} a member and step, {:.2?} a \
         message, the longest input {longest:.1?}",
        total / swarm.messages.max(1) as u32
    );
}
