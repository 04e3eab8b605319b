//! Chunks and manifests, put, fetched piece by piece, shared and swept.

use std::sync::{Arc, Mutex};

use traind_protocol::ids::ChunkId;
use traind_store::{
    CHUNK_BYTES_MAX, ChunkRef, Chunks, Compression, MalformedManifest, Manifest, ManifestBody, ManifestKind,
    Store, StoreError, StoreOptions, chunk_id,
};

use crate::fixture::{JOB, files, state, write};

fn data_set(name: &str, contents: &[&[u8]]) -> Manifest {
    let chunk = |content: &&[u8]| ChunkRef { id: chunk_id(content), bytes: content.len() as u32 };
    Manifest {
        body: ManifestBody::DataSet { name: name.into(), facts: "{\"samples\":3}".into() },
        chunks: contents.iter().map(chunk).collect(),
    }
}

#[test]
fn a_manifest_counts_on_its_chunks_and_they_go_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let chunks = store.chunks();
    let first = data_set("digits", &[b"one", b"two", b"one"]);
    match chunks.put_manifest(&first) {
        Err(StoreError::Incomplete { missing: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
    let mut lease = chunks.lease();
    for content in [b"one", b"two"] {
        let chunk = chunks.put(&mut lease, content).unwrap();
        assert_eq!(chunk, ChunkRef { id: chunk_id(content), bytes: 3 });
    }
    let id = chunks.put_manifest(&first).unwrap();
    assert_eq!(chunks.put_manifest(&first).unwrap(), id, "again is no error");
    let second = data_set("digits-2", &[b"two"]);
    let other = chunks.put_manifest(&second).unwrap();
    drop(lease);
    let listed = chunks.manifests(Some(ManifestKind::DataSet)).unwrap();
    assert_eq!(
        listed.iter().map(|record| (record.id, record.bytes, record.chunks)).collect::<Vec<_>>(),
        [(id, 9, 3), (other, 3, 1)]
    );
    assert_eq!(chunks.manifest(id).unwrap(), first);
    assert!(store.list_checkpoints(None).unwrap().is_empty());
    assert!(chunks.remove_manifest(id).unwrap() && !chunks.remove_manifest(id).unwrap());
    assert!(!chunks.has(chunk_id(b"one")).unwrap() && chunks.has(chunk_id(b"two")).unwrap());
    assert!(chunks.remove_manifest(other).unwrap());
    assert!(files(&directory.path().join("chunks")).is_empty());
    assert!(matches!(chunks.manifest(id), Err(StoreError::NoSuchManifest { .. })));
}

#[test]
fn a_manifest_that_is_fetched_goes_on_where_it_was_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = data_set("letters", &[b"alpha", b"beta", b"gamma"]);
    let (id, missing) = {
        let store = Store::open(directory.path()).unwrap();
        let id = store.chunks().begin_manifest(&manifest).unwrap();
        assert_eq!(store.chunks().missing_chunks(id).unwrap(), manifest.chunks);
        store.chunks().put(&mut store.chunks().lease(), b"beta").unwrap();
        assert!(matches!(store.chunks().finish_manifest(id), Err(StoreError::Incomplete { missing: 2, .. })));
        (id, store.chunks().missing_chunks(id).unwrap())
    };
    assert_eq!(missing, [manifest.chunks[0], manifest.chunks[2]]);
    let store = Store::open(directory.path()).unwrap();
    let chunks = store.chunks();
    assert_eq!(chunks.missing_chunks(id).unwrap(), missing, "what was fetched is not swept");
    let mut lease = chunks.lease();
    let wrong = chunks.put_named(&mut lease, missing[0].id, b"alphA");
    assert!(matches!(wrong, Err(StoreError::WrongContent { id }) if id == missing[0].id));
    chunks.put_named(&mut lease, missing[0].id, b"alpha").unwrap();
    chunks.put_named(&mut lease, missing[1].id, b"gamma").unwrap();
    assert!(!chunks.manifests(None).unwrap()[0].is_whole);
    chunks.finish_manifest(id).unwrap();
    chunks.finish_manifest(id).unwrap();
    drop(lease);
    assert!(chunks.manifests(None).unwrap()[0].is_whole);
    assert_eq!(files(&directory.path().join("manifests")).len(), 1);
    chunks.collect(false).unwrap();
    assert!(chunks.missing_chunks(id).unwrap().is_empty());
}

#[test]
fn what_is_leased_is_not_swept_and_what_is_not_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let chunks = store.chunks();
    let (mut kept, mut given_up) = (chunks.lease(), chunks.lease());
    chunks.put(&mut kept, b"kept").unwrap();
    chunks.put(&mut given_up, b"kept").unwrap();
    chunks.put(&mut given_up, b"given up").unwrap();
    assert_eq!(chunks.collect(false).unwrap().chunks, 0);
    chunks.abandon(given_up).unwrap();
    assert!(!chunks.has(chunk_id(b"given up")).unwrap() && chunks.has(chunk_id(b"kept")).unwrap());
    drop(kept);
    let dry = chunks.collect(true).unwrap();
    assert_eq!((dry.chunks, dry.bytes), (1, 4));
    assert_eq!(chunks.collect(false).unwrap(), dry);
    assert!(!chunks.has(chunk_id(b"kept")).unwrap());
}

