use super::*;

const NODE: NodeId = NodeId([1; 32]);

fn targets() -> Targets {
    Targets::new(Jitter::new(1))
}

fn address(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
}

fn due(targets: &mut Targets, now: u64, connected: bool) -> usize {
    targets.due(Millis(now), |_| connected).len()
}

/// Lets the dial of `address` fail at `now`; the pause after it and what was forgotten.
fn fail(targets: &mut Targets, address: &Multiaddr, now: u64, is_alone: bool) -> (u64, usize) {
    let connection = ConnectionId::new_unchecked(now as usize);
    targets.dialling(std::slice::from_ref(address), connection);
    let forgotten = targets.failed(connection, Millis(now), is_alone, |address| format!("no {address}"));
    let next = targets.by_address.get(address).map_or(now, |target| target.next.0);
    (next - now, forgotten.len())
}

#[test]
fn failures_make_the_pause_grow_to_the_bound_of_the_origin_and_never_end_a_configured_address() {
    let mut targets = targets();
    let (configured, remembered, learned) = (address(1), address(2), address(3));
    assert!(targets.keep(configured.clone(), None, Millis(0)));
    assert!(targets.remember(remembered.clone(), Some(NODE), Millis(0)));
    for (address, bound) in [
        (&configured, CONFIGURED_PAUSE_MS_MAX),
        (&remembered, REMEMBERED_PAUSE_MS_MAX),
        (&learned, LEARNED_PAUSE_MS_MAX),
    ] {
        let mut now = 0;
        for failure in 0..20 {
            targets.learn(learned.clone(), NodeId([3; 32]), Millis(now), Millis(now));
            let (pause, _) = fail(&mut targets, address, now, false);
            let least = (BACK_OFF_MS_MIN << failure).min(bound);
            assert!((least..=least + least / 4).contains(&pause), "{address}: {pause} after {failure}");
            now += pause;
        }
    }
    for now in 0..10 * u64::from(REMEMBERED_FAILURES_MAX) {
        assert_eq!(fail(&mut targets, &configured, now, false).1, 0);
    }
    assert_eq!(due(&mut targets, 1 << 40, false), 2, "the learned one is over, the others are tried");
}

#[test]
fn one_dial_at_a_time() {
    let mut targets = targets();
    targets.keep(address(1), None, Millis(0));
    assert_eq!(due(&mut targets, 0, false), 1);
    targets.dialling(&[address(1)], ConnectionId::new_unchecked(1));
    assert_eq!(due(&mut targets, 1 << 40, false), 0);
}

#[test]
fn a_remembered_address_is_forgotten_after_failures_that_were_not_ours() {
    let mut targets = targets();
    targets.remember(address(1), Some(NODE), Millis(0));
    for now in 0..3 * u64::from(REMEMBERED_FAILURES_MAX) {
        assert_eq!(fail(&mut targets, &address(1), now, true).1, 0, "this node is cut off");
    }
    for now in 1..u64::from(REMEMBERED_FAILURES_MAX) {
        assert_eq!(fail(&mut targets, &address(1), now, false).1, 0);
    }
    assert_eq!(fail(&mut targets, &address(1), 1 << 40, false).1, 1);
    assert!(targets.by_address.is_empty());
}

#[test]
fn reaching_a_remembered_address_begins_its_count_again() {
    let mut targets = targets();
    targets.remember(address(1), Some(NODE), Millis(0));
    for round in 0..3 {
        for now in 1..u64::from(REMEMBERED_FAILURES_MAX) {
            assert_eq!(fail(&mut targets, &address(1), now, false).1, 0, "round {round}");
        }
        let connection = ConnectionId::new_unchecked(1 << 30);
        targets.dialling(&[address(1)], connection);
        targets.reached(connection, NODE, Millis(5));
    }
}

#[test]
fn a_sign_of_life_and_another_network_end_the_pause() {
    for is_seen in [true, false] {
        let mut targets = targets();
        targets.remember(address(1), Some(NODE), Millis(0));
        let mut now = 0;
        for _ in 0..12 {
            now += fail(&mut targets, &address(1), now, false).0;
        }
        let (pause, _) = fail(&mut targets, &address(1), now, false);
        assert!(pause >= REMEMBERED_PAUSE_MS_MAX);
        if is_seen {
            targets.seen(NODE, Millis(now));
        } else {
            targets.network_changed(Millis(now));
        }
        assert_eq!(due(&mut targets, now + NETWORK_CHANGED_MS_MAX, false), 1, "seen: {is_seen}");
        let (pause, _) = fail(&mut targets, &address(1), now + NETWORK_CHANGED_MS_MAX, false);
        assert!(pause <= BACK_OFF_MS_MIN + BACK_OFF_MS_MIN / 4, "{pause}");
    }
}

