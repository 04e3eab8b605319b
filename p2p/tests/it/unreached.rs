//! What people are told of peers that cannot be reached, and of options that cannot be used.

use std::net::TcpListener;

use tempfile::tempdir;
use tokio::time::timeout;
use traind_p2p::{AddressOrigin, Options, StartError, UnreachedPeer, start};

use crate::kit::{DEADLINE, Node, SWARM, options, pair};

/// The first of them that `pick` takes.
async fn unreached(node: &Node, pick: impl Fn(&UnreachedPeer) -> bool) -> UnreachedPeer {
    let waiting = async {
        loop {
            if let Some(peer) = node.handle.unreached_peers().into_iter().find(&pick) {
                return peer;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, waiting).await.expect("it was not told that the peer cannot be reached")
}

/// An error with all its causes, as the daemon prints it.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[tokio::test]
async fn why_a_peer_cannot_be_reached_is_told_in_words() {
    let folder = tempdir().unwrap();
    let (a, b) = pair(&folder).await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("/ip4/127.0.0.1/tcp/{}", free.local_addr().unwrap().port());
    drop(free);
    // The address of b under the name of a.
    let wrong = format!(
        "{}/p2p/{}",
        b.address.split("/p2p/").next().unwrap(),
        a.address.split('/').next_back().unwrap()
    );
    let mut options = options(&folder, "c", 3, Some(SWARM), &[&nobody]);
    options.remembered = vec![wrong.clone()];
    let mut c = Node::start(options).await;
    let refused = unreached(&c, |peer| peer.address == nobody && peer.failures > 1).await;
    assert!(refused.error.contains("nothing listens on that port"), "{refused:?}");
    assert_eq!((refused.node, refused.origin), (None, AddressOrigin::Configured));
    let other = unreached(&c, |peer| peer.address == wrong).await;
    assert!(other.error.contains(&b.id().friendly_name()), "{other:?}");
    assert_eq!((other.node, other.origin), (Some(a.id()), AddressOrigin::Remembered));
    assert!(c.handle.counters().dials_failed > 1);
    c.handle.dial(a.address.clone());
    c.joined().await;
    c.joined().await;
    let gone = async {
        while c.handle.unreached_peers().iter().any(|peer| peer.node == Some(a.id())) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, gone).await.expect("a joined peer is not unreached");
}

#[tokio::test]
async fn addresses_that_nobody_can_listen_on_are_named_with_cause_and_remedy() {
    let folder = tempdir().unwrap();
    // A daemon's own listener shares its port with others of the same user; a plain one does not.
    let daemon = Node::start(options(&folder, "a", 1, Some(SWARM), &[])).await;
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [
        daemon.address.split('/').nth(4).unwrap().parse::<u16>().unwrap(),
        plain.local_addr().unwrap().port(),
        daemon.handle.bulk_port(),
    ];
    for port in ports {
        let listen = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
        let error = start(Options { listen, ..options(&folder, "b", 2, Some(SWARM), &[]) }).err().unwrap();
        let words = chain(&error);
        assert!(words.starts_with(&format!("listen on '/ip4/127.0.0.1/tcp/{port}'")), "{words}");
        assert!(words.contains(&format!("ss -ltnp 'sport = :{port}'")), "{words}");
        assert_eq!(words.matches("Address already in use").count(), 1, "{words}");
    }
    // TEST-NET-1: an address that no host has.
    let listen = vec!["/ip4/192.0.2.1/tcp/0".to_owned()];
    let elsewhere = Options { listen, loopback_only: false, ..options(&folder, "b", 2, Some(SWARM), &[]) };
    let words = chain(&start(elsewhere).err().unwrap());
    assert!(words.contains("no interface of this host has 192.0.2.1"), "{words}");
}

#[test]
fn a_name_of_no_interface_is_refused() {
    let folder = tempdir().unwrap();
    let interfaces_excluded = vec!["eth*0".to_owned()];
    let error = start(Options { interfaces_excluded, ..options(&folder, "a", 1, Some(SWARM), &[]) }).err();
    assert!(
        matches!(&error, Some(StartError::InterfaceName { pattern, .. }) if pattern == "eth*0"),
        "{error:?}"
    );
}
