use super::{chunk, chunks, node};
use crate::ids::{ChunkId, Millis, NodeId};
use crate::transfer::{
    Chunk, ChunkOutcome, Fetch, FetchInput, FetchOutput, IN_FLIGHT_BYTES_MAX, LACKS_RETRY_MS, STUCK_ALONE_MS,
    STUCK_MS, Verdict,
};

fn step(fetch: &mut Fetch, at: u64, input: FetchInput) -> Vec<FetchOutput> {
    let mut out = Vec::new();
    fetch.step(Millis(at), input, &mut out);
    out
}

fn asked(out: &[FetchOutput]) -> Vec<(NodeId, ChunkId)> {
    out.iter()
        .filter_map(|output| match output {
            FetchOutput::Ask { to, chunk } => Some((*to, chunk.id)),
            _ => None,
        })
        .collect()
}

fn give(fetch: &mut Fetch, at: u64, from: NodeId, chunk: ChunkId) -> Vec<FetchOutput> {
    let bytes = fetch.expects(from, chunk).expect("asked");
    let mut out = step(fetch, at, FetchInput::Progressed { from, chunk, bytes });
    out.extend(step(fetch, at, FetchInput::Checked { from, chunk, outcome: ChunkOutcome::Good }));
    out
}

#[test]
fn sources_are_asked_side_by_side_for_different_chunks() {
    let mut fetch = Fetch::new(node(0), &chunks(10));
    let mut all = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(1))));
    all.extend(asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(2)))));
    assert_eq!(all.iter().filter(|(to, _)| *to == node(1)).count(), 2);
    assert_eq!(all.iter().filter(|(to, _)| *to == node(2)).count(), 2);
    let mut ids: Vec<ChunkId> = all.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "nothing is asked twice");
    // Another receiver begins elsewhere.
    let mut other = Fetch::new(node(9), &chunks(10));
    assert_ne!(asked(&step(&mut other, 0, FetchInput::SourceJoined(node(1))))[0], all[0]);
}

#[test]
fn a_quick_source_is_asked_for_more_and_never_beyond_the_bound() {
    let mut fetch = Fetch::new(node(0), &chunks(200));
    let mut open = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(1))));
    for at in 1..40u64 {
        let (from, id) = open.remove(0);
        open.extend(asked(&give(&mut fetch, 20 * at, from, id)));
        let bytes: u64 = open.iter().map(|_| 4u64 << 20).sum();
        assert!(bytes <= IN_FLIGHT_BYTES_MAX, "{bytes}");
    }
    assert!(open.len() > 8, "200 MB/s: {} chunks in flight", open.len());
    assert!(fetch.progress().sources[0].bytes_per_second > 100_000_000);
}

#[test]
fn what_a_lost_source_was_asked_for_is_asked_of_the_rest() {
    let mut fetch = Fetch::new(node(0), &chunks(2));
    let first = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(1))));
    assert_eq!(first.len(), 2);
    assert!(asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(2)))).is_empty());
    let again = asked(&step(&mut fetch, 5, FetchInput::SourceLost(node(1))));
    assert_eq!(again.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [node(2); 2]);
    // Its late answer counts for nothing.
    assert_eq!(fetch.expects(node(1), first[0].1), None);
    give(&mut fetch, 6, node(2), again[0].1);
    let out = give(&mut fetch, 7, node(2), again[1].1);
    assert!(out.contains(&FetchOutput::Complete) && fetch.is_complete());
    assert_eq!(fetch.deadline(), None);
}

#[test]
fn who_sends_other_bytes_is_named_and_asked_for_nothing_more() {
    let mut fetch = Fetch::new(node(0), &chunks(3));
    let first = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(1))));
    let (from, id) = first[0];
    let checked = FetchInput::Checked { from, chunk: id, outcome: ChunkOutcome::Differs };
    let out = step(&mut fetch, 1, checked);
    let named = FetchOutput::Distrust { node: from, chunk: id, verdict: Verdict::WrongBytes };
    assert_eq!(out[0], named);
    assert_eq!(out[1], FetchOutput::Cancel { to: from, chunk: first[1].1 });
    assert!(asked(&out).is_empty(), "nobody else is there");
    assert_eq!(fetch.progress().chunks_without_source, 3);
    // Not even if it comes back.
    step(&mut fetch, 2, FetchInput::SourceLost(from));
    assert!(asked(&step(&mut fetch, 3, FetchInput::SourceJoined(from))).is_empty());
    // But it is where it is the only one that says that it has the chunks.
    let again = fetch.clone();
    assert_eq!(asked(&step(&mut fetch, 4, FetchInput::SourceJoined(node(2)))).len(), 2);
    let mut fetch = again;
    assert_eq!(asked(&step(&mut fetch, 4, FetchInput::SourceForgiven(from))).len(), 2);
}

