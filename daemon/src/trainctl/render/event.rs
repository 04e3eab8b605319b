//! Events of a followed job as lines.

use super::super::follow::Ending;
use super::job::status_word;
use super::node::names;
use super::units::{percent, short, view_number};
use crate::control::api::FollowEvent;

/// The line for an event that is worth one; progress has its own display.
pub(in super::super) fn event(event: &FollowEvent) -> Option<String> {
    match event {
        FollowEvent::ViewChanged { epoch, step, reason, members, .. } => {
            Some(format!("step {step}: view {}: {} ({reason})", view_number(*epoch), names(members)))
        }
        FollowEvent::Checkpoint { step, digest, .. } => {
            Some(format!("step {step}: checkpoint {}", short(digest)))
        }
        FollowEvent::CheckpointNotWritten { step, node, reason, .. } => {
            Some(format!("warning: step {step}: no checkpoint on {}: {reason}", node.name))
        }
        FollowEvent::Progress { .. } | FollowEvent::Ended { .. } => None,
    }
}

/// How a job ended, with its result. Why it failed is told as the verb's failure.
pub(in super::super) fn ending(ending: &Ending) -> String {
    let mut text = format!("{} {}\n", ending.job, status_word(ending.status));
    if let Some(result) = &ending.result {
        if let Some(accuracy) = result.test_accuracy() {
            let counts = format!("{} of {}", result.test_correct, result.test_total);
            text.push_str(&format!("test accuracy  {} ({counts})\n", percent(accuracy)));
        }
        text.push_str(&format!("digest         {}\n", result.digest));
    }
    text
}
