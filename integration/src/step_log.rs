//! When a daemon applied which step, and when it lost a peer, from its log: to the microsecond, where the control socket
//! tells of progress a few times a second only.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde_json::Value;

use crate::daemon::Daemon;

/// Settings of a daemon whose log can be read so.
pub const LOG_VARIABLES: [(&str, &str); 2] =
    [("TRAIND_LOG__FORMAT", "json"), ("TRAIND_LOG__LEVEL", "info,traind_actors::session=debug")];

/// A daemon applied a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedStep {
    /// By the wall clock.
    pub at: SystemTime,
    /// Steps applied, this one included.
    pub step: u64,
    /// Micro-batches that this process had computed by then.
    pub computed: u64,
}

/// A daemon lost a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPeer {
    /// By the wall clock.
    pub at: SystemTime,
    /// The first digits of the peer's id.
    pub peer: String,
    /// What it concluded that from, as `Refused` or `Silent`.
    pub evidence: String,
}

impl Daemon {
    /// The steps that it applied, in order.
    ///
    /// # Errors
    /// When the log cannot be read or is not in that form.
    pub fn applied_steps(&self) -> anyhow::Result<Vec<AppliedStep>> {
        let lines = lines_with(&self.log()?, "step applied")?;
        let number = |line: &Value, name: &str| line["fields"][name].as_u64().context("a number of the step");
        lines
            .iter()
            .map(|line| {
                let (step, computed) = (number(line, "step")?, number(line, "computed")?);
                Ok(AppliedStep { at: time_of(line)?, step, computed })
            })
            .collect()
    }

    /// When it had written the checkpoint of which step, in order.
    ///
    /// # Errors
    /// When the log cannot be read or is not in that form.
    pub fn written_checkpoints(&self) -> anyhow::Result<Vec<(u64, SystemTime)>> {
        let lines = lines_with(&self.log()?, "checkpoint written")?;
        let written = lines.iter().map(|line| {
            let step = line["fields"]["step"].as_u64().context("the step of a checkpoint")?;
            Ok((step, time_of(line)?))
        });
        written.collect()
    }

    /// The peers that it lost, in order.
    ///
    /// # Errors
    /// When the log cannot be read or is not in that form.
    pub fn lost_peers(&self) -> anyhow::Result<Vec<LostPeer>> {
        // Network and council both say it; the evidence is the network's.
        let lines = lines_with(&self.log()?, "peer lost")?;
        let text = |line: &Value, name: &str| line["fields"][name].as_str().map(ToOwned::to_owned);
        lines
            .iter()
            .filter_map(|line| Some((line, text(line, "evidence")?)))
            .map(|(line, evidence)| {
                let peer = text(line, "peer").context("the lost peer")?;
                Ok(LostPeer { at: time_of(line)?, peer, evidence })
            })
            .collect()
    }
}

/// When the last of `daemons` applied each step that all of them applied.
///
/// # Errors
/// When a log cannot be read or is not in that form.
pub fn applied_by_all<'a>(
    daemons: impl Iterator<Item = &'a Daemon>,
) -> anyhow::Result<BTreeMap<u64, SystemTime>> {
    let mut all: Option<BTreeMap<u64, SystemTime>> = None;
    for daemon in daemons {
        let own: BTreeMap<u64, SystemTime> =
            daemon.applied_steps()?.iter().map(|applied| (applied.step, applied.at)).collect();
        all = Some(match all {
            None => own,
            Some(all) => {
                all.into_iter().filter_map(|(step, at)| Some((step, at.max(*own.get(&step)?)))).collect()
            }
        });
    }
    Ok(all.unwrap_or_default())
}

/// The lines of a log in JSON that say `message`. The last line may be half written.
fn lines_with(log: &str, message: &str) -> anyhow::Result<Vec<Value>> {
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let parsed = whole.lines().filter(|line| line.contains(message)).map(|line| {
        serde_json::from_str::<Value>(line).with_context(|| format!("a line of the log: {line}"))
    });
    let lines = parsed.collect::<anyhow::Result<Vec<Value>>>()?;
    Ok(lines.into_iter().filter(|line| line["fields"]["message"] == message).collect())
}

fn time_of(line: &Value) -> anyhow::Result<SystemTime> {
    let text = line["timestamp"].as_str().context("the time of a line")?;
    humantime::parse_rfc3339(text).with_context(|| format!("the time {text}"))
}

/// From `earlier` to `later`; nothing where the clock was set back between them.
#[must_use]
pub fn between(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_message_and_a_half_written_one_is_left_out() {
        let log = r#"{"timestamp":"2026-11-28T13:30:05.123456Z","fields":{"message":"step applied","step":5}}
{"timestamp":"2026-11-28T13:30:06Z","fields":{"message":"other","text":"step applied"}}
{"timestamp":"2026-11-28T13:30:07Z","fields":{"message":"step app"#;
        let lines = lines_with(log, "step applied").unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["fields"]["step"], 5);
        let base = humantime::parse_rfc3339("2026-11-28T13:30:05Z").unwrap();
        assert_eq!(between(base, time_of(&lines[0]).unwrap()), Duration::from_micros(123_456));
        assert!(lines_with("not json, step applied\n", "step applied").is_err());
    }
}
