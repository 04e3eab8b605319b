//! The recording thread.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use traind::observe::{
    JOBS_KEPT_MAX, JobNote, NOTES_QUEUED_MAX, Recorder, RecorderCounts, RecorderSettings, job_directory,
    points_path, read_points, tensorboard_directory,
};
use traind_protocol::ids::JobId;

use crate::event_file::all_events;
use crate::points::{JOB, note};

fn steps(data_dir: &Path, job: JobId) -> Vec<u64> {
    read_points(&points_path(data_dir, job), 0).unwrap().map(|line| line.unwrap().step().unwrap()).collect()
}

fn start(data_dir: &Path) -> Recorder {
    Recorder::start(RecorderSettings { data_dir: data_dir.to_owned(), tensorboard: true }).unwrap()
}

fn of_job(number: u64) -> JobNote {
    JobNote { job: JobId(number.to_be_bytes()), ..note(1, 1, [1]) }
}

#[test]
fn several_jobs_are_recorded_and_a_restart_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("not there yet");
    for restart in 0..2 {
        let recorder = start(&data_dir);
        let handle = recorder.handle();
        for job in 0..12 {
            let steps = restart * 2;
            assert!(handle.try_note(JobNote { job: JobId([job; 8]), ..note(1, steps + 2, 1..=steps + 2) }));
            handle.settle();
        }
        recorder.stop();
        assert_eq!(handle.counts(), RecorderCounts::default());
        assert!(!handle.try_note(note(1, 1, [1])), "nobody records any more");
        assert_eq!(handle.counts().notes_dropped, 1);
    }
    for job in 0..12 {
        assert_eq!(steps(&data_dir, JobId([job; 8])), [1, 2, 3, 4]);
        assert!(!all_events(&tensorboard_directory(&data_dir, JobId([job; 8]))).is_empty());
    }
}

#[test]
fn a_note_too_many_is_dropped_counted_and_made_up_for() {
    let directory = tempfile::tempdir().unwrap();
    // A pipe that nobody writes to holds the thread at its first file.
    fs::create_dir_all(job_directory(directory.path(), JOB)).unwrap();
    let pipe = points_path(directory.path(), JOB);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let recorder = start(directory.path());
    let handle = recorder.handle();
    let mut last = 0;
    while handle.counts().notes_dropped == 0 {
        last += 1;
        handle.try_note(note(1, last, last.saturating_sub(3).max(1)..=last));
    }
    assert!(last > NOTES_QUEUED_MAX as u64, "{last}");
    let writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    fs::remove_file(&pipe).unwrap();
    drop(writer);
    handle.settle();
    assert_eq!(steps(directory.path(), JOB), (1..last).collect::<Vec<_>>());
    assert!(handle.try_note(note(1, last + 1, last - 2..=last + 1)));
    handle.settle();
    assert_eq!(steps(directory.path(), JOB), (1..=last + 1).collect::<Vec<_>>());
    assert_eq!(handle.counts(), RecorderCounts { notes_dropped: 1, write_errors: 0 });
    recorder.stop();
}

#[test]
fn a_disk_that_refuses_is_counted_and_recording_goes_on_when_it_lets() {
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("jobs");
    fs::write(&in_the_way, "no directory").unwrap();
    let recorder = start(directory.path());
    let handle = recorder.handle();
    for last in 1..=3 {
        assert!(handle.try_note(note(1, last, 1..=last)));
        handle.settle();
    }
    assert_eq!(handle.counts(), RecorderCounts { notes_dropped: 0, write_errors: 3 });
    fs::remove_file(&in_the_way).unwrap();
    assert!(handle.try_note(note(1, 4, 1..=4)));
    handle.settle();
    assert_eq!(steps(directory.path(), JOB), [1, 2, 3, 4], "the next note says it again");
    assert_eq!(handle.counts().write_errors, 3);
    recorder.stop();
}

#[test]
fn the_curves_of_old_jobs_go_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path();
    let recorder = start(data_dir);
    let jobs = JOBS_KEPT_MAX as u64 + 3;
    for number in 0..jobs {
        assert!(recorder.handle().try_note(of_job(number)));
        recorder.handle().settle();
        let file = fs::File::open(points_path(data_dir, JobId(number.to_be_bytes()))).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(number)).unwrap();
    }
    recorder.stop();
    let path = |number: u64| job_directory(data_dir, JobId(number.to_be_bytes()));
    // As if they had been written last, or hold what is not the recorder's.
    fs::write(path(1).join("notes.txt"), "mine").unwrap();
    fs::create_dir_all(data_dir.join("jobs/of somebody")).unwrap();
    fs::create_dir_all(path(jobs + 7)).unwrap();
    start(data_dir).stop();
    let kept: Vec<u64> =
        (0..jobs).filter(|number| points_path(data_dir, JobId(number.to_be_bytes())).exists()).collect();
    assert_eq!(kept, (3..jobs).collect::<Vec<_>>());
    assert!(!path(0).exists() && !path(2).exists());
    assert_eq!(fs::read_to_string(path(1).join("notes.txt")).unwrap(), "mine");
    assert!(!path(1).join("tensorboard").exists());
    assert!(data_dir.join("jobs/of somebody").exists() && path(jobs + 7).exists());
}

#[test]
fn without_tensorboard_there_are_points_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = RecorderSettings { data_dir: directory.path().to_owned(), tensorboard: false };
    let recorder = Recorder::start(settings).unwrap();
    assert!(recorder.handle().try_note(note(1, 2, 1..=2)));
    recorder.stop();
    assert_eq!(steps(directory.path(), JOB), [1, 2]);
    assert!(!tensorboard_directory(directory.path(), JOB).exists());
}
