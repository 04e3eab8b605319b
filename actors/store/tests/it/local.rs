//! Local values and remembered peers.

use traind_store::{
    ADDRESS_BYTES_MAX, LOCAL_KEY_BYTES_MAX, LOCAL_VALUE_BYTES_MAX, PEERS_REMEMBERED_MAX, Store, StoreError,
};

#[test]
fn local_values_outlive_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.get_local("seat").unwrap(), None);
    let large = crate::fixture::state(1, LOCAL_VALUE_BYTES_MAX);
    store.put_local("seat", &large).unwrap();
    store.put_local("seat id", b"another key").unwrap();
    store.put_local("seat", b"17").unwrap();
    store.put_local("", b"").unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.get_local("seat").unwrap().as_deref(), Some(b"17".as_slice()));
    assert_eq!(store.get_local("seat id").unwrap().as_deref(), Some(b"another key".as_slice()));
    assert_eq!(store.get_local("").unwrap(), Some(Vec::new()));
    let key = "k".repeat(LOCAL_KEY_BYTES_MAX + 1);
    assert!(matches!(store.put_local(&key, b""), Err(StoreError::TooLarge { .. })));
    assert!(matches!(store.put_local("k", &[large, vec![0]].concat()), Err(StoreError::TooLarge { .. })));
}

/// Whether somebody waits for the lock of this file: `/proc/locks` shows it below that lock, with an arrow.
fn is_waited_for(file: &std::fs::File) -> bool {
    let inode = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap()));
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
}

/// As sled's threads may hold it for a moment after a store is dropped.
#[test]
fn a_database_that_is_still_held_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    Store::open(directory.path()).unwrap().put_local("seat", b"17").unwrap();
    for database in ["records", "index"] {
        let held = std::fs::File::open(directory.path().join(database).join("db")).unwrap();
        held.lock().unwrap();
        let path = directory.path().to_path_buf();
        let opening =
            std::thread::spawn(move || Store::open(&path).and_then(|store| store.get_local("seat")));
        while !is_waited_for(&held) {
            assert!(!opening.is_finished(), "{database}: it did not wait");
            std::thread::yield_now();
        }
        drop(held);
        assert_eq!(opening.join().unwrap().unwrap().as_deref(), Some(b"17".as_slice()), "{database}");
    }
}

#[test]
fn the_peers_met_last_are_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for number in 0..PEERS_REMEMBERED_MAX + 5 {
        store.remember_peer(&format!("/ip4/10.0.0.{number}/tcp/4001")).unwrap();
    }
    store.remember_peer("/ip4/10.0.0.9/tcp/4001").unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    let peers = store.remembered_peers().unwrap();
    assert_eq!(peers.len(), PEERS_REMEMBERED_MAX);
    assert_eq!(peers[0], "/ip4/10.0.0.9/tcp/4001");
    assert_eq!(peers[1], format!("/ip4/10.0.0.{}/tcp/4001", PEERS_REMEMBERED_MAX + 4));
    assert_eq!(peers[PEERS_REMEMBERED_MAX - 1], "/ip4/10.0.0.5/tcp/4001");
    assert!(matches!(
        store.remember_peer(&"x".repeat(ADDRESS_BYTES_MAX + 1)),
        Err(StoreError::TooLarge { .. })
    ));
}
