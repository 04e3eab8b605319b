//! Lines of streams: logs, numbers of steps, events, how far a drain is. One line each, however long, so that they grep.

use super::node::drained;
use super::units::percent;
use super::{checkpoint, printable, store};
use crate::control::api::{EventLine, LogLevel, LogLine, MetricPoint, StreamItem};

/// Above the lines of `job metrics`.
pub(in super::super) const METRICS_HEAD: &str =
    "    STEP          LOSS  LEARNING RATE  GRADIENT NORM  ACCURACY\n";

/// Above the lines of `job metrics --format csv`.
pub(in super::super) const METRICS_CSV_HEAD: &str =
    "step,loss,learning_rate,gradient_norm,test_correct,test_total,test_accuracy,test_loss,at\n";

/// A line for people, with its line end; empty for what is no line of its own.
pub(in super::super) fn stream_line(item: &StreamItem) -> String {
    match item {
        StreamItem::LogLine(line) => format!("{}\n", printable(&log(line)).replace('\n', " ")),
        StreamItem::MetricPoint(point) => metric(point),
        StreamItem::EventLine(line) => format!("{}\n", printable(&event(line)).replace('\n', " ")),
        StreamItem::NodeDetail(detail) => drained(detail),
        StreamItem::StoreProgress(progress) => store::progress(progress),
        StreamItem::StoreVerified(verified) => store::verified(verified),
        StreamItem::CheckpointVerified(verified) => checkpoint::verified(verified),
        StreamItem::Skipped { .. } | StreamItem::StreamEnd => String::new(),
    }
}

/// The one word that a shell may want of a line.
pub(in super::super) fn stream_name(item: &StreamItem) -> String {
    match item {
        StreamItem::LogLine(line) => format!("{}\n", line.node.name),
        StreamItem::MetricPoint(point) => format!("{}\n", point.step),
        StreamItem::EventLine(line) => format!("{}\n", line.event.words().replace(' ', "_")),
        StreamItem::NodeDetail(detail) => format!("{}\n", detail.row.name),
        StreamItem::StoreVerified(verified) => {
            verified.objects.iter().map(|object| format!("{}\n", object.file)).collect()
        }
        StreamItem::CheckpointVerified(verified) => {
            verified.objects.iter().map(|object| format!("{}\n", object.file)).collect()
        }
        StreamItem::StoreProgress(_) => String::new(),
        StreamItem::Skipped { .. } | StreamItem::StreamEnd => String::new(),
    }
}

fn log(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => "WARN",
        LogLevel::Info => "INFO",
        LogLevel::Debug => "DEBUG",
        LogLevel::Trace => "TRACE",
    };
    let fields: String = line.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{} {level:<5} {} {}: {}{fields}", line.at, line.node.name, line.target, line.message)
}

fn event(line: &EventLine) -> String {
    let step = line.step.map(|step| format!(" (step {step})")).unwrap_or_default();
    format!("{}  {:<19}  {}{step}", line.at, line.event.words(), line.message)
}

fn metric(point: &MetricPoint) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.4e}"));
    let accuracy = point.evaluation.and_then(|evaluation| evaluation.accuracy);
    format!(
        "{:>8}  {:>12.6}  {:>13}  {:>13}  {:>8}\n",
        point.step,
        point.loss,
        number(point.learning_rate),
        number(point.gradient_norm),
        accuracy.map_or_else(|| "-".into(), percent),
    )
}

/// A line of comma-separated values; numbers with all their digits, nothing where nothing is known.
pub(in super::super) fn metric_csv(item: &StreamItem) -> String {
    let StreamItem::MetricPoint(point) = item else { return String::new() };
    fn cell<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let evaluation = point.evaluation;
    let cells = [
        point.step.to_string(),
        point.loss.to_string(),
        cell(point.learning_rate),
        cell(point.gradient_norm),
        cell(evaluation.map(|evaluation| evaluation.correct)),
        cell(evaluation.map(|evaluation| evaluation.total)),
        cell(evaluation.and_then(|evaluation| evaluation.accuracy)),
        cell(evaluation.and_then(|evaluation| evaluation.loss)),
        cell(point.at.as_deref()),
    ];
    cells.join(",") + "\n"
}