#[test]
fn collecting_beside_a_writer_takes_nothing_that_it_counts_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (chunks, done) = (store.chunks(), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut sweeps = 0u64;
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                chunks.collect(false).unwrap();
                sweeps += 1;
            }
            sweeps
        });
        let shared = state(77, 1000);
        for round in 0..150u64 {
            let own = state(round, 500);
            let manifest = data_set(&format!("d{round}"), &[shared.as_slice(), &own]);
            let mut lease = chunks.lease();
            chunks.put(&mut lease, &shared).unwrap();
            chunks.put(&mut lease, &own).unwrap();
            let id = chunks.put_manifest(&manifest).unwrap();
            drop(lease);
            assert!(chunks.missing_chunks(id).unwrap().is_empty(), "round {round}");
            for chunk in &manifest.chunks {
                chunks.get_ref(*chunk).unwrap();
            }
            chunks.remove_manifest(id).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        assert!(collector.join().unwrap() > 0);
    });
    assert!(files(&directory.path().join("chunks")).is_empty());
}

#[test]
fn a_manifest_that_claims_what_cannot_be_is_refused() {
    let zero = |mut manifest: Manifest| {
        manifest.chunks[0].bytes = 0;
        manifest
    };
    let base = data_set("a", &[b"one", b"two"]);
    assert_eq!(zero(base.clone()).encode(), Err(MalformedManifest::ChunkBytes { number: 0, bytes: 0 }));
    let long = Manifest {
        chunks: vec![ChunkRef { id: ChunkId([1; 32]), bytes: CHUNK_BYTES_MAX as u32 + 1 }],
        ..base.clone()
    };
    assert!(matches!(long.encode(), Err(MalformedManifest::ChunkBytes { .. })));
    for name in ["", "../x", "a/b", ".hidden", "ä", &"x".repeat(129)] {
        let body = ManifestBody::DataSet { name: name.into(), facts: String::new() };
        assert_eq!(Manifest { body, ..base.clone() }.encode(), Err(MalformedManifest::Name), "{name}");
    }
    // Signed by its own hash, and still lying about the whole.
    let (_, text) = base.encode().unwrap();
    let json = String::from_utf8(text).unwrap();
    let json = json.lines().next().unwrap().replace("\"bytes\":6", "\"bytes\":7");
    let text = format!("{json}\n{}\n", blake3::hash(json.as_bytes()).to_hex());
    assert_eq!(Manifest::decode(text.as_bytes()), Err(MalformedManifest::Total { claimed: 7, found: 6 }));
    assert_eq!(Manifest::decode(b"no manifest"), Err(MalformedManifest::Text));
}

