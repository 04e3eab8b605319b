//! The pieces of a session without a network: arithmetic, state, reports, and a trainer on its thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use traind_averaging::{Grid, PartLayout, Totals};
use traind_protocol::ids::{Chain, Digest};
use traind_protocol::index_set::IndexSet;
use traind_protocol::numbers::Numbers as _;
use traind_training::{JobSpec, Session};

use super::captured_state::CapturedState;
use super::numbers::ExactNumbers;
use super::present_state::PresentState;
use super::state;
use super::trainer::{CapturePurpose, Pace, Trainer, TrainerCommand, TrainerError, TrainerEvent};

const JOB: &str = "name = \"unit\"\nmodel = \"lenet\"\ndata = \"digits\"\nsteps = 10\n\
                   [batch]\nmicro_batches = 4\nmicro_batch_size = 2\n";
const BASE: Chain = Chain([7; 32]);

struct Bench {
    commands: mpsc::Sender<TrainerCommand>,
    events: mpsc::Receiver<TrainerEvent>,
    cancel_below: Arc<AtomicU64>,
    present: PresentState,
    layout: PartLayout,
}

/// A trainer of a small job on its own thread.
fn bench() -> Bench {
    bench_of(JOB)
}

fn bench_of(job: &str) -> Bench {
    bench_at(job, Duration::ZERO)
}

/// The same with a trainer that takes its time.
fn bench_at(job: &str, microbatch_time_min: Duration) -> Bench {
    let spec = JobSpec::parse(job).unwrap();
    let session = Session::start(&spec, "cpu").unwrap();
    let layout = PartLayout::new(session.layout().elements()).unwrap();
    let (told, events) = mpsc::channel(16);
    let (commands, orders) = mpsc::channel(16);
    let cancel_below = Arc::new(AtomicU64::new(0));
    let pace = Pace { device: "cpu".to_owned(), microbatch_time_min };
    let present = PresentState::default();
    let trainer =
        Trainer::new((spec, pace, session), layout, (Arc::clone(&cancel_below), present.clone()), told);
    std::thread::spawn(move || trainer.run(orders));
    Bench { commands, events, cancel_below, present, layout }
}

fn numbers_of(layout: PartLayout) -> ExactNumbers {
    ExactNumbers::new(layout, &JobSpec::parse(JOB).unwrap().evaluation)
}

impl Bench {
    fn tell(&self, command: TrainerCommand) {
        self.commands.blocking_send(command).unwrap();
    }

    fn hear(&mut self) -> TrainerEvent {
        self.events.blocking_recv().expect("the trainer lives")
    }

    /// Contributions of all micro-batches, each a list by part.
    fn compute(&mut self, step: u64) -> Vec<Vec<Bytes>> {
        self.tell(TrainerCommand::Compute {
            step,
            base: BASE,
            microbatches: IndexSet::full(4),
            generation: 0,
        });
        let mut computed = Vec::new();
        for expected in 0..4 {
            match self.hear() {
                TrainerEvent::Computed { microbatch, contributions, .. } => {
                    assert_eq!(microbatch, expected);
                    computed.push(contributions);
                }
                other => panic!("not computed: {other:?}"),
            }
        }
        computed
    }

    fn capture(&mut self) -> (Bytes, Digest) {
        let held = self.hold();
        // The trainer compares what it restores with the digest of what it then holds.
        (held.to_bytes(), held.digest())
    }

    fn hold(&mut self) -> CapturedState {
        self.tell(TrainerCommand::Capture { purpose: CapturePurpose::Snapshot { request: 1 } });
        match self.hear() {
            TrainerEvent::Captured { state, digest: None, .. } => state,
            other => panic!("not captured: {other:?}"),
        }
    }
}

fn results(numbers: &ExactNumbers, layout: &PartLayout, computed: &[Vec<Bytes>]) -> Vec<Bytes> {
    let of_part = |part: u32| computed.iter().map(|parts| parts[part as usize].clone()).collect::<Vec<_>>();
    (0..layout.parts()).map(|part| numbers.fold(part, &of_part(part))).collect()
}

