//! Which crate may depend on which. A new arrow needs a line here and a reason in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

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
    ("traind-integration", &["traind", "traind-training"]),
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

/// A crate of the workspace as cargo describes it.
struct Package {
    name: String,
    /// (name, kind) of what it depends on; the kind is `dev`, `build` or, for the program itself, empty.
    dependencies: Vec<(String, String)>,
}

/// What `cargo metadata` says, read without the crate of that name: its features of serde_json would have the tests
/// compile half the tree again.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().expect("a list in cargo metadata");
    let package = |package: &Value| Package {
        name: text(&package["name"]),
        dependencies: list(&package["dependencies"])
            .iter()
            .map(|dependency| (text(&dependency["name"]), text(&dependency["kind"])))
            .collect(),
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

/// Kinds of dependencies that a program is built with.
const BUILT_IN: [&str; 2] = ["", "build"];

/// All kinds.
const ANY: [&str; 3] = ["", "build", "dev"];

fn named_by(package: &Package, kinds: &[&str]) -> BTreeSet<String> {
    let named = package.dependencies.iter().filter(|(_name, kind)| kinds.contains(&kind.as_str()));
    named.map(|(name, _kind)| name.clone()).collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let packages = packages();
    let names: BTreeSet<String> = packages.iter().map(|package| package.name.clone()).collect();
    assert_eq!(
        names,
        allowed.keys().map(ToString::to_string).collect(),
        "every crate of the workspace has its line"
    );
    for package in &packages {
        let ours = named_by(package, &BUILT_IN);
        let ours: BTreeSet<String> = ours.into_iter().filter(|name| names.contains(name)).collect();
        let may: BTreeSet<String> = allowed[package.name.as_str()].iter().map(ToString::to_string).collect();
        assert!(ours.is_subset(&may), "{} depends on {:?}, allowed is {may:?}", package.name, ours);
    }
}

#[test]
fn each_piece_of_the_outside_world_has_its_crate() {
    for package in packages() {
        let named = named_by(&package, &ANY);
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
        let named = named_by(package, &[""]);
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