#[test]
fn who_lacks_a_chunk_is_asked_for_others_and_later_again() {
    let mut fetch = Fetch::new(node(0), &[chunk(1)]);
    step(&mut fetch, 0, FetchInput::SourceJoined(node(1)));
    let lacks = FetchInput::Lacks { from: node(1), chunk: chunk(1).id };
    assert!(step(&mut fetch, 1, lacks).is_empty());
    assert_eq!(fetch.deadline(), Some(Millis(1 + LACKS_RETRY_MS)));
    let elsewhere = asked(&step(&mut fetch, 2, FetchInput::SourceJoined(node(2))));
    assert_eq!(elsewhere, [(node(2), chunk(1).id)]);
    step(&mut fetch, 3, FetchInput::SourceLost(node(2)));
    let again = asked(&step(&mut fetch, 1 + LACKS_RETRY_MS, FetchInput::Tick));
    assert_eq!(again, [(node(1), chunk(1).id)]);
}

#[test]
fn a_busy_source_names_others_and_they_are_asked_for_that_chunk_alone() {
    let mut fetch = Fetch::new(node(0), &chunks(4));
    let first = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(1))));
    let busy = FetchInput::Busy { from: node(1), chunk: first[0].1, retry_after_ms: 300, ask: vec![node(5)] };
    let out = asked(&step(&mut fetch, 1, busy));
    assert!(out.contains(&(node(5), first[0].1)), "{out:?}");
    assert_eq!(out.iter().filter(|(to, _)| *to == node(5)).count(), 1, "{out:?}");
}

#[test]
fn a_stuck_source_is_relieved_and_tried_with_one_chunk() {
    let mut fetch = Fetch::new(node(0), &chunks(6));
    let stuck = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(1))));
    let quick = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(2))));
    for (number, (from, id)) in (0..).zip(&quick) {
        give(&mut fetch, 300 * (number + 1), *from, *id);
    }
    // The quick one is asked for the rest; its own word is fresh.
    step(&mut fetch, STUCK_MS - 1, FetchInput::Tick);
    assert!(fetch.expects(node(1), stuck[0].1).is_some());
    let from = node(2);
    let mine: Vec<ChunkId> =
        chunks(6).iter().map(|c| c.id).filter(|id| fetch.expects(from, *id).is_some()).collect();
    let sign = FetchInput::Progressed { from, chunk: mine[0], bytes: 1 };
    let out = step(&mut fetch, STUCK_MS, sign);
    for (_, id) in &stuck {
        assert!(out.contains(&FetchOutput::Cancel { to: node(1), chunk: *id }), "{out:?}");
        assert_eq!(fetch.expects(node(1), *id), None);
    }
}

#[test]
fn a_lone_source_that_is_stuck_is_asked_again() {
    let mut fetch = Fetch::new(node(0), &[chunk(1), chunk(2)]);
    step(&mut fetch, 0, FetchInput::SourceJoined(node(1)));
    assert!(step(&mut fetch, STUCK_ALONE_MS - 1, FetchInput::Tick).is_empty(), "it may be slow");
    assert_eq!(step(&mut fetch, STUCK_ALONE_MS, FetchInput::Tick).len(), 2, "taken back");
    let out = step(&mut fetch, STUCK_ALONE_MS + STUCK_MS, FetchInput::Tick);
    assert_eq!(asked(&out).len(), 1, "one shows whether it is there");
    // Meanwhile both came by another way.
    step(&mut fetch, STUCK_ALONE_MS + STUCK_MS, FetchInput::Held(chunk(1).id));
    let out = step(&mut fetch, STUCK_ALONE_MS + STUCK_MS, FetchInput::Held(chunk(2).id));
    assert!(out.contains(&FetchOutput::Complete), "{out:?}");
}

#[test]
fn the_tail_is_hedged_and_the_slower_copy_cancelled() {
    let mut fetch = Fetch::new(node(0), &chunks(12));
    let slow = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(1))));
    let mut open = asked(&step(&mut fetch, 0, FetchInput::SourceJoined(node(2))));
    // One gives 40 KB/s, the other 80 MB/s.
    let mut at = 0;
    let mut hedged = Vec::new();
    while !open.is_empty() {
        at += 50;
        let crawl = FetchInput::Progressed { from: node(1), chunk: slow[0].1, bytes: 2_000 };
        open.extend(asked(&step(&mut fetch, at, crawl)));
        let (from, id) = open.remove(0);
        let out = give(&mut fetch, at, from, id);
        if slow.iter().any(|(_, other)| *other == id) {
            hedged.push(id);
            assert!(out.contains(&FetchOutput::Cancel { to: node(1), chunk: id }), "{out:?}");
        }
        open.extend(asked(&out).into_iter().filter(|(to, _)| *to == node(2)));
    }
    assert_eq!(hedged.len(), 2, "both chunks of the slow one");
    assert!(fetch.is_complete());
    assert!(fetch.progress().bytes_wasted < 100_000, "{}", fetch.progress().bytes_wasted);
}

#[test]
fn a_chunk_that_is_named_twice_is_got_once() {
    let twice = [chunk(1), chunk(2), chunk(1)];
    let fetch = Fetch::new(node(0), &twice);
    assert_eq!((fetch.progress().chunks, fetch.progress().bytes), (2, 8 << 20));
    let mut none = Fetch::new(node(0), &[] as &[Chunk]);
    assert_eq!(step(&mut none, 0, FetchInput::Tick), [FetchOutput::Complete]);
}
