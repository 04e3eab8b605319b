//! The figures as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::{Registry, Unit};

use super::catalogue::{Figure, METRICS, MetricKind, MetricSpec, P2P_PREFIX, Sample};
use super::snapshot::{JobMetrics, MetricsSnapshot};

/// Most jobs told, the newest ones: every series costs memory on the side of Prometheus.
const JOBS_TOLD_MAX: usize = 64;

/// Most counters of the network told; it has about a dozen.
const P2P_TOLD_MAX: usize = 256;

/// The figures as `OpenMetrics` 1.0.
#[must_use]
pub fn render_openmetrics(snapshot: &MetricsSnapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition(tellable(snapshot.clone()))));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("writing to a string cannot fail");
    text
}

/// The figures as Prometheus' own text, version 0.0.4: there a family is called like its samples, an info is a gauge,
/// and there are neither units nor an end.
#[must_use]
pub fn render_text(snapshot: &MetricsSnapshot) -> String {
    let openmetrics = render_openmetrics(snapshot);
    let suffixes: BTreeMap<&str, &str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| {
            (
                name,
                if kind == "counter" {
                    "_total"
                } else if kind == "info" {
                    "_info"
                } else {
                    ""
                },
            )
        })
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let Some((keyword, rest)) = line.strip_prefix("# ").and_then(|comment| comment.split_once(' '))
        else {
            if !line.starts_with('#') {
                text.extend([line, "\n"]);
            }
            continue;
        };
        if let ("HELP" | "TYPE", Some((name, said))) = (keyword, rest.split_once(' ')) {
            let said = if (keyword, said) == ("TYPE", "info") { "gauge" } else { said };
            let suffix = suffixes.get(name).copied().unwrap_or_default();
            text.extend(["# ", keyword, " ", name, suffix, " ", said, "\n"]);
        }
    }
    text
}

/// The snapshot without what must not be told: jobs twice, or too many of anything.
fn tellable(mut snapshot: MetricsSnapshot) -> MetricsSnapshot {
    let mut seen = BTreeSet::new();
    let mut jobs: Vec<JobMetrics> = snapshot
        .jobs
        .into_iter()
        .rev()
        .filter(|job| seen.insert(job.id.clone()))
        .take(JOBS_TOLD_MAX)
        .collect();
    jobs.reverse();
    snapshot.jobs = jobs;
    let mut p2p: BTreeMap<String, u64> = BTreeMap::new();
    for (name, value) in snapshot.p2p.into_iter().take(P2P_TOLD_MAX) {
        let counted = p2p.entry(metric_name(&name)).or_default();
        *counted = counted.saturating_add(value);
    }
    snapshot.p2p = p2p;
    snapshot
}

/// `name` with what may stand in the name of a metric, without the suffix that it is given anyway.
fn metric_name(name: &str) -> String {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let allowed =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    name.chars().map(allowed).collect()
}

/// A snapshot that can be told.
#[derive(Debug)]
struct Exposition(MetricsSnapshot);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for spec in METRICS {
            encode(&mut encoder, spec, &(spec.samples)(&self.0))?;
        }
        for (name, value) in &self.0.p2p {
            let (name, help) = (format!("{P2P_PREFIX}{name}"), format!("Counter of the network: {name}."));
            let counter = ConstCounter::new(*value);
            counter.encode(encoder.encode_descriptor(&name, &help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

fn encode(encoder: &mut DescriptorEncoder<'_>, spec: &MetricSpec, samples: &[Sample]) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    // The encoder appends the unit.
    let unit = (!spec.unit.is_empty()).then(|| Unit::Other(spec.unit.to_owned()));
    let name = if unit.is_some() { &spec.name[..spec.name.len() - spec.unit.len() - 1] } else { spec.name };
    let kind = match spec.kind {
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Info => MetricType::Info,
    };
    let mut family = encoder.encode_descriptor(name, spec.help, unit.as_ref(), kind)?;
    for sample in samples {
        let labels: Vec<(&str, &str)> =
            spec.labels.iter().copied().zip(sample.labels.iter().map(String::as_str)).collect();
        match (spec.kind, labels.is_empty()) {
            (MetricKind::Info, _) => family.encode_info(&labels)?,
            (_, true) => encode_value(&mut family, spec.kind, sample.value)?,
            (_, false) => encode_value(&mut family.encode_family(&labels)?, spec.kind, sample.value)?,
        }
    }
    Ok(())
}

fn encode_value(encoder: &mut MetricEncoder<'_>, kind: MetricKind, value: Figure) -> fmt::Result {
    match (kind, value) {
        (MetricKind::Counter, Figure::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
        }
        (MetricKind::Counter, Figure::Real(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
        }
        (_, Figure::Whole(value)) => encoder.encode_gauge(&value),
        (_, Figure::Real(value)) => encoder.encode_gauge(&value),
    }
}
