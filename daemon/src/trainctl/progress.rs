//! How far a followed job is, and one line that says so.

use std::collections::BTreeMap;
use std::time::Duration;

use super::render;
use crate::control::api::{FollowEvent, JobStatus, LossPoint, Pause};

/// Most losses kept for the curve; beyond it every second one is dropped.
const LOSSES_MAX: usize = 4096;

/// How far a followed job is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct JobProgress {
    /// Whether it waits, and why.
    pub(super) waits_for: Option<String>,
    /// Stable steps.
    pub(super) step: u64,
    /// Steps in all; 0 until known.
    pub(super) steps: u64,
    /// Mean loss of the last stable step.
    pub(super) loss: Option<f64>,
    /// Epoch of the view.
    pub(super) epoch: u64,
    /// Members of the view.
    pub(super) members: usize,
    /// That it pauses or is paused, and by whom.
    pub(super) pause: Option<String>,
    /// Whether the nodes have yet to check that they can run it.
    pub(super) is_checking: bool,
    accuracy: Option<f64>,
    learning_rate: Option<f64>,
    gradient_norm: Option<f64>,
    losses: BTreeMap<u64, f64>,
}

impl JobProgress {
    /// Takes an event in.
    pub(super) fn apply(&mut self, event: &FollowEvent) {
        match event {
            FollowEvent::Progress {
                status,
                reason,
                stable_step,
                steps,
                loss,
                losses,
                epoch,
                members,
                checking,
                learning_rate,
                gradient_norm,
                evaluation,
                pause,
                ..
            } => {
                let waits = *status == JobStatus::Queued;
                self.waits_for =
                    waits.then(|| reason.as_deref().map_or_else(|| "its turn".into(), render::printable));
                self.is_checking = waits && *checking;
                self.pause = pause_words(*status, pause.as_ref());
                self.learning_rate = learning_rate.or(self.learning_rate);
                self.gradient_norm = gradient_norm.or(self.gradient_norm);
                self.accuracy = evaluation.and_then(|point| point.accuracy).or(self.accuracy);
                (self.step, self.steps, self.epoch) = (*stable_step, *steps, *epoch);
                self.members = members.len();
                self.loss = loss.or(self.loss);
                self.losses.extend(losses.iter().map(|point| (point.step, point.loss)));
                if let Some(loss) = loss {
                    self.losses.insert(*stable_step, *loss);
                }
                self.thin_out();
            }
            FollowEvent::ViewChanged { epoch, members, .. } => {
                (self.epoch, self.members) = (*epoch, members.len());
            }
            FollowEvent::Checkpoint { .. }
            | FollowEvent::CheckpointNotWritten { .. }
            | FollowEvent::Ended { .. } => {}
        }
    }

    /// The losses heard so far, by step.
    pub(super) fn losses(&self) -> Vec<LossPoint> {
        self.losses.iter().map(|(&step, &loss)| LossPoint { step, loss }).collect()
    }

    /// Steps done, in thousandths of all.
    pub(super) fn permille(&self) -> u64 {
        (self.step.min(self.steps) * 1000).checked_div(self.steps).unwrap_or(0)
    }

    /// `step 240/600  loss 0.412  3 nodes  view 2  ETA 12 s`; `elapsed` since the first of the steps `since`.
    pub(super) fn line(&self, since: u64, elapsed: Duration) -> String {
        if let Some(reason) = &self.waits_for {
            return format!("queued: {reason}");
        }
        if let Some(pause) = &self.pause {
            return format!("{pause} at step {}/{}", self.step, self.steps);
        }
        let mut line = format!("step {}/{}  {}", self.step, self.steps, self.summary());
        let done = self.step.saturating_sub(since);
        if done > 0 && self.step < self.steps {
            let left_ms = elapsed.as_millis() * u128::from(self.steps - self.step) / u128::from(done);
            line.push_str(&format!("  ETA {}", eta(left_ms.div_ceil(1000))));
        }
        line
    }

    /// `  learning rate 0.01  gradient norm 1.3`, as far as known.
    pub(super) fn details(&self) -> String {
        let rate = self.learning_rate.map(|rate| format!("  learning rate {rate:.3e}"));
        let norm = self.gradient_norm.map(|norm| format!("  gradient norm {norm:.3e}"));
        rate.into_iter().chain(norm).collect()
    }

    /// `loss 0.412  accuracy 88.1 %  3 nodes  view 2`.
    pub(super) fn summary(&self) -> String {
        let loss = self.loss.map_or_else(|| "-".into(), |loss| format!("{loss:.3}"));
        let plural = if self.members == 1 { "" } else { "s" };
        let accuracy = self.accuracy.map(|value| format!("  accuracy {}", render::percent(value)));
        let accuracy = accuracy.unwrap_or_default();
        format!("loss {loss}{accuracy}  {} node{plural}  view {}", self.members, self.epoch)
    }

