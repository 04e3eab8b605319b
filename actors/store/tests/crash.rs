//! A process that writes a store is killed at random instants; what it acknowledged is there, and everything is whole.
//!
//! Without arguments this is the test; with a directory and a seed it is the process that is killed.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use traind_protocol::ids::{Chain, Digest, JobId};
use traind_store::{
    CHUNK_BYTES_MAX, CouncilRecord, Manifest, ManifestBody, ManifestKind, StateFacts, Store, cut,
};

/// Kills in a run of all tests; `TRAIND_TEST_KILLS=1000` is what a release is measured with.
const ROUNDS: u64 = 100;
/// Microseconds from a fact to the kill at most: several times what one checkpoint takes to write.
const KILL_DELAY_MICROSECONDS_MAX: u64 = 80_000;
const JOB: JobId = JobId([5; 8]);
/// Checkpoints that retention keeps.
const KEPT: u64 = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.as_slice() {
        [_, word, directory] if word == "write-until-killed" => write_until_killed(Path::new(directory)),
        _ => kill_and_look(),
    }
}

/// Bytes that follow from the words, and a number below `end`.
fn hash(words: &[u64]) -> blake3::Hash {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    blake3::hash(&bytes)
}

fn below(words: &[u64], end: u64) -> u64 {
    u64::from_le_bytes(hash(words).as_bytes()[..8].try_into().unwrap()) % end
}

/// The state of a step: up to three chunks; the first half of every second one is that of the step before.
fn state(step: u64) -> Vec<u8> {
    let mut state = vec![0; below(&[step, 1], 10 << 20) as usize];
    let mut reader = blake3::Hasher::new().update(&(step / 2).to_le_bytes()).finalize_xof();
    let half = state.len() / 2;
    reader.fill(&mut state[..half]);
    blake3::Hasher::new().update(hash(&[step]).as_bytes()).finalize_xof().fill(&mut state[half..]);
    state
}

fn entry(index: u64) -> Vec<u8> {
    hash(&[index, 2]).as_bytes().repeat(1 + below(&[index, 3], 30) as usize)
}

fn write_until_killed(directory: &Path) {
    let store = Store::open(directory).unwrap();
    let first = store.list_checkpoints(None).unwrap().last().map_or(1, |record| record.step + 1);
    let mut index = store.council().load().unwrap().entries.last().map_or(1, |(index, _)| index + 1);
    // One line a fact, written after it is durable. The parent reads what came before the kill.
    let mut out = std::io::stdout().lock();
    let mut acknowledge = |fact: String| {
        writeln!(out, "{fact}").unwrap();
        out.flush().unwrap();
    };
    for step in first.. {
        for _ in 0..3 {
            let record = CouncilRecord {
                hard_state: Some(index.to_le_bytes().to_vec()),
                entries: vec![(index, entry(index))],
                compact_before: index.is_multiple_of(16).then(|| index.saturating_sub(20)),
                ..CouncilRecord::default()
            };
            store.council().persist(&record).unwrap();
            acknowledge(format!("entry {index}"));
            index += 1;
        }
        store
            .write_checkpoint(JOB, step, Chain([1; 32]), Digest(*hash(&[step, 4]).as_bytes()), &state(step))
            .unwrap();
        acknowledge(format!("step {step}"));
        let keep: Vec<u64> = (step.saturating_sub(KEPT - 1)..=step).collect();
        store.retain(JOB, &keep).unwrap();
        acknowledge(format!("kept {step}"));
        // A joiner's state comes piece by piece, beside it the sweep runs.
        fetch_and_collect(&store, step);
        acknowledge(format!("fetched {step}"));
    }
}

/// Fetches a state of some small chunks under a manifest that was begun, and drops the one before.
fn fetch_and_collect(store: &Store, step: u64) {
    let chunks = store.chunks();
    for record in chunks.manifests(Some(ManifestKind::JoinState)).unwrap() {
        chunks.remove_manifest(record.id).unwrap();
    }
    let content = state(step + 1_000_000);
    let facts = StateFacts { job: JOB, step, chain: Chain([2; 32]), digest: Digest([3; 32]) };
    let manifest = Manifest { body: ManifestBody::JoinState(facts), chunks: cut(&content) };
    let id = chunks.begin_manifest(&manifest).unwrap();
    for (chunk, content) in manifest.chunks.iter().zip(content.chunks(CHUNK_BYTES_MAX)) {
        chunks.put_named(&mut chunks.lease(), chunk.id, content).unwrap();
    }
    chunks.collect(false).unwrap();
    chunks.finish_manifest(id).unwrap();
}

