//! States continue, and bytes that are none are refused.

use traind_training::{JobSpec, Session, StateError, TrainingError};

use crate::{job, job_with, mean_gradient, train};

/// Magic, version, fingerprint, step, elements.
const HEADER_BYTES: usize = 8 + 4 + 32 + 8 + 8;

fn digest(session: &Session) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    session.hash_into(&mut hasher);
    hasher.finalize()
}

fn refusal(session: &mut Session, bytes: &[u8]) -> StateError {
    match session.restore(bytes) {
        Err(TrainingError::Restore(error)) => error,
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn a_restored_session_continues_with_the_same_bytes() -> Result<(), TrainingError> {
    let spec = job(8);
    let mut straight = Session::start(&spec, "cpu")?;
    train(&mut straight, &spec, 4);
    let saved = straight.state();
    train(&mut straight, &spec, 4);

    let mut restored = Session::start(&spec, "cpu")?;
    restored.restore(&saved)?;
    assert_eq!((restored.step(), restored.state()), (4, saved.clone()));
    train(&mut restored, &spec, 4);
    assert!(restored.state() == straight.state(), "continued and restored states differ");

    // A session that has already gone on goes back, too.
    straight.restore(&saved)?;
    assert_eq!(straight.step(), 4);
    train(&mut straight, &spec, 4);
    assert!(restored.state() == straight.state(), "a session that went back differs");
    Ok(())
}

#[test]
fn the_digest_is_that_of_the_bytes() -> Result<(), TrainingError> {
    let spec = job(2);
    let mut session = Session::start(&spec, "cpu")?;
    let before = digest(&session);
    assert_eq!(before, blake3::hash(&session.state()));
    train(&mut session, &spec, 1);
    assert_eq!(digest(&session), blake3::hash(&session.state()));
    assert_ne!(digest(&session), before);
    Ok(())
}

const MODELS: [&str; 2] = ["model = \"lenet\"", "model = { kind = \"mlp\", hidden = [20, 10] }"];
const OPTIMISERS: [&str; 2] = ["kind = \"sgd\"", "kind = \"adamw\""];

/// Every model with every optimiser, with warm-up, decay and clipping: 20 steps are 10 and 10 more in a fresh session.
#[test]
fn every_optimiser_resumes_in_the_middle_of_a_schedule() -> Result<(), TrainingError> {
    for (model, optimiser) in MODELS.iter().flat_map(|model| OPTIMISERS.map(|optimiser| (*model, optimiser)))
    {
        let text = format!(
            "name = \"resume\"\nseed = 9\nsteps = 20\ndata = \"digits\"\n{model}\n\
             [batch]\nmicro_batches = 2\nmicro_batch_size = 5\n[optimiser]\n{optimiser}\nclip_norm = 0.2\n\
             [schedule]\nkind = \"cosine\"\nwarmup_steps = 6\n"
        );
        let spec = JobSpec::parse(&text).unwrap();
        let mut straight = Session::start(&spec, "cpu")?;
        let (mut clipped, mut rates) = (0, Vec::new());
        for _ in 0..20 {
            let (gradient, _) = mean_gradient(&mut straight, &spec);
            let update = straight.apply(&gradient)?;
            let norm = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            assert!((update.gradient_norm - norm).abs() < 1e-9 * norm, "{norm}, {update:?}");
            clipped += usize::from(update.gradient_norm > 0.2);
            rates.push(update.learning_rate);
        }
        assert!(clipped > 0, "{model}, {optimiser}: nothing was clipped");
        assert!(rates.iter().enumerate().all(|(step, rate)| *rate == spec.learning_rate_at(step as u64)));
        assert!(rates[0] < rates[5] && rates[5] > rates[19], "{rates:?}");

        let mut first = Session::start(&spec, "cpu")?;
        train(&mut first, &spec, 10);
        let saved = first.state();
        assert_eq!(saved.len() as u64, first.state_bytes());
        drop(first);
        let mut second = Session::start(&spec, "cpu")?;
        second.restore(&saved)?;
        assert!(second.state() == saved, "{model}, {optimiser}: the restored state differs");
        train(&mut second, &spec, 10);
        assert!(second.state() == straight.state(), "{model}, {optimiser}: the resumed session differs");
        assert_eq!(digest(&second), digest(&straight));
    }
    Ok(())
}

/// One of the momentum's elements differs: the digest and the bytes must show it.
#[test]
fn the_momentum_is_part_of_the_state() -> Result<(), TrainingError> {
    let mut session = Session::start(&job(2), "cpu")?;
    let before = digest(&session);
    let mut bytes = session.state();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&1f32.to_le_bytes());
    session.restore(&bytes)?;
    assert_ne!(digest(&session), before);
    assert_eq!(session.state(), bytes);
    Ok(())
}

#[test]
fn malformed_bytes_are_refused_and_change_nothing() -> Result<(), TrainingError> {
    let spec = job(4);
    let mut session = Session::start(&spec, "cpu")?;
    train(&mut session, &spec, 1);
    let good = session.state();
    let altered = |at: usize, with: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let expected = good.len();
    for length in [0, 7, 8, 11, 12, 43, 44, HEADER_BYTES, expected - 1] {
        let found = refusal(&mut session, &good[..length]);
        assert_eq!(found, StateError::Length { found: length, expected });
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(refusal(&mut session, &longer), StateError::Length { found: expected + 1, expected });
    for at in 0..8 {
        assert_eq!(refusal(&mut session, &altered(at, b"?")), StateError::Magic);
    }
    assert_eq!(refusal(&mut session, &altered(8, &[9])), StateError::Version { found: 9 });
    assert_eq!(refusal(&mut session, &altered(12, &[good[12] ^ 1])), StateError::AnotherJob);
    assert_eq!(refusal(&mut session, &altered(44, &u64::MAX.to_le_bytes())), StateError::Header);
    assert_eq!(refusal(&mut session, &altered(52, &[good[52] ^ 1])), StateError::Header);
    for bad in [f32::NAN, f32::INFINITY] {
        let bytes = altered(HEADER_BYTES + 4 * 5, &bad.to_le_bytes());
        assert_eq!(refusal(&mut session, &bytes), StateError::NotFinite { index: 5 });
        let bytes = altered(expected - 4, &bad.to_le_bytes());
        assert_eq!(refusal(&mut session, &bytes), StateError::NotFinite { index: 2 * 61_706 - 1 });
    }
    assert!(session.state() == good, "a refused state left traces");
    Ok(())
}

#[test]
fn only_what_decides_numbers_makes_another_job() -> Result<(), TrainingError> {
    let bytes = Session::start(&job(4), "cpu")?.state();
    let mut renamed = job_with(9, "[checkpoint]\nevery_steps = 1\n[nodes]\nmax = 2\n");
    renamed.name = "other".to_owned();
    Session::start(&renamed, "cpu")?.restore(&bytes)?;
    let mut seeded = job(4);
    seeded.seed = 1;
    let others = [
        seeded,
        job_with(4, "[batch]\nmicro_batches = 11\n"),
        job_with(4, "[batch]\nmicro_batch_size = 9\n"),
        job_with(4, "[optimiser]\nlearning_rate = 0.03\n"),
        job_with(4, "[optimiser]\nmomentum = 0.8\n"),
        job_with(4, "[optimiser]\nweight_decay = 0.1\n"),
        job_with(4, "[optimiser]\nclip_norm = 0.1\n"),
        job_with(4, "optimiser = \"adamw\"\n"),
        job_with(4, "[schedule]\nwarmup_steps = 1\n"),
        job_with(4, "schedule = \"linear\"\n"),
    ];
    for other in others {
        let mut session = Session::start(&other, "cpu")?;
        assert_eq!(refusal(&mut session, &bytes), StateError::AnotherJob);
    }
    Ok(())
}

/// The same step of a longer job has another learning rate.
#[test]
fn a_schedule_that_is_stretched_over_more_steps_makes_another_job() -> Result<(), TrainingError> {
    let bytes = Session::start(&job_with(4, "schedule = \"cosine\"\n"), "cpu")?.state();
    let mut longer = Session::start(&job_with(5, "schedule = \"cosine\"\n"), "cpu")?;
    assert_eq!(refusal(&mut longer, &bytes), StateError::AnotherJob);
    Ok(())
}

/// The state of a session with another number of steps and one flipped bit of the value at `index`, parameters first.
fn flipped(session: &Session, step: u64, index: usize) -> Vec<u8> {
    let mut bytes = session.state();
    bytes[HEADER_BYTES - 16..HEADER_BYTES - 8].copy_from_slice(&step.to_le_bytes());
    bytes[HEADER_BYTES + 4 * index] ^= 1;
    bytes
}

/// Within a round every value is in one sample, and the sample names the tensor whose bit is wrong.
#[test]
fn one_wrong_bit_shows_in_one_sample_of_a_round_under_the_name_of_its_tensor() -> Result<(), TrainingError> {
    let spec = job_with(9, "[optimiser]\nkind = \"adamw\"");
    let (mut right, mut wrong) = (Session::start(&spec, "cpu")?, Session::start(&spec, "cpu")?);
    train(&mut right, &spec, 1);
    let (saved, elements) = (right.state(), right.layout().elements());
    let round = right.sample_round_steps();
    assert!(round > 3, "{round}");
    let middle = right.layout().places().iter().find(|place| place.name == "conv2.weight").unwrap().range();
    for (index, tensor) in [
        (0, "conv1.bias".to_owned()),
        (middle.start, "conv2.weight".to_owned()),
        (elements + middle.end - 1, "moment 1 of conv2.weight".to_owned()),
        (3 * elements - 1, format!("moment 2 of {}", right.layout().places().last().unwrap().name)),
    ] {
        let mut differing = Vec::new();
        for step in 7..7 + round {
            right.restore(&saved)?;
            wrong.restore(&flipped(&right, step, index))?;
            let mut unflipped = flipped(&right, step, index);
            unflipped[HEADER_BYTES + 4 * index] ^= 1;
            right.restore(&unflipped)?;
            let (right, wrong) = (right.state_sample(), wrong.state_sample());
            assert_eq!(right.len(), wrong.len());
            differing.extend(right.into_iter().zip(wrong).filter(|(right, wrong)| right != wrong));
        }
        let names: Vec<&str> = differing.iter().map(|(right, _)| right.tensor.as_str()).collect();
        assert_eq!(names, [tensor]);
    }
    Ok(())
}

/// A snapshot stays as it is while the session goes on, with the same bits as one of which nobody holds anything.
#[test]
fn a_snapshot_holds_its_step_whatever_the_session_does() -> Result<(), TrainingError> {
    let spec = job(5);
    let [mut held, mut alone] = [Session::start(&spec, "cpu")?, Session::start(&spec, "cpu")?];
    let mut snapshots = Vec::new();
    let mut expected = Vec::new();
    for _ in 0..5 {
        snapshots.push(held.snapshot());
        expected.push(alone.state());
        for session in [&mut held, &mut alone] {
            train(session, &spec, 1);
        }
        if snapshots.len() == 3 {
            snapshots[0] = snapshots[2].clone();
            expected[0] = expected[2].clone();
        }
    }
    for (snapshot, expected) in snapshots.iter().zip(&expected) {
        assert!(snapshot.pieces().concat() == *expected);
    }
    assert_eq!(digest(&held), digest(&alone));
    Ok(())
}
