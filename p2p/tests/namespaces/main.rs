//! Nodes on hosts of their own: network namespaces on a bridge. Multicast DNS and Kademlia across them, and which
//! addresses leave a host. Needs CAP_NET_ADMIN (root) and iproute2; without them it fails and says so.
//!
//! `cargo test --release -p traind-p2p --test namespaces`

// Shared functions of tests, which clippy does not know to be tests.
#![allow(clippy::unwrap_used)]

mod asker;
mod host;
mod node;
mod observer;

use std::time::Instant;

use host::{Child, Hosts};
use node::Orders;

/// Hosts that run a node; one more listens to their multicast.
const NODES: usize = 3;
/// An address that every host has on an interface named docker0.
const DOCKER: &str = "172.17.0.1";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("node") => node::run(&Orders::read(&arguments[2..])),
        Some("observe") => observer::run(&arguments[2]),
        Some("ask") => asker::run(&arguments[2]),
        // Any other argument is one of cargo's for a test harness.
        _ => {
            let begun = Instant::now();
            multicast_finds_all_and_tells_nothing_of_docker();
            without_the_filter_docker_is_told();
            kademlia_finds_all_across_hosts();
            println!("namespaces: 3 passed in {:.1?}", begun.elapsed());
        }
    }
}

/// What children of one swarm said until all had joined all.
struct Seen {
    /// Lines of the nodes, by node.
    nodes: Vec<Vec<String>>,
    /// Addresses in multicast packets.
    multicast: Vec<String>,
    /// What the first node told a stranger.
    asked: Vec<String>,
}

/// Starts a node on each host and waits until all have joined all; then a stranger asks the first of them.
fn run(title: &str, orders: impl Fn(usize, &[String]) -> Orders) -> Seen {
    let begun = Instant::now();
    let hosts = Hosts::new(NODES + 1, DOCKER);
    let folder = tempfile::tempdir().unwrap();
    let mut observer = Child::start(&hosts, NODES, &["observe".to_owned(), hosts.ip(NODES)]);
    observer.wait("observing");
    let (mut children, mut addresses): (Vec<Child>, Vec<String>) = (Vec::new(), Vec::new());
    for index in 0..NODES {
        let orders = orders(index, &addresses).write(folder.path(), index);
        let mut child = Child::start(&hosts, index, &orders);
        addresses.push(child.wait(&format!("listening /ip4/{}/", hosts.ip(index))).replace("listening ", ""));
        children.push(child);
    }
    for child in &mut children {
        for _ in 1..NODES {
            child.wait("joined ");
        }
    }
    let mut asker = Child::start(&hosts, NODES, &["ask".to_owned(), addresses[0].clone()]);
    asker.wait("greeted");
    asker.wait("identified");
    println!("{title}: all {NODES} joined all after {:.1?}", begun.elapsed());
    let nodes: Vec<Vec<String>> = children.into_iter().map(Child::end).collect();
    let (multicast, asked) = (observer.end(), asker.stop());
    for (index, lines) in nodes.iter().enumerate() {
        println!("  host {index} ({}): {}", hosts.ip(index), brief(lines));
    }
    println!("  in multicast packets: {}", brief(&multicast));
    println!("  told to a stranger: {}", brief(&asked));
    Seen { nodes, multicast, asked }
}

/// Without the ids of peers, which are long and of these hosts alone.
fn brief(lines: &[String]) -> String {
    lines.iter().map(|line| line.split("/p2p/").next().unwrap()).collect::<Vec<_>>().join("; ")
}

fn multicast_finds_all_and_tells_nothing_of_docker() {
    let seen = run("multicast DNS, no peer configured", |_, _| Orders { mdns: true, ..Orders::default() });
    let heard = |lines: &[String], beginning: &str| lines.iter().any(|line| line.starts_with(beginning));
    assert!(heard(&seen.multicast, "told /ip4/10.77.0."), "{:?}", seen.multicast);
    assert!(heard(&seen.asked, "hello /ip4/10.77.0.1/"), "{:?}", seen.asked);
    assert!(heard(&seen.asked, "identify /ip4/10.77.0.1/"), "{:?}", seen.asked);
    let all = seen.nodes.iter().flatten().chain(&seen.multicast).chain(&seen.asked);
    let told: Vec<&String> = all.filter(|line| line.contains(DOCKER) || line.contains("127.0.0.1")).collect();
    assert!(told.is_empty(), "addresses that reach nobody were told: {told:?}");
}

/// The other way round, so that the one above is known to look at the right places.
fn without_the_filter_docker_is_told() {
    let orders = |_: usize, _: &[String]| Orders { mdns: true, is_filter_off: true, ..Orders::default() };
    let seen = run("the same without the filter", orders);
    for (lines, beginning) in
        [(&seen.nodes[0], "listening"), (&seen.asked, "hello"), (&seen.asked, "identify")]
    {
        let beginning = format!("{beginning} /ip4/{DOCKER}/");
        assert!(lines.iter().any(|line| line.starts_with(&beginning)), "no '{beginning}' in {lines:?}");
    }
}

fn kademlia_finds_all_across_hosts() {
    let seen = run("Kademlia, each knows the one before", |index, before| Orders {
        peer: index.checked_sub(1).map(|index| before[index].clone()),
        ..Orders::default()
    });
    assert!(!seen.multicast.iter().any(|line| line.starts_with("told")), "{:?}", seen.multicast);
    for (index, lines) in seen.nodes.iter().enumerate() {
        let joined: Vec<&String> = lines.iter().filter(|line| line.starts_with("joined ")).collect();
        assert_eq!(joined.len(), NODES - 1, "host {index}: {joined:?}");
        assert!(joined.iter().all(|line| line.contains("/ip4/10.77.0.")), "host {index}: {joined:?}");
    }
}
