//! The daemon's status in lines.

use super::facts;
use super::job::status_word;
use super::node::names;
use super::units::{duration_ms, loss, or_dash, view_number};
use crate::control::api::{NodeRef, Status};

/// `trainctl status`.
pub(super) fn status(status: &Status) -> String {
    let mut lines = vec![
        ("node", format!("{}  {}", status.node.name, status.node.id)),
        ("swarm", status.swarm.clone().unwrap_or_else(|| "none yet: looking for one to join".into())),
        ("coordinator", coordinator(status)),
        (
            "council",
            format!("voters {}; learners {}", names(&status.council.voters), names(&status.council.learners)),
        ),
        ("nodes", format!("{} live of {} known", status.nodes_live, status.nodes_known)),
        ("job", job(status)),
        ("listens on", if status.addresses.is_empty() { "-".into() } else { status.addresses.join(", ") }),
        ("computes on", format!("{}, {} thread{}", status.device, status.threads, plural(status.threads))),
        ("numeric class", status.numeric_class.clone()),
        ("data", status.data_dir.clone()),
        ("version", format!("{}, up {}", status.version, duration_ms(status.uptime_ms))),
    ];
    let counters: Vec<String> =
        status.counters.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if !counters.is_empty() {
        lines.push(("counters", counters.join(", ")));
    }
    facts(&lines)
}

fn coordinator(status: &Status) -> String {
    let name = |node: &NodeRef| {
        if node.id == status.node.id { format!("{} (this node)", node.name) } else { node.name.clone() }
    };
    format!("{}, term {}", or_dash(status.coordinator.as_ref().map(name)), status.term)
}

fn job(status: &Status) -> String {
    let queued = match status.jobs_queued {
        0 => String::new(),
        count => format!("; {count} queued"),
    };
    let Some(job) = &status.job else { return format!("none runs{queued}") };
    format!(
        "{} ({}) {}, step {}/{}, loss {}, view {} of {} node{}{queued}",
        job.name,
        job.id,
        status_word(job.status),
        job.step,
        job.steps,
        loss(job.loss),
        view_number(job.epoch),
        job.members,
        plural(job.members)
    )
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}
