//! Words that must not stand in the sources: stubs, skipped tests, queues without a bound.

use crate::sources::all;

#[test]
fn no_stub_no_skipped_test_no_unbounded_queue() {
    // Put together here so that this file does not find itself.
    let forbidden: Vec<String> = [
        ["todo", "!("],
        ["unimplemented", "!("],
        ["#[igno", "re"],
        ["unbounded_", "channel"],
        [".do_", "send("],
        ["FIX", "ME"],
        ["TO", "DO:"],
    ]
    .iter()
    .map(|halves| halves.concat())
    .collect();
    let mut found = Vec::new();
    for source in all() {
        for (number, line) in source.text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn planted_faults_stay_in_the_simulator() {
    let users: Vec<String> = all()
        .into_iter()
        .filter(|source| source.text.contains(&["Planted", "Fault"].concat()))
        .map(|source| source.path)
        .filter(|path| !path.starts_with("integration/simulator"))
        .collect();
    assert!(users.is_empty(), "planted faults are named by {users:?}");
}
