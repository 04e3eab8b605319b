//! The one table of figures. `docs/observation.md` explains the same ones; a test keeps both in step.

use super::snapshot::{JobMetrics, MetricsSnapshot};

/// What kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from 0 at the start of what counts.
    Counter,
    /// Always 1; its labels say it.
    Info,
}

/// A family of figures.
#[derive(Clone, Copy, Debug)]
pub struct MetricSpec {
    /// Name of the family; counters are told as `NAME_total`, infos as `NAME_info`.
    pub name: &'static str,
    /// What kind.
    pub kind: MetricKind,
    /// Base unit, with which the name ends, or empty.
    pub unit: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, one sentence.
    pub help: &'static str,
    /// Its figures.
    pub(super) samples: fn(&MetricsSnapshot) -> Vec<Sample>,
}

/// One figure with the values of its family's labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: Figure,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    Whole(u64),
    Real(f64),
}

impl MetricSpec {
    /// The name of its samples, as it is asked for.
    #[must_use]
    pub fn sample_name(&self) -> String {
        match self.kind {
            MetricKind::Gauge => self.name.to_owned(),
            MetricKind::Counter => format!("{}_total", self.name),
            MetricKind::Info => format!("{}_info", self.name),
        }
    }
}

/// Counters of the network are told as this, their name and `_total`.
pub const P2P_PREFIX: &str = "traind_p2p_";

/// Not `job`: that label belongs to Prometheus, which would rename ours to `exported_job`.
const OF_JOB: &[&str] = &["job_id"];

/// Every family but the network's counters, whose names the network decides.
pub const METRICS: &[MetricSpec] = &[
    info("traind_build", &["version", "numeric_class"], "The daemon and how its machine rounds.", |now| {
        vec![Sample { labels: vec![now.version.clone(), now.numeric_class.clone()], value: Figure::Whole(1) }]
    }),
    gauge("traind_uptime_seconds", "seconds", &[], "Time since the daemon's start.", |now| {
        vec![Sample { labels: vec![], value: Figure::Real(now.uptime.as_secs_f64()) }]
    }),
    gauge("traind_resident_memory_bytes", "bytes", &[], "Memory of the daemon that is in RAM.", |now| {
        now.resident_memory_bytes.map(whole).into_iter().collect()
    }),
    gauge("traind_nodes", "", &["state"], "Nodes in the ledger (known) and those heard of (live).", |now| {
        [("live", now.nodes_live), ("known", now.nodes_known)]
            .map(|(state, count)| Sample { labels: vec![state.to_owned()], value: Figure::Whole(count) })
            .to_vec()
    }),
    gauge("traind_council_term", "", &[], "Term of the council's election.", |now| {
        vec![whole(now.council_term)]
    }),
    gauge("traind_is_coordinator", "", &[], "1 on the node that coordinates, else 0.", |now| {
        vec![whole(u64::from(now.is_coordinator))]
    }),
    info("traind_job", &["job_id", "name"], "A job and its name.", |now| {
        let labels = |job: &JobMetrics| vec![job.id.clone(), job.name.clone()];
        now.jobs.iter().map(|job| Sample { labels: labels(job), value: Figure::Whole(1) }).collect()
    }),
    gauge("traind_job_status", "", &["job_id", "status"], "1 for the status that the job has.", |now| {
        let labels = |job: &JobMetrics| vec![job.id.clone(), job.status.clone()];
        now.jobs.iter().map(|job| Sample { labels: labels(job), value: Figure::Whole(1) }).collect()
    }),
    gauge("traind_job_step", "", OF_JOB, "Stable steps.", |now| wholes(now, |job| Some(job.step))),
    gauge("traind_job_steps", "", OF_JOB, "Steps in all.", |now| wholes(now, |job| Some(job.steps))),
    gauge("traind_job_loss", "", OF_JOB, "Mean loss of the last stable step.", |now| {
        reals(now, |job| job.loss)
    }),
    gauge("traind_job_learning_rate", "", OF_JOB, "Learning rate of the last stable step.", |now| {
        reals(now, |job| job.learning_rate)
    }),
    gauge("traind_job_gradient_norm", "", OF_JOB, "Norm of the last gradient before clipping.", |now| {
        reals(now, |job| job.gradient_norm)
    }),
    gauge("traind_job_evaluation_accuracy", "", OF_JOB, "Right answers per held-out sample.", |now| {
        reals(now, |job| job.evaluation_accuracy)
    }),
    gauge("traind_job_evaluation_loss", "", OF_JOB, "Mean loss on held-out samples.", |now| {
        reals(now, |job| job.evaluation_loss)
    }),
    gauge("traind_job_members", "", OF_JOB, "Members of the job's view.", |now| {
        wholes(now, |job| Some(job.members))
    }),
    gauge("traind_job_epoch", "", OF_JOB, "Epoch of the job's view.", |now| {
        wholes(now, |job| Some(job.epoch))
    }),
    counter("traind_view_changes", OF_JOB, "Views committed for the job.", |now| {
        wholes(now, |job| Some(job.view_changes))
    }),
    counter("traind_microbatches_computed", OF_JOB, "Micro-batches that this process computed.", |now| {
        wholes(now, |job| Some(job.work.microbatches_computed))
    }),
    counter(
        "traind_microbatches_taken_over",
        OF_JOB,
        "Micro-batches that this process computed in another member's place.",
        |now| wholes(now, |job| Some(job.work.microbatches_taken_over)),
    ),
    counter("traind_exchange_bytes_sent", OF_JOB, "Gradients and results that this process sent.", |now| {
        wholes(now, |job| Some(job.work.exchange_bytes_sent))
    }),
    counter("traind_steps_applied", OF_JOB, "Steps that this process applied.", |now| {
        wholes(now, |job| Some(job.work.steps_applied))
    }),
    gauge("traind_checkpoints", "", OF_JOB, "Checkpoints in the ledger.", |now| {
        wholes(now, |job| Some(job.checkpoints))
    }),
    gauge("traind_checkpoint_bytes", "bytes", OF_JOB, "Length of the newest checkpoint.", |now| {
        wholes(now, |job| job.checkpoint_bytes)
    }),
    counter(
        "traind_recorder_notes_dropped",
        &[],
        "Notes for curves that were dropped, the disk being slow.",
        |now| vec![whole(now.recorder.notes_dropped)],
    ),
    counter("traind_recorder_write_errors", &[], "Writes of curves that failed.", |now| {
        vec![whole(now.recorder.write_errors)]
    }),
];