fn kill_and_look() {
    let rounds = std::env::var("TRAIND_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let seed = std::env::var("TRAIND_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(2026);
    println!("crash: TRAIND_TEST_SEED={seed}");
    let directory = tempfile::tempdir().unwrap();
    let (mut step, mut index, mut kept, mut fetched) = (0, 0, 0, 0);
    let mut leftovers = 0;
    for round in 0..rounds {
        let facts = run_until_killed(
            directory.path(),
            below(&[seed, round], 14),
            below(&[seed, round, 1], KILL_DELAY_MICROSECONDS_MAX),
        );
        for fact in facts.iter().filter_map(|fact| fact.split_once(' ')) {
            let number: u64 = fact.1.parse().unwrap();
            match fact.0 {
                "entry" => index = number,
                "step" => step = number,
                "kept" => kept = number,
                _ => fetched = number,
            }
        }
        leftovers += unnamed(directory.path());
        // What was found counts from here on: two kills in a row may each come before a fact is told.
        (step, index) = look(directory.path(), round, step, index);
        look_at_retained(directory.path(), round, kept);
        look_at_joins(directory.path(), round);
    }
    println!(
        "crash: {rounds} kills, step {step}, entry {index} and join {fetched} acknowledged, {leftovers} leftover files were swept"
    );
    assert!(step > 10, "the writer got somewhere between kills");
}

/// The facts that a writer acknowledged before it was killed: some `microseconds` after its fact number `after`.
fn run_until_killed(directory: &Path, after: u64, microseconds: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("write-until-killed")
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut facts = Vec::new();
    while (facts.len() as u64) < after {
        facts.push(lines.next().expect("the writer goes on until it is killed").unwrap());
    }
    // Not a wait for something: the instant of the kill is what varies.
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(microseconds) {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A last line may be cut off; then its fact was not acknowledged.
    facts.extend(lines.map_while(Result::ok).filter(|line| line.contains(' ')));
    facts
}

fn files(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Chunks that the manifests on disk name.
fn named(directory: &Path) -> BTreeSet<String> {
    let manifests = directory.join("manifests");
    let finished = files(&manifests)
        .into_iter()
        .filter(|name| name.ends_with(".manifest") || name.ends_with(".incoming"));
    finished
        .flat_map(|name| {
            let text = std::fs::read_to_string(manifests.join(name)).unwrap();
            let manifest: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            let chunks = manifest["chunks"].as_array().unwrap().clone();
            chunks.into_iter().map(|chunk| chunk[0].as_str().unwrap().to_owned())
        })
        .collect()
}

/// How many files in the folders of checkpoints no manifest accounts for.
fn unnamed(directory: &Path) -> usize {
    let unfinished =
        files(&directory.join("manifests")).iter().filter(|name| name.ends_with(".unfinished")).count();
    unfinished + files(&directory.join("chunks")).difference(&named(directory)).count()
}

/// The last step and entry that are there.
fn look(directory: &Path, round: u64, step: u64, index: u64) -> (u64, u64) {
    let store = Store::open(directory).unwrap_or_else(|error| panic!("round {round}: {error}: {error:?}"));
    let records = store.list_checkpoints(None).unwrap();
    let steps: Vec<u64> = records.iter().map(|record| record.step).collect();
    for record in &records {
        let (read, content) = store.read_checkpoint(JOB, record.step).unwrap();
        assert_eq!(read, *record);
        assert_eq!(record.digest, Digest(*hash(&[record.step, 4]).as_bytes()));
        assert!(content == state(record.step), "round {round} step {}", record.step);
    }
    // At most one step is there that was not acknowledged; retention may have begun to delete for it.
    let newest = steps.last().copied().unwrap_or(0);
    assert!(newest == step || newest == step + 1, "round {round}: {steps:?}, acknowledged {step}");
    for kept in (newest + 1).saturating_sub(KEPT).max(1)..=newest {
        assert!(steps.contains(&kept), "round {round}: {kept} is not among {steps:?}");
    }
    assert_eq!(unnamed(directory), 0, "round {round}: leftovers are swept");
    assert!(files(&directory.join("chunks")).is_subset(&named(directory)), "round {round}");

    let council = store.council().load().unwrap();
    let last = council.entries.last().map_or(0, |(last, _)| *last);
    assert!(last == index || last == index + 1, "round {round}: entry {last}, acknowledged {index}");
    let term = council.hard_state.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    assert_eq!(term.unwrap_or(0), last, "round {round}: a record is whole or absent");
    let first = council.entries.first().map_or(1, |(first, _)| *first);
    // The writer compacts at every multiple of 16, and keeps twenty entries behind it.
    assert_eq!(first, (last / 16 * 16).saturating_sub(20).max(1), "round {round}");
    for (index, content) in &council.entries {
        assert!(*content == entry(*index), "round {round} entry {index}");
    }
    (newest, last)
}

/// What retention deleted before it told so stays deleted, and it deletes from the oldest on.
///
/// Kills in a row may each come between a checkpoint and its retention, so only what was told bounds how many are there.
fn look_at_retained(directory: &Path, round: u64, kept: u64) {
    let store = Store::open(directory).unwrap();
    let steps: Vec<u64> = store.list_checkpoints(None).unwrap().iter().map(|record| record.step).collect();
    let oldest_kept = (kept + 1).saturating_sub(KEPT);
    assert!(steps.iter().all(|&step| step >= oldest_kept), "round {round}: {steps:?}, retained up to {kept}");
    assert!(steps.is_sorted_by(|one, next| one + 1 == *next), "round {round}: a gap in {steps:?}");
}

/// A state that was fetched is whole, or goes on where it was; nothing else is missing.
fn look_at_joins(directory: &Path, round: u64) {
    let store = Store::open(directory).unwrap();
    let chunks = store.chunks();
    let joins = chunks.manifests(Some(ManifestKind::JoinState)).unwrap();
    assert!(joins.len() <= 1, "round {round}: {joins:?}");
    for record in joins {
        let missing = chunks.missing_chunks(record.id).unwrap();
        assert!(!record.is_whole || missing.is_empty(), "round {round}: {missing:?}");
        for chunk in chunks.manifest(record.id).unwrap().chunks {
            assert!(missing.contains(&chunk) || chunks.get_ref(chunk).is_ok(), "round {round}: {chunk:?}");
        }
    }
    assert_eq!(chunks.verify_all(None, &mut |_| true).unwrap().damaged, 0, "round {round}");
    let status = chunks.status().unwrap();
    assert_eq!(status.unnamed, 0, "round {round}: the index counts what the manifests name");
}
