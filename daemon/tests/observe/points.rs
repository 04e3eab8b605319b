//! `metrics.jsonl` and what reads it.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use traind::observe::{
    Evaluation, JobNote, JobRecorder, MetricLine, RecorderSettings, StepPoint, points_path, read_points,
    tensorboard_directory,
};
use traind_protocol::ids::JobId;

use crate::event_file::all_events;

pub(crate) const JOB: JobId = JobId([0xab; 8]);

pub(crate) fn point(step: u64, loss: f64) -> StepPoint {
    StepPoint { step, loss, learning_rate: 0.1, gradient_norm: 2.5 }
}

/// A note of `lineage` with the points of `steps` and that many stable steps.
pub(crate) fn note(lineage: u32, stable_step: u64, steps: impl IntoIterator<Item = u64>) -> JobNote {
    JobNote {
        job: JOB,
        lineage,
        view: 7,
        nodes: 3,
        stable_step,
        points: steps
            .into_iter()
            .map(|step| point(step, f64::from(lineage) + step as f64 / 1000.0))
            .collect(),
        evaluations: Vec::new(),
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
    }
}

fn path(directory: &TempDir) -> PathBuf {
    points_path(directory.path(), JOB)
}

fn open(directory: &TempDir) -> JobRecorder {
    let settings = RecorderSettings { data_dir: directory.path().to_owned(), tensorboard: true };
    JobRecorder::open(&settings, JOB).unwrap()
}

/// (lineage, step) of all points that count.
fn told(directory: &TempDir, since_step: u64) -> Vec<(u32, u64)> {
    read_points(&path(directory), since_step)
        .unwrap()
        .map(|line| line.unwrap())
        .map(|line| (line.lineage(), line.step().unwrap()))
        .collect()
}

fn one_lineage(steps: impl IntoIterator<Item = u64>) -> Vec<(u32, u64)> {
    steps.into_iter().map(|step| (1, step)).collect()
}

#[test]
fn each_step_is_one_line_however_often_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    for _restart in 0..3 {
        let mut recorder = open(&directory);
        recorder.note(&note(1, 3, [3, 1, 2, 2])).unwrap();
        recorder.note(&note(1, 5, 1..=8)).unwrap();
        recorder.note(&note(1, 2, 1..=2)).unwrap();
    }
    let text = std::fs::read_to_string(path(&directory)).unwrap();
    let first = r#"{"step":1,"loss":1.001,"learning_rate":0.1,"gradient_norm":2.5,"nodes":3,"view":7,"lineage":1,"at":"2023-11-14T22:13:20.123Z"}"#;
    assert_eq!(text.lines().next(), Some(first));
    assert_eq!(text.lines().count(), 5, "{text}");
    assert_eq!(told(&directory, 0), one_lineage(1..=5), "6 to 8 are not stable");
    assert_eq!(told(&directory, 3), one_lineage(4..=5));
    let mut recorder = open(&directory);
    assert!(recorder.note(&note(1, 9, [8, 9])).unwrap());
    assert_eq!(told(&directory, 4), one_lineage([5, 8, 9]), "what nobody told is a gap, not an error");
    let curves = tensorboard_directory(directory.path(), JOB);
    recorder.flush(SystemTime::now()).unwrap();
    let drawn: Vec<u64> = all_events(&curves)
        .iter()
        .filter(|event| !event.scalars.is_empty())
        .map(|event| event.step)
        .collect();
    assert_eq!(drawn, [1, 2, 3, 4, 5, 8, 9]);
}

#[test]
fn evaluations_stand_after_their_step_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = open(&directory);
    let evaluation = |step| Evaluation { step, correct: 7, total: 8, loss: Some(0.5) };
    let with = |mut note: JobNote, steps: &[u64]| {
        note.evaluations = steps.iter().map(|step| evaluation(*step)).collect();
        note
    };
    recorder.note(&with(note(1, 3, 1..=3), &[2])).unwrap();
    recorder.note(&with(note(1, 6, 1..=6), &[2, 4, 6, 8])).unwrap();
    drop(recorder);
    let mut recorder = open(&directory);
    recorder.note(&with(note(1, 6, 1..=6), &[2, 4, 6])).unwrap();
    recorder.flush(SystemTime::now()).unwrap();
    let lines: Vec<MetricLine> =
        read_points(&path(&directory), 1).unwrap().map(|line| line.unwrap()).collect();
    let kinds: Vec<(u64, bool)> =
        lines.iter().map(|line| (line.step().unwrap(), matches!(line, MetricLine::Evaluation(_)))).collect();
    let expected =
        [(2, false), (2, true), (3, false), (4, false), (4, true), (5, false), (6, false), (6, true)];
    assert_eq!(kinds, expected);
    let MetricLine::Evaluation(line) = &lines[1] else { panic!("{:?}", lines[1]) };
    assert_eq!((line.correct, line.total, line.accuracy, line.loss), (7, 8, Some(0.875), Some(0.5)));
    let events = all_events(&tensorboard_directory(directory.path(), JOB));
    let drawn: Vec<(u64, f32, f32)> = events
        .iter()
        .filter(|event| event.scalars.contains_key("accuracy/held_out"))
        .map(|event| (event.step, event.scalars["accuracy/held_out"], event.scalars["loss/held_out"]))
        .collect();
    assert_eq!(drawn, [(2, 0.875, 0.5), (4, 0.875, 0.5), (6, 0.875, 0.5)]);
}

