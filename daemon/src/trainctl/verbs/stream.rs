//! Verbs whose answer is a stream of lines: `job logs`, `job metrics`, `events`.

use std::path::Path;

use super::super::args::{MetricsFormat, OutputFormat};
use super::super::failure::Failure;
use super::super::output::{Output, json};
use super::super::render;
use crate::control::Client;
use crate::control::api::{Request, StreamItem};
use crate::exit_code;

/// `trainctl job logs`.
pub(super) async fn logs(
    socket: &Path,
    job: String,
    tail: Option<u64>,
    follow: bool,
    output: &Output,
) -> Result<u8, Failure> {
    let line = line_of(output.format, None);
    show(socket, &Request::JobLogs { job, tail, follow }, line, output).await
}

/// `trainctl job metrics`.
pub(super) async fn metrics(
    socket: &Path,
    job: String,
    format: Option<MetricsFormat>,
    since_step: Option<u64>,
    follow: bool,
    output: &Output,
) -> Result<u8, Failure> {
    let format = format
        .unwrap_or_else(|| if output.format.is_json() { MetricsFormat::Jsonl } else { MetricsFormat::Table });
    let line = match format {
        MetricsFormat::Jsonl => line_of(OutputFormat::Jsonl, None),
        MetricsFormat::Csv => Lines { head: Some(render::METRICS_CSV_HEAD), of: render::metric_csv },
        MetricsFormat::Table => line_of(output.format, Some(render::METRICS_HEAD)),
    };
    show(socket, &Request::JobMetrics { job, since_step, follow }, line, output).await
}

/// `trainctl events`.
pub(in super::super) async fn events(
    socket: &Path,
    tail: Option<u64>,
    follow: bool,
    output: &Output,
) -> Result<u8, Failure> {
    let line = line_of(output.format, None);
    show(socket, &Request::Events { tail, follow }, line, output).await
}

/// How lines of a stream are written.
struct Lines {
    /// Before the first.
    head: Option<&'static str>,
    /// One of them, with its line end; empty for none.
    of: fn(&StreamItem) -> String,
}

fn line_of(format: OutputFormat, head: Option<&'static str>) -> Lines {
    match format {
        // A line that is no map with a kind does not exist.
        OutputFormat::Json | OutputFormat::Jsonl => {
            Lines { head: None, of: |item| json(item).unwrap_or_default() }
        }
        OutputFormat::Name => Lines { head: None, of: render::stream_name },
        OutputFormat::Table | OutputFormat::Wide => Lines { head, of: render::stream_line },
    }
}

async fn show(socket: &Path, request: &Request, lines: Lines, output: &Output) -> Result<u8, Failure> {
    let mut stream = Client::new(socket).stream(request).await?;
    let mut head = lines.head;
    while let Some(item) = stream.next().await? {
        match item {
            StreamItem::StreamEnd => {}
            StreamItem::Skipped { lines: skipped } => {
                output.message(&format!("warning: {skipped} lines were left out: they came too fast"));
            }
            item => {
                let mut text = head.take().unwrap_or_default().to_owned();
                text.push_str(&(lines.of)(&item));
                output.write(&text)?;
            }
        }
    }
    // The head alone says that there is nothing to show.
    output.write(head.unwrap_or_default())?;
    Ok(exit_code::OK)
}
