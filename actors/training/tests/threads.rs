//! The number of threads changes no bit, and one thread means one: no pool of a library spins beside it. Without a test
//! harness, since the environment may be changed only while a process has one thread.

use anyhow::Result;
use traind_training::{DataFacts, DirectBatch, DirectTraining, JobSpec, Session, ThreadSetting, set_threads};

/// Micro-batches large enough for `gemm` to share products among threads, and for candle to use its own pool
/// if it had one.
const JOB: &str = "name = \"threads\"\nseed = 5\nsteps = 3\nmodel = \"lenet\"\ndata = \"digits\"\n\
                   [batch]\nmicro_batches = 2\nmicro_batch_size = 48\n";
/// Enough parameters for the optimiser to share an update and its norm among threads.
const WIDE_JOB: &str = "name = \"wide\"\nsteps = 3\ndata = \"digits\"\n\
                        model = { kind = \"mlp\", hidden = [300] }\noptimiser = { kind = \"adamw\", clip_norm = 1 }\n\
                        [batch]\nmicro_batches = 2\nmicro_batch_size = 48\n";

/// A language model large enough for every layer to share its rows among threads, with dropout.
const LANGUAGE_JOB: &str = "name = \"language\"\nseed = 3\nsteps = 50\ndata = \"digits\"\n\
                            optimiser = { kind = \"lion\", clip_norm = 1 }\nweight_decay_of = \"matrices\"\n\
                            ema = { decay = 0.9 }\n[model]\nkind = \"llama\"\nvocab_size = 500\n\
                            hidden_size = 64\nnum_hidden_layers = 2\nnum_key_value_heads = 2\n\
                            max_position_embeddings = 96\ndropout = 0.1\n";

fn main() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("threads: cannot count threads on this system, only the layers' number is set");
        assert_eq!(set_threads(2), ThreadSetting::LayersOnly);
        return Ok(());
    }
    assert_eq!(threads_running()?, 1);
    assert_eq!(set_threads(1), ThreadSetting::Everywhere);
    let alone = digest()?;
    assert_eq!(threads_running()?, 1, "a library started threads although one was asked for");

    assert_eq!(set_threads(2), ThreadSetting::Everywhere);
    let shared = digest()?;
    assert_eq!(threads_running()?, 3, "this thread and rayon's two: were the products shared?");
    assert_eq!(shared, alone, "two threads gave other bits than one");

    assert_eq!(set_threads(5), ThreadSetting::LayersOnly, "too late for the libraries' pools");
    assert_eq!(digest()?, alone, "products cut in five gave other bits");
    println!("threads: 1, 2 and 5 gave the same bits");
    Ok(())
}

fn digest() -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    for job in [JOB, WIDE_JOB] {
        train(&JobSpec::parse(job)?, &mut hasher)?;
    }
    train_language(&mut hasher)?;
    Ok(hasher.finalize())
}

/// 50 steps on made-up tokens; every gradient and all parameters.
fn train_language(hasher: &mut blake3::Hasher) -> Result<()> {
    let spec = JobSpec::parse(LANGUAGE_JOB)?;
    let context = 96;
    let facts = DataFacts { image_shape: [1, 1, context], classes: 500, tokens: true, black: 0.0, bytes: 0 };
    let mut training = DirectTraining::<f32>::new(&spec, &facts)?;
    let tokens: Vec<u32> = (0..4 * 96 + 1).map(|place: u32| (place * place + place / 7) % 500).collect();
    for _ in 0..spec.steps {
        let (tokens, targets) = (&tokens[..4 * context], &tokens[1..]);
        training.step(DirectBatch::Tokens { context, tokens, targets })?;
        for value in training.gradient().iter().chain(training.parameters()) {
            hasher.update(&value.to_le_bytes());
        }
    }
    Ok(())
}

fn train(spec: &JobSpec, hasher: &mut blake3::Hasher) -> Result<()> {
    let mut session = Session::start(spec, "cpu")?;
    let mut gradient = vec![0f32; session.layout().elements()];
    while session.step() < spec.steps {
        for microbatch in 0..spec.batch.micro_batches {
            session.gradient(microbatch, &mut gradient)?;
            gradient.iter().for_each(|value| {
                hasher.update(&value.to_le_bytes());
            });
        }
        gradient.iter_mut().for_each(|value| *value /= 48.0);
        let update = session.apply(&gradient)?;
        hasher.update(&update.gradient_norm.to_le_bytes());
    }
    session.hash_into(hasher);
    Ok(())
}

fn threads_running() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}
