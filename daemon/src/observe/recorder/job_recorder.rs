//! Records one job.

use std::fs;
use std::io;
use std::time::SystemTime;

use traind_protocol::ids::JobId;

use super::job_note::{Evaluation, JobNote, StepPoint};
use super::line::MetricLine;
use super::points_file::PointsFile;
use super::settings::RecorderSettings;
use super::{job_directory, points_path, tensorboard_directory};
use crate::observe::tensorboard::TensorboardWriter;

/// Records one job: each stable step once, whatever it is told how often.
#[derive(Debug)]
pub struct JobRecorder {
    points: PointsFile,
    /// `None` where it is not wanted.
    tensorboard: Option<TensorboardWriter>,
}

impl JobRecorder {
    /// Opens what was recorded of `job`, or starts it.
    ///
    /// # Errors
    /// When directory or file cannot be made, read or repaired.
    pub fn open(settings: &RecorderSettings, job: JobId) -> io::Result<Self> {
        let data_dir = &settings.data_dir;
        fs::create_dir_all(job_directory(data_dir, job))?;
        let points = PointsFile::open(&points_path(data_dir, job))?;
        let curves = || TensorboardWriter::new(tensorboard_directory(data_dir, job));
        Ok(Self { points, tensorboard: settings.tensorboard.then(curves) })
    }

    /// Records what is new in `note`: points and evaluations up to its stable step that are not there yet. A note of a
    /// greater lineage that is behind what was recorded voids what was recorded after it.
    ///
    /// Whether anything was new.
    ///
    /// # Errors
    /// When a file cannot be written. If it is the file of points, nothing of the note is recorded, and the next one says
    /// it again; if it is the event file, the curves are held back for the next attempt.
    pub fn note(&mut self, note: &JobNote) -> io::Result<bool> {
        let standing = self.points.standing();
        if standing.lineage.is_some_and(|lineage| note.lineage < lineage) {
            return Ok(false);
        }
        let is_new_lineage = standing.lineage.is_some_and(|lineage| note.lineage > lineage);
        let returned_to =
            is_new_lineage.then(|| goes_on_from(note)).filter(|to_step| *to_step < standing.step);
        let last_step = returned_to.unwrap_or(standing.step);
        let last_evaluation = standing.evaluation.min(returned_to.unwrap_or(u64::MAX));
        let points = in_order(note.points.iter().copied(), |point| point.step, last_step, note.stable_step);
        let evaluations = note.evaluations.iter().copied();
        let evaluations = in_order(evaluations, |held_out| held_out.step, last_evaluation, note.stable_step);
        let mut lines: Vec<MetricLine> =
            returned_to.map(|step| MetricLine::returned(step, note)).into_iter().collect();
        lines.extend(points.iter().map(|point| MetricLine::step_of(point, note)));
        // Each after its step; those of steps that were recorded before come first.
        for evaluation in &evaluations {
            let later = |line: &MetricLine| line.step().is_some_and(|step| step > evaluation.step);
            let place = lines.iter().position(later).unwrap_or(lines.len());
            lines.insert(place, MetricLine::evaluation_of(evaluation, note));
        }
        if lines.is_empty() {
            return self.flush_if_due(note.at).map(|()| false);
        }
        self.points.append(&lines)?;
        self.draw(note, returned_to, &points, &evaluations).map(|()| true)
    }

    /// Writes everything that is held back.
    ///
    /// # Errors
    /// When the event file cannot be written.
    pub fn flush(&mut self, at: SystemTime) -> io::Result<()> {
        self.tensorboard.as_mut().map_or(Ok(()), |tensorboard| tensorboard.flush(at))
    }

    fn flush_if_due(&mut self, at: SystemTime) -> io::Result<()> {
        self.tensorboard.as_mut().map_or(Ok(()), |tensorboard| tensorboard.flush_if_due(at))
    }

    fn draw(
        &mut self,
        note: &JobNote,
        returned_to: Option<u64>,
        points: &[StepPoint],
        evaluations: &[Evaluation],
    ) -> io::Result<()> {
        let Some(tensorboard) = &mut self.tensorboard else { return Ok(()) };
        // The first error is told, the rest is drawn all the same.
        let mut drawn = returned_to.map_or(Ok(()), |step| tensorboard.return_to(step, note.at));
        for point in points {
            let values = [
                ("loss/train", point.loss),
                ("learning_rate", point.learning_rate),
                ("gradient_norm", point.gradient_norm),
                ("nodes", f64::from(note.nodes)),
            ];
            drawn = drawn.and(tensorboard.scalars(point.step, &values, note.at));
        }
        for evaluation in evaluations {
            let loss = evaluation.loss.map(|loss| ("loss/held_out", loss));
            let accuracy = evaluation.accuracy().map(|accuracy| ("accuracy/held_out", accuracy));
            let values: Vec<(&str, f64)> = loss.into_iter().chain(accuracy).collect();
            drawn = drawn.and(tensorboard.scalars(evaluation.step, &values, note.at));
        }
        drawn
    }
}

/// The step that a new lineage goes on from, as far as its first word that is heard can tell.
fn goes_on_from(note: &JobNote) -> u64 {
    let first = note.points.iter().map(|point| point.step.saturating_sub(1)).min();
    note.stable_step.min(first.unwrap_or(u64::MAX))
}

/// What lies after `after` and not after `until`, by step, each step once.
fn in_order<T>(found: impl Iterator<Item = T>, step: impl Fn(&T) -> u64, after: u64, until: u64) -> Vec<T> {
    let mut wanted: Vec<T> = found.filter(|point| step(point) > after && step(point) <= until).collect();
    wanted.sort_by_key(&step);
    wanted.dedup_by_key(|point| step(point));
    wanted
}