/// The chunks that are told to be damaged from now on.
fn damage_told_by(chunks: &Chunks) -> Arc<Mutex<Vec<ChunkId>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    chunks.on_damage(Box::new(move |id| heard.lock().unwrap().push(id)));
    told
}

#[test]
fn a_damaged_chunk_is_told_once_and_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let chunks = store.chunks();
    write(&store, JOB, 1, &state(1, 3000));
    let (id, manifest) = store.checkpoint_manifest(JOB, 1).unwrap();
    let chunk = manifest.chunks[0];
    let told = damage_told_by(chunks);
    let path = directory.path().join("chunks").join(chunk.id.to_hex());
    std::fs::write(&path, "bad").unwrap();
    for _ in 0..2 {
        assert!(matches!(chunks.verify(chunk.id), Err(StoreError::Damaged { .. })));
    }
    assert_eq!(*told.lock().unwrap(), [chunk.id]);
    assert_eq!((chunks.damaged(), chunks.has(chunk.id).unwrap()), (vec![chunk.id], false));
    assert_eq!(chunks.missing_chunks(id).unwrap(), [chunk]);
    chunks.put_named(&mut chunks.lease(), chunk.id, &state(1, 3000)).unwrap();
    assert!(chunks.damaged().is_empty() && chunks.missing_chunks(id).unwrap().is_empty());
    assert!(store.read_checkpoint(JOB, 1).unwrap().1 == state(1, 3000));
}

#[test]
fn a_chunk_that_went_with_its_last_manifest_is_not_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let chunks = store.chunks();
    write(&store, JOB, 1, &state(1, 3000));
    let (id, manifest) = store.checkpoint_manifest(JOB, 1).unwrap();
    let told = damage_told_by(chunks);
    // Whoever made a list of what to read before it was removed comes too late.
    chunks.remove_manifest(id).unwrap();
    assert!(matches!(chunks.get_ref(manifest.chunks[0]), Err(StoreError::Damaged { .. })));
    assert!(chunks.damaged().is_empty() && told.lock().unwrap().is_empty());
}

#[test]
fn sources_that_send_the_same_chunk_at_once_do_not_hinder_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let puts_before = store.chunks().puts();
    for round in 0..20 {
        let content = state(round, 500_000);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| store.chunks().put(&mut store.chunks().lease(), &content).unwrap());
            }
        });
    }
    assert_eq!(store.chunks().puts(), puts_before + 40);
}

#[test]
fn compressed_chunks_have_the_same_names_and_either_kind_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let packed = StoreOptions { compression: Compression::Zstd, ..StoreOptions::default() };
    let soft = vec![7u8; 100_000];
    let hard = state(3, 100_000);
    let ids = {
        let store = Store::open_with(directory.path(), packed).unwrap();
        write(&store, JOB, 1, &soft);
        write(&store, JOB, 2, &hard);
        [1, 2].map(|step| store.checkpoint_manifest(JOB, step).unwrap().1.chunks[0].id)
    };
    assert_eq!(ids, [chunk_id(&soft), chunk_id(&hard)]);
    let file = directory.path().join("chunks").join(format!("{}.zst", ids[0]));
    assert!(std::fs::metadata(&file).unwrap().len() < 1000);
    assert!(directory.path().join("chunks").join(ids[1].to_hex()).exists(), "shorter as it is");
    let store = Store::open(directory.path()).unwrap();
    assert!(store.read_checkpoint(JOB, 1).unwrap().1 == soft);
    assert!(store.read_checkpoint(JOB, 2).unwrap().1 == hard);
    let whole = std::fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&file, damaged).unwrap();
        match store.read_checkpoint(JOB, 1) {
            Err(StoreError::Damaged { object, .. }) => assert_eq!(object, file),
            // A bit of the frame that decides nothing.
            Ok((_, read)) => assert!(read == soft),
            Err(other) => panic!("{other}"),
        }
    }
}
