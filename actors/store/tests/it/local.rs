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
