//! Event files for TensorBoard.

use std::time::{Duration, SystemTime};

use traind::observe::TensorboardWriter;

use crate::event_file::{all_events, events, files};

fn second(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

#[test]
fn a_file_starts_with_its_version_and_holds_every_scalar() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = TensorboardWriter::new(directory.path().join("made/when needed"));
    for step in 1..=300 {
        writer.scalars(step, &[("loss/train", 1.0 / step as f64), ("nodes", 3.0)], second(0)).unwrap();
    }
    writer.flush(second(0)).unwrap();
    let files = files(&directory.path().join("made/when needed"));
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().unwrap().to_str().unwrap();
    let pid = std::process::id();
    assert!(
        name.starts_with("events.out.tfevents.1700000000.") && name.ends_with(&format!(".{pid}.0")),
        "{name}"
    );
    let events = events(&files[0]);
    assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
    assert_eq!(events.len(), 301);
    for (event, step) in events[1..].iter().zip(1_u64..) {
        assert_eq!((event.step, event.wall_time), (step, 1_700_000_000.0));
        assert_eq!(event.scalars["loss/train"], (1.0 / step as f64) as f32);
        assert_eq!(event.scalars["nodes"], 3.0);
    }
}

#[test]
fn records_are_written_when_they_are_many_or_old() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = TensorboardWriter::new(directory.path().to_owned());
    for step in 1..=63 {
        writer.scalars(step, &[("nodes", 1.0)], second(0)).unwrap();
    }
    assert_eq!(files(directory.path()).len(), 0, "held back");
    writer.scalars(64, &[("nodes", 1.0)], second(0)).unwrap();
    assert_eq!(all_events(directory.path()).len(), 65);
    writer.scalars(65, &[("nodes", 1.0)], second(1)).unwrap();
    writer.flush_if_due(second(2)).unwrap();
    assert_eq!(all_events(directory.path()).len(), 65, "a second is not old");
    writer.flush_if_due(second(3)).unwrap();
    assert_eq!(all_events(directory.path()).len(), 66);
    writer.scalars(66, &[("nodes", 1.0)], second(4)).unwrap();
    writer.flush_if_due(second(0)).unwrap();
    assert_eq!(all_events(directory.path()).len(), 67, "a clock that was set back holds nothing up");
    writer.scalars(67, &[("nodes", 1.0)], second(5)).unwrap();
    drop(writer);
    assert_eq!(all_events(directory.path()).len(), 68, "what is left is written at the end");
}

#[test]
fn the_next_writer_makes_the_next_file_whatever_the_clock_says() {
    let directory = tempfile::tempdir().unwrap();
    for (step, at) in [(1, second(10)), (2, second(10)), (3, second(2)), (4, second(100))] {
        let mut writer = TensorboardWriter::new(directory.path().to_owned());
        writer.scalars(step, &[("nodes", 1.0)], at).unwrap();
        writer.flush(at).unwrap();
    }
    let seconds: Vec<String> = files(directory.path())
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap().split('.').nth(3).unwrap().to_owned())
        .collect();
    assert_eq!(seconds, ["1700000010", "1700000011", "1700000012", "1700000100"]);
    let steps: Vec<u64> =
        all_events(directory.path()).iter().filter(|event| event.step > 0).map(|event| event.step).collect();
    assert_eq!(steps, [1, 2, 3, 4]);
}

#[test]
fn a_return_is_a_session_start_at_the_first_void_step() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = TensorboardWriter::new(directory.path().to_owned());
    writer.scalars(1, &[("nodes", 1.0)], second(0)).unwrap();
    writer.return_to(0, second(0)).unwrap();
    writer.flush(second(0)).unwrap();
    let events = all_events(directory.path());
    assert_eq!((events[2].step, events[2].is_session_start), (1, true));
    assert!(!events[1].is_session_start);
}

#[test]
fn what_cannot_be_written_is_an_error_and_is_written_later() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("tensorboard");
    std::fs::write(&place, "in the way").unwrap();
    let mut writer = TensorboardWriter::new(place.clone());
    writer.scalars(1, &[("nodes", 1.0)], second(0)).unwrap();
    writer.flush(second(0)).unwrap_err();
    std::fs::remove_file(&place).unwrap();
    writer.scalars(2, &[("nodes", 1.0)], second(1)).unwrap();
    writer.flush_if_due(second(2)).unwrap();
    let steps: Vec<u64> = all_events(&place).iter().map(|event| event.step).collect();
    assert_eq!(steps, [0, 1, 2]);
}
