//! The council's log: what was persisted is loaded, entries replace what they contradict.

use traind_store::{COUNCIL_VALUE_BYTES_MAX, CouncilRecord, RecoveredCouncil, Store, StoreError};

fn entries(range: std::ops::Range<u64>, content: &str) -> Vec<(u64, Vec<u8>)> {
    range.map(|index| (index, format!("{content} {index}").into_bytes())).collect()
}

fn record(entries: Vec<(u64, Vec<u8>)>) -> CouncilRecord {
    CouncilRecord { entries, ..CouncilRecord::default() }
}

#[test]
fn everything_is_loaded_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.council().load().unwrap(), RecoveredCouncil::default());
    // Values of all sizes around the piece's, a snapshot of many pieces.
    let sized: Vec<_> = (1u64..).zip([0, 1, 4095, 4096, 4097, 8192, 100_000]).collect();
    let mut expected = RecoveredCouncil {
        hard_state: Some(b"term 3".to_vec()),
        entries: sized.iter().map(|(index, bytes)| (*index, crate::fixture::state(*index, *bytes))).collect(),
        conf_state: Some(b"1 2 3".to_vec()),
        snapshot: Some(crate::fixture::state(5, 300_000)),
    };
    let first = CouncilRecord {
        hard_state: expected.hard_state.clone(),
        entries: expected.entries.clone(),
        conf_state: expected.conf_state.clone(),
        snapshot: expected.snapshot.clone(),
        compact_before: None,
    };
    store.council().persist(&first).unwrap();
    assert_eq!(store.council().load().unwrap(), expected);
    // A shorter value leaves nothing of the longer one.
    expected.snapshot = Some(b"short".to_vec());
    expected.hard_state = Some(Vec::new());
    let second = CouncilRecord {
        snapshot: expected.snapshot.clone(),
        hard_state: expected.hard_state.clone(),
        ..CouncilRecord::default()
    };
    store.council().persist(&second).unwrap();
    store.council().persist(&CouncilRecord::default()).unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.council().load().unwrap(), expected);
}

#[test]
fn a_new_entry_removes_what_is_at_and_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let council = store.council();
    council.persist(&record(entries(1..100, "old"))).unwrap();
    council.persist(&record(entries(40..43, "new"))).unwrap();
    let expected = [entries(1..40, "old"), entries(40..43, "new")].concat();
    assert_eq!(council.load().unwrap().entries, expected);
    // Within one record too.
    council.persist(&record([entries(43..50, "lost"), entries(41..42, "newest")].concat())).unwrap();
    let expected = [entries(1..40, "old"), entries(40..41, "new"), entries(41..42, "newest")].concat();
    assert_eq!(council.load().unwrap().entries, expected);
    // Indices of more than one byte are in numeric order.
    council.persist(&record(entries(42..700, "long"))).unwrap();
    assert_eq!(council.load().unwrap().entries.len(), 699);
    council.persist(&record(entries(256..257, "cut"))).unwrap();
    assert_eq!(council.load().unwrap().entries.last().unwrap().0, 256);
}

#[test]
fn compaction_drops_stored_entries_below_and_binds_no_later_record() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let council = store.council();
    council.persist(&record(entries(1..20, "a"))).unwrap();
    council.persist(&CouncilRecord { compact_before: Some(10), ..record(entries(20..22, "a")) }).unwrap();
    council.persist(&CouncilRecord { compact_before: Some(5), ..CouncilRecord::default() }).unwrap();
    let loaded = council.load().unwrap();
    assert_eq!(loaded.entries, entries(10..22, "a"));
    // A snapshot from the leader: everything goes, the log begins again behind it.
    council.persist(&CouncilRecord { compact_before: Some(u64::MAX), ..CouncilRecord::default() }).unwrap();
    assert_eq!(council.load().unwrap().entries, []);
    council.persist(&record(entries(101..103, "b"))).unwrap();
    drop(store);
    let loaded = Store::open(directory.path()).unwrap().council().load().unwrap();
    assert_eq!(loaded.entries, entries(101..103, "b"));
}

#[test]
fn a_hole_or_a_giant_is_refused_and_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let council = store.council();
    council.persist(&record(entries(1..4, "a"))).unwrap();
    let before = council.load().unwrap();
    let hole = council.persist(&record(entries(5..6, "a")));
    assert!(matches!(hole, Err(StoreError::LogHole { last: 3, found: 5 })), "{hole:?}");
    let mut within = entries(4..6, "a");
    within.push((7, Vec::new()));
    let hole = council.persist(&record(within));
    assert!(matches!(hole, Err(StoreError::LogHole { last: 5, found: 7 })), "{hole:?}");
    let giant = vec![0; COUNCIL_VALUE_BYTES_MAX + 1];
    let giant = council.persist(&CouncilRecord { snapshot: Some(giant), ..CouncilRecord::default() });
    assert!(matches!(giant, Err(StoreError::TooLarge { .. })), "{giant:?}");
    assert_eq!(council.load().unwrap(), before);
}
