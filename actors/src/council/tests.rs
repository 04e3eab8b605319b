//! A founder that stops and starts again on the same data directory.

use std::path::Path;

use traind_p2p::{Identity, Options};
use traind_protocol::council::{Council, CouncilOptions, CouncilOutput};
use traind_protocol::ids::{Boot, NodeId, SeatId};
use traind_protocol::ledger::Ledger;
use traind_store::CouncilRecord;

use super::driver::CouncilDriver;
use super::*;

/// A founder on the store in `folder`, not yet run.
fn open(folder: &Path, boot: Boot) -> anyhow::Result<(CouncilDriver, watch::Receiver<Arc<Published>>)> {
    let store = Arc::new(Store::open(folder)?);
    let identity = Identity::load_or_create(&store.identity_path())?;
    let (me, swarm) = (Life { node: identity.node(), boot }, SwarmId(identity.node().0));
    let (network, _events, _data) = traind_p2p::start(Options {
        swarm: Some(swarm),
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        mdns: false,
        numeric_class: "test".to_owned(),
        loopback_only: true,
        ..Options::new(identity, boot)
    })?;
    let seat_known = store.get_local(SEAT_KEY)?.is_some();
    let parts = CouncilParts {
        me,
        registration: Registration {
            boot,
            numeric_class: "test".to_owned(),
            device: "cpu".to_owned(),
            threads: 1,
            failure_label: String::new(),
            version: "0.1.0".to_owned(),
        },
        found: (!seat_known).then_some(swarm),
        on_quorum_loss: QuorumLossPolicy::Continue,
        clock: Clock::start(),
        network,
        store,
        fatal: Fatal::channel().0,
    };
    let (published, seen) = watch::channel(Arc::new(Published::default()));
    Ok((CouncilDriver::open(parts, published, watch::channel(None).0)?, seen))
}

/// The boot of the only node in the ledger.
fn registered(published: &watch::Receiver<Arc<Published>>) -> Option<Boot> {
    published.borrow().ledger.nodes.values().next().map(|record| record.boot)
}

#[test]
fn the_ledger_on_disk_is_shown_before_the_council_runs() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut driver, published) = open(folder.path(), Boot(1))?;
    driver.settle()?;
    assert_eq!(registered(&published), Some(Boot(1)));
    drop(driver);
    let (mut driver, published) = open(folder.path(), Boot(2))?;
    assert_eq!(registered(&published), Some(Boot(1)), "nobody may be told that the ledger is empty");
    driver.settle()?;
    assert_eq!(published.borrow().seat, SeatId(1));
    Ok(())
}

#[test]
fn a_node_that_names_seat_after_seat_has_one() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut driver, _published) = open(folder.path(), Boot(1))?;
    let (liar, other) = (NodeId([8; 32]), NodeId([9; 32]));
    driver.note_said_seat(SeatId(3), other);
    (4..5_000).for_each(|seat| driver.note_said_seat(SeatId(seat), liar));
    assert_eq!(driver.said_seats.len(), 2);
    assert_eq!(driver.said_seats.get(&SeatId(4_999)), Some(&liar));
    // A seat is of whoever named it last.
    driver.note_said_seat(SeatId(3), liar);
    assert_eq!(driver.said_seats.into_iter().collect::<Vec<_>>(), [(SeatId(3), liar)]);
    Ok(())
}

#[test]
fn a_founder_that_died_before_its_seat_was_on_disk_founds_again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let mut outputs = Vec::new();
    let _lost = Council::found(SeatId(1), CouncilOptions::default(), Ledger::default(), &mut outputs);
    for output in outputs {
        if let CouncilOutput::Persist(record) = output {
            store.council().persist(&CouncilRecord {
                hard_state: record.hard_state,
                entries: record.entries,
                conf_state: record.conf_state,
                snapshot: record.snapshot,
                compact_before: record.compact_before,
            })?;
        }
    }
    drop(store);
    let (mut driver, published) = open(folder.path(), Boot(2))?;
    driver.settle()?;
    assert_eq!(registered(&published), Some(Boot(2)), "it leads");
    Ok(())
}
