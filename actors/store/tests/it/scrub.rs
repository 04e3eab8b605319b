//! What is kept is read again, what is damaged is named with what it belongs to, and imports are looked at closely.

use std::fs;
use std::os::unix::fs::symlink;

use traind_protocol::ids::{Chain, Digest};
use traind_store::{CHUNK_BYTES_MAX, Damage, MalformedManifest, Store, StoreError};

use crate::fixture::{JOB, files, state, write};

#[test]
fn verification_names_damaged_chunks_and_manifests_with_their_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let shared = state(9, CHUNK_BYTES_MAX);
    for step in 1..=3 {
        write(&store, JOB, step, &[shared.as_slice(), &state(step, 2000)].concat());
    }
    let mut told = Vec::new();
    let chunks = store.chunks();
    let verified = chunks
        .verify_all(None, &mut |progress| {
            told.push(progress.chunks);
            true
        })
        .unwrap();
    assert_eq!((verified.damaged, told), (0, vec![1, 2, 3, 4]));
    assert_eq!(verified.progress.bytes, CHUNK_BYTES_MAX as u64 + 3 * 2000);
    let (first, manifest) = store.checkpoint_manifest(JOB, 1).unwrap();
    let path = directory.path().join("chunks").join(manifest.chunks[0].id.to_hex());
    fs::write(&path, &shared[1..]).unwrap();
    let verified = chunks.verify_all(None, &mut |_| true).unwrap();
    assert_eq!(verified.damaged, 1);
    assert_eq!((&verified.named[0].object, verified.named[0].manifests.len()), (&path, 3));
    let length = Damage::Length { expected: CHUNK_BYTES_MAX as u64, found: CHUNK_BYTES_MAX as u64 - 1 };
    assert_eq!(verified.named[0].damage, length);
    assert_eq!(chunks.verify_all(Some(first), &mut |_| true).unwrap().damaged, 1);
    assert_eq!(chunks.verify_all(None, &mut |_| false).unwrap().progress.chunks, 1, "stopped");
    let status = chunks.status().unwrap();
    assert_eq!((status.checkpoints, status.chunks, status.unnamed, status.damaged), (3, 4, 0, 1));
    let lost = files(&directory.path().join("manifests"))[2].clone();
    fs::write(&lost, "gibberish").unwrap();
    let verified = chunks.verify_all(None, &mut |_| true).unwrap();
    assert_eq!(verified.named[0].object, lost);
}

#[test]
fn the_scrub_reads_every_chunk_once_a_round_and_finds_the_bad_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for step in 1..=5 {
        write(&store, JOB, step, &state(step, 100));
    }
    let bad = store.checkpoint_manifest(JOB, 3).unwrap().1.chunks[0].id;
    fs::write(directory.path().join("chunks").join(bad.to_hex()), state(4, 100)).unwrap();
    let (mut cursor, mut read, mut damaged) = (None, 0, Vec::new());
    while let Some(chunk) = store.chunks().scrub_next(cursor).unwrap() {
        damaged.extend(chunk.damage.map(|damage| (chunk.id, damage)));
        cursor = Some(chunk.id);
        read += 1;
    }
    assert_eq!((read, damaged), (5, vec![(bad, Damage::Content)]));
    assert_eq!(store.chunks().damaged(), [bad]);
}

