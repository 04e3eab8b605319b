//! Which crate may depend on which. A new arrow needs a line here and a reason in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::sources::root;

/// Our crates and what each may name of the others. `dev` arrows are listed apart.
const ARROWS: [(&str, &[&str]); 9] = [
    ("traind-protocol", &[]),
    ("traind-averaging", &[]),
    ("traind-training", &[]),
    ("traind-store", &["traind-protocol"]),
    ("traind-p2p", &["traind-protocol"]),
    (
        "traind-actors",
        &["traind-averaging", "traind-p2p", "traind-protocol", "traind-store", "traind-training"],
    ),
    ("traind", &["traind-actors", "traind-p2p", "traind-protocol", "traind-store", "traind-training"]),
    ("traind-simulator", &["traind-averaging", "traind-protocol"]),
    ("traind-integration", &["traind"]),
];

/// A piece of the outside world and the only crates of ours that may name it.
const OUTSIDE: [(&str, &[&str]); 9] = [
    ("libp2p", &["traind-p2p"]),
    ("tokio-rustls", &["traind-p2p"]),
    ("candle-core", &["traind-training"]),
    ("candle-nn", &["traind-training"]),
    ("cudarc", &["traind-training"]),
    ("sled", &["traind-store"]),
    ("raft", &["traind-protocol"]),
    ("actix", &["traind-actors", "traind"]),
    ("config", &["traind"]),
];

/// What the deciding crates must never name: IO, clocks, randomness.
const PURE: [&str; 2] = ["traind-protocol", "traind-averaging"];
const IMPURE: [&str; 9] =
    ["tokio", "actix", "libp2p", "sled", "rand", "getrandom", "fastrand", "futures", "tracing"];

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--locked".to_owned(), "--offline".to_owned()])
        .exec()
        .expect("cargo metadata of the workspace");
    metadata.packages
}

fn named_by(package: &Package, kinds: &[DependencyKind]) -> BTreeSet<String> {
    let named = package.dependencies.iter().filter(|dependency| kinds.contains(&dependency.kind));
    named.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let packages = packages();
    let names: BTreeSet<String> = packages.iter().map(|package| package.name.to_string()).collect();
    assert_eq!(
        names,
        allowed.keys().map(ToString::to_string).collect(),
        "every crate of the workspace has its line"
    );
    for package in &packages {
        let ours = named_by(package, &[DependencyKind::Normal, DependencyKind::Build]);
        let ours: BTreeSet<String> = ours.into_iter().filter(|name| names.contains(name)).collect();
        let may: BTreeSet<String> = allowed[package.name.as_str()].iter().map(ToString::to_string).collect();
        assert!(ours.is_subset(&may), "{} depends on {:?}, allowed is {may:?}", package.name, ours);
    }
}

#[test]
fn each_piece_of_the_outside_world_has_its_crate() {
    for package in packages() {
        let named =
            named_by(&package, &[DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development]);
        for (outside, owners) in OUTSIDE {
            let allowed = owners.contains(&package.name.as_str());
            assert!(
                allowed || !named.contains(outside),
                "{} names {outside}, only {owners:?} may",
                package.name
            );
        }
    }
}

#[test]
fn deciding_crates_know_no_io_no_clock_no_randomness() {
    for package in packages().iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let named = named_by(package, &[DependencyKind::Normal]);
        let impure: Vec<&&str> = IMPURE.iter().filter(|name| named.contains(**name)).collect();
        assert!(impure.is_empty(), "{} names {impure:?}", package.name);
    }
}

#[test]
fn deciding_crates_read_no_clock_and_no_file() {
    const FORBIDDEN: [&str; 8] = [
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "thread_rng",
        "HashMap",
    ];
    for source in crate::sources::all() {
        let pure =
            source.path.starts_with("p2p/protocol/src") || source.path.starts_with("actors/averaging/src");
        if !pure {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = FORBIDDEN.iter().find(|word| code.contains(**word));
            assert!(
                found.is_none(),
                "{}:{}: {} in a deciding crate",
                source.path,
                number + 1,
                found.unwrap_or(&"")
            );
        }
    }
}