#[test]
fn a_lineage_that_goes_back_voids_what_came_after() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = open(&directory);
    recorder.note(&note(1, 10, 1..=10)).unwrap();
    recorder.note(&note(2, 6, [])).unwrap();
    assert_eq!(told(&directory, 0), one_lineage(1..=6));
    drop(recorder);
    let mut recorder = open(&directory);
    recorder.note(&note(1, 12, 1..=12)).unwrap();
    assert_eq!(told(&directory, 0), one_lineage(1..=6), "the old lineage says nothing any more");
    recorder.note(&note(2, 8, 7..=8)).unwrap();
    let expected: Vec<(u32, u64)> = one_lineage(1..=6).into_iter().chain([(2, 7), (2, 8)]).collect();
    assert_eq!(told(&directory, 0), expected);
    // The first word of the third lineage is heard late: it says where it started by its points.
    recorder.note(&note(3, 9, 4..=9)).unwrap();
    let expected: Vec<(u32, u64)> =
        one_lineage(1..=3).into_iter().chain((4..=9).map(|step| (3, step))).collect();
    assert_eq!(told(&directory, 0), expected);
    assert_eq!(told(&directory, 3), expected[3..]);
    let text = std::fs::read_to_string(path(&directory)).unwrap();
    assert!(text.contains(r#"{"event":"returned","to_step":6,"lineage":2,"at":"#), "{text}");
    assert!(text.contains(r#"{"event":"returned","to_step":3,"lineage":3,"at":"#), "{text}");
    recorder.flush(SystemTime::now()).unwrap();
    let events = all_events(&tensorboard_directory(directory.path(), JOB));
    let starts: Vec<u64> =
        events.iter().filter(|event| event.is_session_start).map(|event| event.step).collect();
    assert_eq!(starts, [7, 4]);
}

#[test]
fn a_lineage_that_goes_on_where_the_last_one_was_voids_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = open(&directory);
    recorder.note(&note(1, 5, 1..=5)).unwrap();
    recorder.note(&note(2, 5, [])).unwrap();
    recorder.note(&note(2, 7, 6..=7)).unwrap();
    // A new coordinator may know less at first. That is no return.
    recorder.note(&note(2, 3, [])).unwrap();
    assert_eq!(told(&directory, 4), [(1, 5), (2, 6), (2, 7)]);
    assert!(!std::fs::read_to_string(path(&directory)).unwrap().contains("returned"));
}

#[test]
fn a_crash_at_any_byte_costs_at_most_the_line_that_it_tore() {
    let whole = {
        let directory = tempfile::tempdir().unwrap();
        open(&directory).note(&note(1, 4, 1..=4)).unwrap();
        std::fs::read(path(&directory)).unwrap()
    };
    for length in 0..whole.len() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(path(&directory).parent().unwrap()).unwrap();
        std::fs::write(path(&directory), &whole[..length]).unwrap();
        let survived = whole[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(told(&directory, 0), one_lineage(1..=survived), "read before the repair, {length} bytes");
        let mut recorder = open(&directory);
        recorder.note(&note(1, 4, 1..=4)).unwrap();
        assert_eq!(std::fs::read(path(&directory)).unwrap(), whole, "{length} bytes");
    }
}

#[test]
fn foreign_lines_are_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = open(&directory);
    recorder.note(&note(1, 2, 1..=2)).unwrap();
    drop(recorder);
    let mut file = std::fs::OpenOptions::new().append(true).open(path(&directory)).unwrap();
    let long = "x".repeat(100_000);
    write!(file, "{{}}\nnull\n{{\"step\":9}}\n{{\"event\":\"of later\",\"step\":3}}\n\0\0\0\n{long}\n\n")
        .unwrap();
    let mut recorder = open(&directory);
    recorder.note(&note(1, 4, 1..=4)).unwrap();
    assert_eq!(told(&directory, 0), one_lineage(1..=4));
}

#[test]
fn a_loss_that_is_no_number_is_null_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = open(&directory);
    let mut diverged = note(1, 1, []);
    diverged.points = vec![point(1, f64::NAN)];
    recorder.note(&diverged).unwrap();
    assert!(std::fs::read_to_string(path(&directory)).unwrap().contains(r#""loss":null"#));
    let line = read_points(&path(&directory), 0).unwrap().next().unwrap().unwrap();
    assert!(matches!(line, MetricLine::Step(line) if line.loss.is_nan()));
}

#[test]
fn a_job_of_which_nothing_was_recorded_is_not_found() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(read_points(&path(&directory), 0).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}