const fn gauge(
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&MetricsSnapshot) -> Vec<Sample>,
) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Gauge, unit, labels, help, samples }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&MetricsSnapshot) -> Vec<Sample>,
) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Counter, unit: "", labels, help, samples }
}

const fn info(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&MetricsSnapshot) -> Vec<Sample>,
) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Info, unit: "", labels, help, samples }
}

fn whole(value: u64) -> Sample {
    Sample { labels: vec![], value: Figure::Whole(value) }
}

fn wholes(now: &MetricsSnapshot, value: impl Fn(&JobMetrics) -> Option<u64>) -> Vec<Sample> {
    of_jobs(now, |job| value(job).map(Figure::Whole))
}

fn reals(now: &MetricsSnapshot, value: impl Fn(&JobMetrics) -> Option<f64>) -> Vec<Sample> {
    of_jobs(now, |job| value(job).map(Figure::Real))
}

fn of_jobs(now: &MetricsSnapshot, value: impl Fn(&JobMetrics) -> Option<Figure>) -> Vec<Sample> {
    let sample = |job: &JobMetrics| Some(Sample { labels: vec![job.id.clone()], value: value(job)? });
    now.jobs.iter().filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_ends_with_its_unit_and_says_no_suffix_of_its_own() {
        for (index, spec) in METRICS.iter().enumerate() {
            assert!(METRICS[..index].iter().all(|other| other.name != spec.name), "{} twice", spec.name);
            assert!(spec.unit.is_empty() || spec.name.ends_with(&format!("_{}", spec.unit)), "{}", spec.name);
            assert!(!spec.name.ends_with("_total") && !spec.name.ends_with("_info"), "{}", spec.name);
            assert!(spec.name.starts_with("traind_") && !spec.name.starts_with(P2P_PREFIX), "{}", spec.name);
            assert!(spec.help.ends_with('.') && !spec.help.contains(['\\', '\n', '"']), "{}", spec.name);
            assert!(!spec.labels.contains(&"job"), "{}: Prometheus renames that label", spec.name);
        }
    }
}