    fn thin_out(&mut self) {
        if self.losses.len() > LOSSES_MAX {
            let mut keep = false;
            self.losses.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
    }
}

/// `paused by brave-otter-3f`.
fn pause_words(status: JobStatus, pause: Option<&Pause>) -> Option<String> {
    let word = match status {
        JobStatus::Pausing => "pausing",
        JobStatus::Paused => "paused",
        _ => return None,
    };
    let by = pause.map(|pause| format!(", asked at {}", pause.by.name)).unwrap_or_default();
    Some(format!("{word}{by}"))
}

/// `12 s`, `30 min 51 s`, `2 h 5 min`.
fn eta(left_s: u128) -> String {
    match u64::try_from(left_s) {
        Ok(left_s @ 0..60) => format!("{left_s} s"),
        Ok(left_s) => render::duration_ms(left_s.saturating_mul(1000)),
        Err(_) => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{EvaluationPoint, NodeRef};

    fn event(step: u64, losses: &[(u64, f64)]) -> FollowEvent {
        let node = NodeRef { name: "calm-lark-01".into(), id: "ab".into() };
        FollowEvent::Progress {
            job: "j".into(),
            status: JobStatus::Running,
            reason: None,
            stable_step: step,
            steps: 600,
            loss: losses.last().map(|(_, loss)| *loss),
            losses: losses.iter().map(|&(step, loss)| LossPoint { step, loss }).collect(),
            epoch: 2,
            members: vec![node.clone(), node.clone(), node],
            checking: false,
            learning_rate: None,
            gradient_norm: None,
            evaluation: None,
            pause: None,
        }
    }

    #[test]
    fn the_line_says_step_loss_nodes_view_and_time_left() {
        let mut progress = JobProgress::default();
        progress.apply(&event(240, &[(239, 0.5), (240, 0.412)]));
        assert_eq!(
            progress.line(0, Duration::from_secs(8)),
            "step 240/600  loss 0.412  3 nodes  view 2  ETA 12 s"
        );
        assert!(progress.line(0, Duration::from_secs(1200)).ends_with("ETA 30 min 0 s"));
        assert_eq!(progress.permille(), 400);
        progress.apply(&event(600, &[]));
        assert_eq!(progress.line(0, Duration::from_secs(20)), "step 600/600  loss 0.412  3 nodes  view 2");
    }

    #[test]
    fn a_waiting_job_says_what_it_waits_for() {
        let mut progress = JobProgress::default();
        let mut waiting = event(0, &[]);
        if let FollowEvent::Progress { status, reason, .. } = &mut waiting {
            (*status, *reason) = (JobStatus::Queued, Some("job a1b2 runs".into()));
        }
        progress.apply(&waiting);
        assert_eq!(progress.line(0, Duration::ZERO), "queued: job a1b2 runs");
    }

    #[test]
    fn a_paused_job_says_who_paused_it_and_goes_on_as_before() {
        let mut progress = JobProgress::default();
        let mut paused = event(240, &[(240, 0.412)]);
        if let FollowEvent::Progress { status, pause, evaluation, learning_rate, .. } = &mut paused {
            *status = JobStatus::Paused;
            *pause = Some(Pause { by: NodeRef { name: "calm-lark-01".into(), id: "ab".into() } });
            *learning_rate = Some(0.05);
            *evaluation =
                Some(EvaluationPoint { step: 200, correct: 3, total: 4, accuracy: Some(0.75), loss: None });
        }
        progress.apply(&paused);
        assert_eq!(progress.line(0, Duration::ZERO), "paused, asked at calm-lark-01 at step 240/600");
        progress.apply(&event(241, &[(241, 0.4)]));
        assert_eq!(progress.summary(), "loss 0.400  accuracy 75.0 %  3 nodes  view 2");
        assert_eq!(progress.details(), "  learning rate 5.000e-2");
    }

    #[test]
    fn losses_told_twice_count_once_and_their_number_is_bounded() {
        let mut progress = JobProgress::default();
        progress.apply(&event(2, &[(1, 3.0), (2, 2.0)]));
        progress.apply(&event(3, &[(2, 2.0), (3, 1.0)]));
        assert_eq!(progress.losses().len(), 3);
        for step in 4..20_000 {
            progress.apply(&event(step, &[(step, 1.0)]));
        }
        assert!(progress.losses().len() <= LOSSES_MAX);
    }
}