#[test]
fn an_import_takes_over_what_is_whole_and_names_what_is_not() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = state(1, CHUNK_BYTES_MAX + 500);
    let other = Store::open(source.path()).unwrap();
    let record = write(&other, JOB, 7, &content);
    let last = other.checkpoint_manifest(JOB, 7).unwrap().1.chunks[1].id.to_hex();
    drop(other);
    let (manifest, folder) =
        (files(&source.path().join("manifests"))[0].clone(), source.path().join("chunks"));
    let (chunk, whole) = (folder.join(&last), fs::read(folder.join(&last)).unwrap());
    let store = Store::open(target.path()).unwrap();
    let chunks = store.chunks();
    let refused = |expected: Damage| match chunks.import(&manifest, &folder) {
        Err(StoreError::Damaged { object, damage }) => {
            assert_eq!((object, damage), (chunk.clone(), expected))
        }
        other => panic!("{other:?}"),
    };
    fs::remove_file(&chunk).unwrap();
    refused(Damage::Missing);
    fs::write(&chunk, &whole[..499]).unwrap();
    refused(Damage::Length { expected: 500, found: 499 });
    fs::write(&chunk, [&[whole[0] ^ 1], &whole[1..]].concat()).unwrap();
    refused(Damage::Content);
    // A way out of the folder: a link to a file with the very content is refused all the same.
    let outside = source.path().join("outside");
    fs::write(&outside, &whole).unwrap();
    fs::remove_file(&chunk).unwrap();
    symlink(&outside, &chunk).unwrap();
    assert!(matches!(chunks.import(&manifest, &folder), Err(StoreError::NotAFile { path }) if path == chunk));
    let link = source.path().join("link.manifest");
    symlink(&manifest, &link).unwrap();
    assert!(matches!(chunks.import(&link, &folder), Err(StoreError::NotAFile { .. })));
    // A chunk that is named by a path.
    let text = fs::read_to_string(&manifest).unwrap();
    let json = text.lines().next().unwrap().replace(&last, "../../../../etc/passwd");
    let lying = source.path().join("lying.manifest");
    fs::write(&lying, format!("{json}\n{}\n", blake3::hash(json.as_bytes()).to_hex())).unwrap();
    match chunks.import(&lying, &folder) {
        Err(StoreError::MalformedManifest { source: MalformedManifest::Text, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(store.list_checkpoints(None).unwrap().is_empty());
    fs::remove_file(&chunk).unwrap();
    fs::write(&chunk, &whole).unwrap();
    assert_eq!(chunks.import(&manifest, &folder).unwrap(), record.manifest);
    assert_eq!(store.list_checkpoints(None).unwrap(), [record]);
    assert!(store.read_checkpoint(JOB, 7).unwrap().1 == content);
}

#[test]
fn what_is_pinned_outlives_retention_and_the_loss_of_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let records: Vec<_> = (1..=4).map(|step| write(&store, JOB, step, &state(step, 100))).collect();
    store.pin(records[1].manifest, true).unwrap();
    drop(store);
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.retain(JOB, &[4]).unwrap(), 2);
    assert_eq!(store.list_checkpoints(None).unwrap(), [records[1], records[3]]);
    assert_eq!(store.chunks().rebuild_index().unwrap(), 2);
    store.pin(records[1].manifest, false).unwrap();
    assert!(store.pinned().unwrap().is_empty());
    assert_eq!(store.retain(JOB, &[4]).unwrap(), 1);
}

#[test]
fn another_state_of_the_same_step_does_not_replace_a_pinned_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let first = write(&store, JOB, 7, &state(1, 100));
    let second = write(&store, JOB, 7, &state(2, 100));
    assert_eq!(store.list_checkpoints(None).unwrap(), [second], "replaced");
    store.pin(second.manifest, true).unwrap();
    write(&store, JOB, 7, &state(1, 100));
    assert_eq!(store.list_checkpoints(None).unwrap().len(), 2);
    assert!(
        store.chunks().manifest(first.manifest).is_ok() && store.chunks().manifest(second.manifest).is_ok()
    );
}

#[test]
fn of_two_states_of_one_step_the_one_with_the_digest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let write_as = |digest: u8, content: &[u8]| {
        store.write_checkpoint(JOB, 7, Chain([7; 32]), Digest([digest; 32]), content).unwrap()
    };
    let given_up = write_as(1, &state(1, 100));
    store.pin(given_up.manifest, true).unwrap();
    write_as(2, &state(2, 100));
    for digest in [1u8, 2] {
        let (record, content) = store.read_checkpoint_of(JOB, 7, Digest([digest; 32])).unwrap();
        assert_eq!(record.digest, Digest([digest; 32]));
        assert!(content == state(u64::from(digest), 100));
    }
    let other = store.read_checkpoint_of(JOB, 7, Digest([3; 32]));
    assert!(matches!(other, Err(StoreError::NoSuchCheckpoint { .. })));
}

#[test]
fn twenty_checkpoints_of_which_two_are_kept_take_the_disk_of_two() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let bytes = 8 << 20;
    for step in 1..=20u64 {
        write(&store, JOB, step, &state(step, bytes));
        store.retain(JOB, &[step.saturating_sub(1), step]).unwrap();
    }
    let taken: u64 = crate::fixture::picture(directory.path()).keys().map(|path| disk_bytes(path)).sum();
    let live = 2 * bytes as u64;
    println!("{taken} bytes on the disk for {live} live ones");
    assert!(taken * 10 <= live * 11, "{taken} bytes for {live}");
}

fn disk_bytes(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().blocks() * 512
}
