//! The demo's last words, in every outcome.

use super::*;

fn node(name: &str) -> NodeRef {
    NodeRef { name: name.into(), id: format!("id-of-{name}") }
}

fn work(name: &str, live: bool, microbatches_computed: u64) -> WorkRow {
    WorkRow {
        node: node(name),
        boot: 0xb0,
        live,
        microbatches_computed,
        microbatches_taken_over: 1,
        exchange_bytes_sent: 2000,
        steps_applied: 10,
    }
}

fn view(epoch: u64, joined: &[&str], left: &[&str]) -> ViewRow {
    let departure = |name: &&str| Departure {
        node: node(name),
        reason: "connection closed".into(),
        work: "4 micro-batches were leased again".into(),
    };
    ViewRow {
        incarnation: 0,
        epoch,
        step: epoch * 3,
        reason: "because".into(),
        members: Vec::new(),
        joined: joined.iter().map(|name| node(name)).collect(),
        left: left.iter().map(departure).collect(),
        numeric_classes: Vec::new(),
    }
}

fn result(digest: &str) -> JobResult {
    JobResult { digest: digest.into(), chain: "cc".into(), test_correct: 97, test_total: 100 }
}

fn report(alone: &str) -> DemoReport {
    DemoReport {
        steps: 10,
        micro_batches: 12,
        killed: Some(node("quiet-heron-01")),
        joined: Some(node("brave-otter-02")),
        views: vec![
            view(1, &["quiet-heron-01"], &[]),
            view(2, &[], &["quiet-heron-01"]),
            view(3, &["brave-otter-02"], &[]),
        ],
        work: vec![work("calm-lark-03", true, 100), work("quiet-heron-01", false, 22)],
        microbatches_computed: 122,
        together: result("d1"),
        alone: result(alone),
        equal: alone == "d1",
        elapsed_ms: 34_500,
        chart: "CURVE\n".into(),
    }
}

#[test]
fn equal_digests_are_said_so_with_all_that_happened() {
    let text = report("d1").to_text(Palette { on: false });
    let expected = "
loss with several nodes (x killed, + started)
CURVE

who computed what
  NODE            BOOT  STATE  MICRO-BATCHES  TAKEN OVER  SENT    STEPS
  calm-lark-03    b0    live   100            1           2.0 kB  10
  quiet-heron-01  b0    gone   22             1           2.0 kB  10
  all                          122            2           4.0 kB  10
  10 steps x 12 micro-batches = 120; computed 122, at least 2 of them twice

what became of the killed node's work
  quiet-heron-01: connection closed
  view 2 goes on without it after step 6
  4 micro-batches were leased again
  brave-otter-02 joined in view 3 at step 9

test accuracy 97.0 % (97 of 100 unseen samples)

digest of all parameters and the optimiser's state after step 10
  several nodes  d1
  one node       d1
  EQUAL: not one bit depends on who computed what (34.5 s)
";
    assert_eq!(text, expected);
}

#[test]
fn what_the_killed_node_did_not_live_to_tell_is_not_hidden() {
    let mut short = report("d1");
    short.microbatches_computed = 118;
    assert_eq!(short.difference(120), "; at least 2 more by quiet-heron-01, killed before it told");
    assert_eq!(short.difference(118), "");
}

#[test]
fn different_digests_are_said_so_too() {
    let text = report("d2").to_text(Palette { on: false });
    assert!(
        text.contains("several nodes  d1\n  one node       d2\n  DIFFERENT: this must not happen"),
        "{text}"
    );
}

#[test]
fn a_demo_that_was_too_quick_does_not_claim_more_than_it_showed() {
    let mut quick = report("d1");
    quick.joined = None;
    assert!(quick.fate().contains("came too late to take part"));
    quick.views.clear();
    assert!(quick.fate().contains("killed too late for another view"));
    quick.killed = None;
    assert!(quick.fate().contains("nobody was killed"));
}
