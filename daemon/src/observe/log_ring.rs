//! The latest records of the log, kept as data for `trainctl job logs`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::ring::{Ring, RingRecord};

/// Records kept: hours at level `info`, at most 8 MiB.
pub const LOG_RECORDS_KEPT_MAX: usize = 4096;

/// Longest message with its fields, bytes; the rest is cut off. Longer ones are dumps, for which the log itself is there.
pub const LOG_RECORD_BYTES_MAX: usize = 2048;

/// The field that says which job a record is about.
const JOB: &str = "job";

/// Stands for what was cut off.
const CUT: char = '…';

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// When.
    pub at: SystemTime,
    /// How grave.
    pub level: Level,
    /// The part of the program that wrote it, as `traind_actors::session`.
    pub target: String,
    /// The text.
    pub message: String,
    /// Its fields and those of the spans around it, by name; the inner ones count.
    pub fields: BTreeMap<String, String>,
}

/// The latest records of the log.
pub type LogRing = Ring<LogRecord>;

/// Fills a [`LogRing`].
#[derive(Clone, Debug)]
pub struct LogRingLayer {
    ring: LogRing,
}

impl RingRecord for LogRecord {
    const KEPT_MAX: usize = LOG_RECORDS_KEPT_MAX;
}

impl LogRecord {
    /// Whether it is about the job with that id, in hexadecimal.
    #[must_use]
    pub fn is_of_job(&self, job: &str) -> bool {
        self.fields.get(JOB).is_some_and(|of| of == job)
    }
}

impl LogRing {
    /// The layer that fills this ring, for [`crate::logging::start_with`].
    #[must_use]
    pub fn layer(&self) -> LogRingLayer {
        LogRingLayer { ring: self.clone() }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogRingLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut text = FieldText::default();
        attributes.record(&mut text);
        span.extensions_mut().insert(text);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(text) = span.extensions_mut().get_mut::<FieldText>() {
            values.record(text);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = FieldText::default();
        event.record(&mut text);
        // From the innermost span outwards: what is there already is the inner one's.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(around) = span.extensions().get::<FieldText>() {
                text.take_missing(around);
            }
        }
        let metadata = event.metadata();
        self.ring.push(LogRecord {
            at: SystemTime::now(),
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message: text.message,
            fields: text.fields,
        });
    }
}

/// Message and fields as text, cut to [`LOG_RECORD_BYTES_MAX`] in all.
#[derive(Debug, Default)]
struct FieldText {
    message: String,
    fields: BTreeMap<String, String>,
    used_bytes: usize,
}

impl FieldText {
    fn room_bytes(&self) -> usize {
        LOG_RECORD_BYTES_MAX.saturating_sub(self.used_bytes)
    }

    fn keep(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let is_message = name == "message";
        let name_bytes = if is_message { 0 } else { name.len() };
        // A span may record a field again: the old value gives its room back.
        let former =
            if is_message { Some(std::mem::take(&mut self.message)) } else { self.fields.remove(name) };
        self.used_bytes -= former.map_or(0, |former| name_bytes + former.len());
        if self.room_bytes() <= name_bytes {
            return;
        }
        let mut cut = CutText { text: String::new(), room_bytes: self.room_bytes() - name_bytes };
        // An error means that it was cut.
        let _ = cut.write_fmt(value);
        self.used_bytes += name_bytes + cut.text.len();
        if is_message {
            self.message = cut.text;
        } else {
            self.fields.insert(name.to_owned(), cut.text);
        }
    }

    fn take_missing(&mut self, around: &Self) {
        for (name, value) in &around.fields {
            if !self.fields.contains_key(name) {
                self.keep(name, format_args!("{value}"));
            }
        }
    }
}

impl Visit for FieldText {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field.name(), format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.keep(field.name(), format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field.name(), format_args!("{value:?}"));
    }
}

/// Text that stops growing, and stops whoever writes it, when there is no room left.
struct CutText {
    text: String,
    room_bytes: usize,
}

impl fmt::Write for CutText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let left = self.room_bytes - self.text.len();
        if more.len() <= left {
            self.text.push_str(more);
            return Ok(());
        }
        // Room for the sign, taken from what stands there if need be; the sign itself may need it all.
        let with_sign = self.room_bytes.saturating_sub(CUT.len_utf8());
        self.text.push_str(&more[..more.floor_char_boundary(left)]);
        self.text.truncate(self.text.floor_char_boundary(with_sign));
        if self.text.len() + CUT.len_utf8() <= self.room_bytes {
            self.text.push(CUT);
        }
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn logged(log: impl FnOnce()) -> LogRing {
        let ring = LogRing::new();
        let subscriber = tracing_subscriber::registry().with(ring.layer());
        tracing::subscriber::with_default(subscriber, log);
        ring
    }

    #[test]
    fn fields_of_spans_belong_to_a_record_and_the_inner_ones_count() {
        let ring = logged(|| {
            let outer = tracing::info_span!("job", job = "0a0b", step = 1, late = tracing::field::Empty);
            let _outer = outer.enter();
            outer.record("late", "yes");
            tracing::info_span!("step", step = 2)
                .in_scope(|| tracing::warn!(peer = %"amber", "it {}", "halts"));
            tracing::info!(job = "0c0d", "another");
        });
        let records = ring.tail(10);
        let fields: Vec<(&str, &str)> =
            records[0].fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("job", "0a0b"), ("late", "yes"), ("peer", "amber"), ("step", "2")]);
        assert_eq!((records[0].message.as_str(), records[0].level), ("it halts", Level::WARN));
        assert_eq!(records[0].target, module_path!());
        assert!(records[0].is_of_job("0a0b") && !records[0].is_of_job("0c0d"));
        let of_job = ring.tail_if(10, |record| record.is_of_job("0c0d"));
        assert_eq!(of_job.iter().map(|record| record.message.as_str()).collect::<Vec<_>>(), ["another"]);
    }

    #[test]
    fn a_long_record_is_cut_and_says_so() {
        let ring = logged(|| {
            tracing::info!(job = "0a0b", "{}", "ü".repeat(LOG_RECORD_BYTES_MAX));
            tracing::info!(dump = "x".repeat(3 * LOG_RECORD_BYTES_MAX), more = 1, "dumped");
        });
        let records = ring.tail(10);
        assert!(records[0].message.ends_with(CUT));
        for record in &records {
            let fields: usize = record.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(record.message.len() + fields <= LOG_RECORD_BYTES_MAX, "{record:?}");
        }
        assert_eq!(records[1].message, "dumped");
        assert!(records[1].fields["dump"].ends_with(CUT));
    }
}