#[test]
fn sums_of_real_gradients_do_not_depend_on_their_grouping() {
    let mut bench = bench();
    let numbers = numbers_of(bench.layout);
    let computed = bench.compute(0);
    for part in 0..bench.layout.parts() {
        let one = |microbatch: usize| computed[microbatch][part as usize].clone();
        let all = numbers.fold(part, &[one(0), one(1), one(2), one(3)]);
        let pairs = [numbers.sum(part, &[one(3), one(1)]), numbers.sum(part, &[one(0), one(2)])];
        assert!(pairs.iter().all(|pair| numbers.is_contribution(part, pair)));
        assert_eq!(numbers.fold(part, &pairs), all);
        assert!(numbers.is_result(part, &all) && !numbers.is_result(part, &all[1..]));
    }
    assert_eq!(numbers.broken(), None);
}

#[test]
fn a_sum_beyond_the_exact_range_is_noticed() {
    let layout = PartLayout::new(1).unwrap();
    let numbers = numbers_of(layout);
    // At step 0 the grid is 2^-40, so 6000 is below 2^53 units and twice as much is not.
    let large: Bytes = Grid::new(&layout).quantise(0, &[6000.0], &Totals::of(1, 0.0)).unwrap().into();
    assert!(numbers.is_contribution(0, &large));
    numbers.fold(0, &[large.clone(), large]);
    assert!(numbers.broken().is_some_and(|reason| reason.contains("part 0")), "{:?}", numbers.broken());
}

#[test]
fn a_restored_trainer_goes_on_with_the_same_bits() {
    let (mut first, mut second) = (bench(), bench());
    let mut numbers = numbers_of(first.layout);
    let computed = first.compute(0);
    let applied = results(&numbers, &first.layout, &computed);
    first.tell(TrainerCommand::Apply { step: 1, loss: 2.5, results: applied.clone() });
    match first.hear() {
        TrainerEvent::Applied { point, .. } => {
            assert_eq!((point.step, point.loss, point.learning_rate), (1, 2.5, 0.02));
            assert!(point.gradient_norm > 0.0);
        }
        other => panic!("not applied: {other:?}"),
    }
    numbers.advance(&applied);
    let held = first.hold();
    let (state, digest) = (held.to_bytes(), held.digest());
    let shown = first.present.hold(0, 1).map(|shown| shown.to_bytes());
    assert_eq!(shown.as_ref(), Some(&state));
    assert!(first.present.hold(0, 0).is_none() && first.present.hold(4, 1).is_none());

    let mut restored = numbers_of(second.layout);
    assert!(restored.restore(&state) && !restored.restore(&state[..state.len() / 2][..20]));
    second.tell(TrainerCommand::Restore { request: 5, state: state.clone(), digest: Some(digest) });
    assert!(matches!(second.hear(), TrainerEvent::Restored { request: 5 }));
    assert!(second.present.hold(0, 1).is_none(), "a step of what was before is another state");
    assert_eq!(second.present.hold(5, 1).map(|shown| shown.to_bytes()), shown);
    let (one, two) = (first.compute(1), second.compute(1));
    assert_eq!(one, two, "the restored grid and parameters give the same contributions");
    let applied = results(&numbers, &first.layout, &one);
    assert_eq!(applied, results(&restored, &second.layout, &two));
    first.tell(TrainerCommand::Apply { step: 2, loss: 2.5, results: applied });
    assert!(matches!(first.hear(), TrainerEvent::Applied { .. }));
    assert_eq!((held.to_bytes(), held.digest()), (state.clone(), digest), "what is held stays as it was");
    assert_ne!(first.hold().digest(), digest);

    second.tell(TrainerCommand::Restart { request: 6 });
    assert!(matches!(second.hear(), TrainerEvent::Restored { request: 6 }));
    assert_eq!(second.compute(0), computed, "back at step 0");
}

