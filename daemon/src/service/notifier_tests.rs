//! Every message, received by a socket of the test's own.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::super::fake_manager::{FakeManager, notifier, variables};
use super::*;

#[test]
fn a_life_is_told_datagram_by_datagram() {
    let manager = FakeManager::new(&[]);
    let notifier = manager.notifier();
    assert!(notifier.is_active());
    notifier.ready("idle, 1 node");
    notifier.feed();
    notifier.status("idle, 2 nodes");
    notifier.extend_timeout(Duration::from_secs(15));
    notifier.stopping("draining");
    assert_eq!(
        manager.heard(),
        [
            "READY=1\nSTATUS=idle, 1 node\n",
            "WATCHDOG=1\n",
            "STATUS=idle, 2 nodes\n",
            "EXTEND_TIMEOUT_USEC=15000000\n",
            "STOPPING=1\nSTATUS=draining\n",
        ]
    );
}

#[test]
fn the_same_status_is_told_once_whoever_tells_it() {
    let manager = FakeManager::new(&[]);
    let notifier = manager.notifier();
    notifier.ready("idle");
    notifier.status("idle");
    notifier.clone().status("busy");
    notifier.status("busy");
    notifier.status("idle");
    assert_eq!(manager.heard(), ["READY=1\nSTATUS=idle\n", "STATUS=busy\n", "STATUS=idle\n"]);
}

#[test]
fn a_status_can_neither_forge_a_message_nor_grow_without_bound() {
    let manager = FakeManager::new(&[]);
    manager.notifier().status("a job named\nMAINPID=1\r\n\u{1b}[31m");
    manager.notifier().status(&"é".repeat(STATUS_BYTES_MAX));
    let heard = manager.heard();
    assert_eq!(heard[0], "STATUS=a job named MAINPID=1   [31m\n");
    assert_eq!(heard[1], format!("STATUS={}\n", "é".repeat(STATUS_BYTES_MAX / 2)));
}

#[test]
fn abstract_sockets_are_spoken_to() {
    let name = format!("traind-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = FakeManager::at(format!("@{name}").into(), UnixDatagram::bind_addr(&address).unwrap());
    manager.notifier().feed();
    assert_eq!(manager.heard(), ["WATCHDOG=1\n"]);
}

#[test]
fn without_a_service_manager_nothing_is_told_and_nothing_fails() {
    for variables in [Vec::new(), variables(OsString::new(), &[("WATCHDOG_USEC", "1000000")])] {
        let notifier = notifier(&variables).unwrap();
        notifier.ready("x");
        notifier.status("x");
        notifier.stopping("x");
        notifier.feed();
        assert!(!notifier.is_active());
        assert_eq!(notifier.watchdog_interval(), None);
    }
}

#[test]
fn an_address_of_another_kind_is_refused_by_name() {
    for address in ["vsock:2:1234", "relative/path"] {
        let refused = notifier(&variables(address.into(), &[])).unwrap_err().to_string();
        assert!(refused.contains(address), "{refused}");
    }
    let long = format!("/{}", "x".repeat(200));
    assert!(matches!(notifier(&variables(long.into(), &[])), Err(NotifyError::Socket { .. })));
}

#[test]
fn a_manager_that_went_away_does_no_harm() {
    let manager = FakeManager::new(&[]);
    let notifier = manager.notifier();
    drop(manager);
    notifier.feed();
    notifier.status("still here");
}

#[test]
fn signs_of_life_are_wanted_twice_as_often_as_the_limit_and_only_from_the_process_that_is_named() {
    let interval = |more: &[(&'static str, &str)]| FakeManager::new(more).notifier().watchdog_interval();
    assert_eq!(interval(&[("WATCHDOG_USEC", "60000000")]), Some(Duration::from_secs(30)));
    assert_eq!(
        interval(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "4711")]),
        Some(Duration::from_millis(1500))
    );
    assert_eq!(interval(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "4712")]), None);
    assert_eq!(interval(&[("WATCHDOG_USEC", "0")]), None);
    assert_eq!(interval(&[("WATCHDOG_USEC", "soon")]), None);
    assert_eq!(interval(&[]), None);
}