#[test]
fn after_a_change_of_the_network_not_all_is_dialled_at_once() {
    let mut targets = targets();
    for port in 1..=40 {
        targets.keep(address(port), None, Millis(0));
        for now in 0..12 {
            fail(&mut targets, &address(port), now, false);
        }
    }
    targets.network_changed(Millis(100));
    let first = due(&mut targets, 100 + NETWORK_CHANGED_MS_MAX / 2, false);
    assert!((5..35).contains(&first), "{first} of 40 in the first half");
    assert_eq!(due(&mut targets, 100 + NETWORK_CHANGED_MS_MAX, false), 40);
}

#[test]
fn learned_addresses_end_unless_their_node_is_connected() {
    let mut targets = targets();
    assert!(targets.learn(address(1), NODE, Millis(0), Millis(300)));
    assert_eq!(due(&mut targets, 299, false), 0);
    assert_eq!(due(&mut targets, 300, true), 0);
    assert_eq!(targets.due(Millis(300), |_| false)[0].pinned, Some(NODE));
    assert_eq!(due(&mut targets, LEARNED_MS_MAX, true), 0);
    targets.lost(NODE, Millis(LEARNED_MS_MAX));
    assert_eq!(due(&mut targets, LEARNED_MS_MAX + BACK_OFF_MS_MIN, false), 1);
    assert_eq!(due(&mut targets, 2 * LEARNED_MS_MAX, false), 0);
    assert!(targets.by_address.is_empty());
}

#[test]
fn an_address_where_a_peer_was_met_outlives_what_others_told_of_it() {
    let mut targets = targets();
    targets.learn(address(1), NODE, Millis(0), Millis(0));
    assert!(targets.remember(address(1), Some(NODE), Millis(0)));
    assert_eq!(due(&mut targets, 10 * LEARNED_MS_MAX, false), 1);
    targets.keep(address(1), None, Millis(0));
    targets.remember(address(1), Some(NODE), Millis(0));
    assert_eq!(targets.by_address[&address(1)].origin, Origin::Configured);
}

#[test]
fn all_addresses_of_a_node_are_one_dial() {
    let mut targets = targets();
    for port in [1, 2] {
        targets.learn(address(port), NODE, Millis(0), Millis(0));
    }
    let dials = targets.due(Millis(0), |_| false);
    assert_eq!(dials, [Due { addresses: vec![address(1), address(2)], pinned: Some(NODE) }]);
    targets.dialling(&dials[0].addresses[..1], ConnectionId::new_unchecked(1));
    assert_eq!(due(&mut targets, 0, false), 0, "the node is being dialled");
    targets.remove(ConnectionId::new_unchecked(1));
    assert_eq!(due(&mut targets, 0, false), 1);
}

#[test]
fn what_does_not_answer_is_told_with_the_cause_until_it_does() {
    let mut targets = targets();
    targets.keep(address(1), Some(NODE), Millis(0));
    assert_eq!(targets.unanswered(|_| false).count(), 0, "nothing failed yet");
    fail(&mut targets, &address(1), 5, false);
    let told: Vec<Unanswered<'_>> = targets.unanswered(|_| false).collect();
    assert_eq!((told[0].failures, told[0].error), (1, Some("no /ip4/127.0.0.1/tcp/1")));
    assert_eq!(targets.unanswered(|node| node == NODE).count(), 0, "joined over another address");
    let connection = ConnectionId::new_unchecked(9);
    targets.dialling(&[address(1)], connection);
    assert_eq!(targets.dialled_node(connection), Some(NODE));
    targets.reached(connection, NODE, Millis(9));
    assert_eq!(targets.unanswered(|_| false).count(), 0);
}

#[test]
fn the_table_is_bounded() {
    let mut targets = targets();
    for port in 1..=REMEMBERED_MAX as u16 {
        assert!(targets.remember(address(port), None, Millis(0)));
    }
    assert!(!targets.remember(address(50_000), None, Millis(0)));
    for port in 1..=TARGETS_MAX as u16 {
        assert!(targets.learn(address(port), NODE, Millis(0), Millis(0)));
    }
    assert!(!targets.learn(address(60_000), NODE, Millis(0), Millis(0)));
    assert!(!targets.keep(address(60_000), None, Millis(0)));
    assert!(targets.learn(address(1), NODE, Millis(0), Millis(0)));
    assert_eq!(targets.by_address.len(), TARGETS_MAX);
}
