//! The figures as text.

use std::collections::BTreeMap;
use std::time::Duration;

use traind::observe::{
    JobMetrics, JobWork, METRICS, MetricKind, MetricsSnapshot, RecorderCounts, render_openmetrics,
    render_text,
};

use crate::exposition::{Format, read};

/// A daemon with one job of which everything is known and one that waits.
pub(crate) fn snapshot() -> MetricsSnapshot {
    let running = JobMetrics {
        id: "00ff".into(),
        name: "a \"quoted\" \\ name\nof two lines, ümläut".into(),
        status: "running".into(),
        step: 12,
        steps: 600,
        loss: Some(0.25),
        learning_rate: Some(1e-3),
        gradient_norm: Some(3.5),
        evaluation_accuracy: Some(0.875),
        evaluation_loss: Some(0.5),
        members: 3,
        epoch: 7,
        view_changes: 2,
        work: JobWork {
            microbatches_computed: 48,
            microbatches_taken_over: 4,
            exchange_bytes_sent: 1 << 40,
            steps_applied: 12,
        },
        checkpoints: 2,
        checkpoint_bytes: Some(65536),
    };
    let queued = JobMetrics {
        id: "11ee".into(),
        name: "later".into(),
        status: "queued".into(),
        ..JobMetrics::default()
    };
    MetricsSnapshot {
        version: "0.1.0".into(),
        numeric_class: "x86-64+avx512".into(),
        uptime: Duration::from_millis(1500),
        nodes_live: 3,
        nodes_known: 4,
        council_term: 9,
        is_coordinator: true,
        jobs: vec![running, queued],
        p2p: BTreeMap::from([("data_frames_sent".to_owned(), 5), ("Peers-lost".to_owned(), 1)]),
        recorder: RecorderCounts { notes_dropped: 1, write_errors: 2 },
        resident_memory_bytes: Some(80 << 20),
    }
}

#[test]
fn both_formats_pass_a_strict_reader_and_say_the_same() {
    let snapshot = snapshot();
    let openmetrics = read(&render_openmetrics(&snapshot), Format::OpenMetrics).unwrap();
    let text = read(&render_text(&snapshot), Format::Text).unwrap();
    assert_eq!(openmetrics.samples, text.samples);
    assert_eq!(openmetrics.value("traind_uptime_seconds", &[]), 1.5);
    assert_eq!(openmetrics.value("traind_nodes", &[("state", "live")]), 3.0);
    assert_eq!(openmetrics.value("traind_nodes", &[("state", "known")]), 4.0);
    let build = [("version", "0.1.0"), ("numeric_class", "x86-64+avx512")];
    assert_eq!(openmetrics.value("traind_build_info", &build), 1.0);
    let name = snapshot.jobs[0].name.as_str();
    assert_eq!(openmetrics.value("traind_job_info", &[("job_id", "00ff"), ("name", name)]), 1.0);
    assert_eq!(openmetrics.value("traind_job_status", &[("job_id", "11ee"), ("status", "queued")]), 1.0);
    assert_eq!(openmetrics.value("traind_job_loss", &[("job_id", "00ff")]), 0.25);
    assert_eq!(
        openmetrics.value("traind_exchange_bytes_sent_total", &[("job_id", "00ff")]),
        (1_u64 << 40) as f64
    );
    assert_eq!(openmetrics.value("traind_p2p_data_frames_sent_total", &[]), 5.0);
    assert_eq!(openmetrics.value("traind_p2p_peers_lost_total", &[]), 1.0);
    assert_eq!(openmetrics.families["traind_checkpoint_bytes"].unit.as_deref(), Some("bytes"));
}

#[test]
fn every_figure_of_the_table_is_told_with_its_kind_and_labels() {
    let scrape = read(&render_openmetrics(&snapshot()), Format::OpenMetrics).unwrap();
    for spec in METRICS {
        let kind = match spec.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Info => "info",
        };
        assert_eq!(scrape.families[spec.name].kind, kind, "{}", spec.name);
        let sample = scrape.samples.keys().find(|(name, _)| *name == spec.sample_name());
        let (_, labels) = sample.unwrap_or_else(|| panic!("no {}", spec.sample_name()));
        assert_eq!(labels.len(), spec.labels.len(), "{}", spec.name);
        assert!(spec.labels.iter().all(|label| labels.contains_key(*label)), "{}", spec.name);
    }
}

#[test]
fn what_is_not_known_is_not_told_and_what_is_no_number_is() {
    let mut snapshot = MetricsSnapshot::default();
    let empty = read(&render_openmetrics(&snapshot), Format::OpenMetrics).unwrap();
    assert!(!empty.names().contains("traind_resident_memory_bytes"));
    assert!(!empty.families.contains_key("traind_job_loss"), "no samples, no family");
    let diverged =
        JobMetrics { loss: Some(f64::NAN), gradient_norm: Some(f64::INFINITY), ..JobMetrics::default() };
    snapshot.jobs = vec![diverged];
    for format in [Format::OpenMetrics, Format::Text] {
        let rendered =
            if format == Format::Text { render_text(&snapshot) } else { render_openmetrics(&snapshot) };
        let scrape = read(&rendered, format).unwrap();
        assert!(scrape.value("traind_job_loss", &[("job_id", "")]).is_nan());
        assert!(scrape.value("traind_job_gradient_norm", &[("job_id", "")]).is_infinite());
    }
}

#[test]
fn the_same_job_or_counter_twice_gives_no_series_twice_and_old_jobs_go() {
    let job = |number: u64| JobMetrics { id: format!("{number:04x}"), step: number, ..JobMetrics::default() };
    let mut jobs: Vec<JobMetrics> = (0..200).map(job).collect();
    jobs.push(JobMetrics { step: 1000, ..job(199) });
    let p2p = ["a-b", "a_b", "a_b_total", "A b"].map(|name| (name.to_owned(), 1));
    let snapshot = MetricsSnapshot { jobs, p2p: p2p.into(), ..MetricsSnapshot::default() };
    let scrape = read(&render_openmetrics(&snapshot), Format::OpenMetrics).unwrap();
    assert_eq!(scrape.value("traind_job_step", &[("job_id", "00c7")]), 1000.0, "the later one counts");
    assert_eq!(scrape.value("traind_p2p_a_b_total", &[]), 4.0);
    let told = scrape.samples.keys().filter(|(name, _)| name == "traind_job_step").count();
    assert_eq!(told, 64, "the newest");
}