#[test]
fn a_state_with_another_digest_or_a_lying_head_ends_the_trainer() {
    let mut bench = bench();
    let (state, _digest) = bench.capture();
    let mut lying = state.to_vec();
    lying[20..28].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(state::split(&lying).is_err() && state::split(&state[..27]).is_err());
    bench.tell(TrainerCommand::Restore { request: 1, state, digest: Some(Digest([0; 32])) });
    let event = bench.hear();
    assert!(matches!(event, TrainerEvent::Failed(TrainerError::State { .. })), "{event:?}");
}

#[test]
fn cancelled_computations_are_not_computed() {
    let mut bench = bench();
    bench.cancel_below.store(5, Ordering::Release);
    let microbatches = IndexSet::full(4);
    bench.tell(TrainerCommand::Compute { step: 0, base: BASE, microbatches, generation: 4 });
    // The next event is the answer to what came after the cancelled command.
    bench.capture();
}

#[test]
fn a_micro_batch_takes_its_least_time_unless_nobody_wants_it_any_more() {
    let least = Duration::from_millis(40);
    let mut paced = bench_at(JOB, least);
    let began = Instant::now();
    let computed = paced.compute(0);
    assert!(began.elapsed() >= 4 * least, "{:?} for four", began.elapsed());
    assert_eq!(computed, bench().compute(0), "the pace changes no bit");

    let mut resting = bench_at(JOB, Duration::from_secs(3600));
    let at_rest = resting.capture().0;
    let microbatches = IndexSet::full(4);
    resting.tell(TrainerCommand::Compute { step: 0, base: BASE, microbatches, generation: 0 });
    let shown = resting.present.hold(0, 0).map(|shown| shown.to_bytes());
    assert_eq!(shown, Some(at_rest), "who needs the state does not wait for a micro-batch");
    resting.cancel_below.store(1, Ordering::Release);
    // Ends, at the latest after the micro-batch that was begun.
    resting.tell(TrainerCommand::Capture { purpose: CapturePurpose::Snapshot { request: 1 } });
    while !matches!(resting.hear(), TrainerEvent::Captured { .. }) {}
}

/// Every micro-batch carries a slice of the test, where the state is to be tested, and only there.
#[test]
fn held_out_samples_are_tested_once_with_the_micro_batches_of_a_step() {
    let job = format!("{JOB}[evaluation]\nevery_steps = 2\n");
    let mut bench = bench_of(&job);
    let mut numbers = numbers_of(bench.layout);
    for step in 0..4 {
        let computed = bench.compute(step);
        let results = results(&numbers, &bench.layout, &computed);
        let head = traind_averaging::check_result(&bench.layout, 0, &results[0]).unwrap();
        let expected = if step == 2 { 359 } else { 0 };
        assert_eq!(head.held_out_total, expected, "the state after {step} steps");
        bench.tell(TrainerCommand::Apply { step: step + 1, loss: 0.0, results: results.clone() });
        assert!(matches!(bench.hear(), TrainerEvent::Applied { .. }));
        numbers.advance(&results);
    }
}

/// A loss that would have to fall by a hundred nats is never better, so the second test ends the job: for the arithmetic and for
/// the trainer alike, and for whoever gets the state later.
#[test]
fn a_job_without_progress_ends_with_the_step_that_carries_the_test() {
    let job = format!("{JOB}[evaluation]\nevery_steps = 1\npatience = 1\nimprovement_min = 100\n");
    let mut bench = bench_of(&job);
    let mut numbers = ExactNumbers::new(bench.layout, &JobSpec::parse(&job).unwrap().evaluation);
    for step in 0..3 {
        assert!(!numbers.has_ended(), "{step}");
        let computed = bench.compute(step);
        let results = results(&numbers, &bench.layout, &computed);
        bench.tell(TrainerCommand::Apply { step: step + 1, loss: 0.0, results: results.clone() });
        assert!(matches!(bench.hear(), TrainerEvent::Applied { .. }));
        numbers.advance(&results);
    }
    assert!(numbers.has_ended());
    let (state, _digest) = bench.capture();
    let mut restored = ExactNumbers::new(bench.layout, &JobSpec::parse(&job).unwrap().evaluation);
    assert!(restored.restore(&state) && restored.has_ended());
}
