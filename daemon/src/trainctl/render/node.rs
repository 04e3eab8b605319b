//! Nodes: a table of all, and everything about one.

use std::collections::BTreeSet;

use super::facts;
use super::table::Column::{Always, Wide};
use super::table::table_in_width;
use super::units::{bytes, duration_ms, or_dash, short};
use super::wrap::wrap;
use crate::control::api::{CouncilRole, Drain, NodeDetail, NodeRef, NodeRole, NodeRow};

/// `trainctl node ls`. Numeric classes are long and mostly the same: the wide table numbers them, lines below spell
/// them out; the narrow one says when there are several.
pub(super) fn nodes(nodes: &[NodeRow], is_wide: bool) -> String {
    let classes: BTreeSet<&str> = nodes.iter().map(|node| node.numeric_class.as_str()).collect();
    let number = |class: &str| classes.range(..=class).count().to_string();
    let columns = [
        Always("NAME"),
        Wide("ID"),
        Always("ROLE"),
        Always("COUNCIL"),
        Always("DEVICE"),
        Always("STEP"),
        Always("MICRO-BATCHES"),
        Wide("SENT"),
        Always("HEARD"),
        Wide("ADDRESS"),
        Wide("BOOT"),
        Wide("VERSION"),
        Wide("CLASS"),
        Always("NOTE"),
    ];
    let row = |node: &NodeRow| {
        [
            node.name.clone(),
            short(&node.id),
            role(node).into(),
            council(node, is_wide),
            node.device.clone(),
            or_dash(node.job_step),
            node.microbatches_computed.to_string(),
            bytes(node.exchange_bytes_sent),
            heard(node),
            or_dash(node.address.as_ref()),
            format!("{:x}", node.boot),
            or_dash(node.version.as_ref()),
            number(&node.numeric_class),
            or_dash(
                node.drain
                    .as_ref()
                    .map(drain)
                    .or_else(|| node.kept_out.as_ref().map(|reason| format!("kept out: {reason}"))),
            ),
        ]
    };
    let mut text = table_in_width(columns, is_wide, nodes.iter().map(row));
    if is_wide && !classes.is_empty() {
        text.push('\n');
        for class in &classes {
            text.push_str(&format!("{}\n", wrap(&format!("numeric class {}: {class}", number(class)), 2)));
        }
    } else if classes.len() > 1 {
        text.push_str(&format!("\n{} numeric classes: trainctl node ls -o wide\n", classes.len()));
    }
    text
}

/// `trainctl node show`.
pub(super) fn detail(detail: &NodeDetail) -> String {
    let node = &detail.row;
    let this = if detail.this_node { " (this node)" } else { "" };
    let traffic = detail.bytes_received.zip(detail.bytes_sent);
    let mut lines = vec![
        ("node", format!("{}  {}", node.name, node.id)),
        ("role", format!("{}{this}", role(node))),
        ("council", council(node, true)),
        ("process", format!("{:x}", node.boot)),
        ("version", or_dash(node.version.as_ref())),
        ("computes on", computes_on(detail)),
        ("numeric class", node.numeric_class.clone()),
        ("job step", or_dash(node.job_step)),
        (
            "work",
            format!("{} micro-batches, {} sent", node.microbatches_computed, bytes(node.exchange_bytes_sent)),
        ),
        ("heard", heard(node)),
        ("round trip", or_dash(detail.rtt_ms.map(|rtt_ms| format!("{rtt_ms} ms")))),
        (
            "traffic",
            or_dash(traffic.map(|(received, sent)| {
                format!("{} received from it, {} sent to it", bytes(received), bytes(sent))
            })),
        ),
        ("addresses", if detail.addresses.is_empty() { "-".into() } else { detail.addresses.join(", ") }),
    ];
    if let Some(state) = &node.drain {
        lines.insert(2, ("drain", drain(state)));
        state.waits_for.iter().for_each(|what| lines.insert(3, ("waits for", what.clone())));
    }
    if let Some(reason) = &node.kept_out {
        lines.push(("kept out", reason.clone()));
    }
    if let Some(error) = &detail.last_error {
        lines.push(("last error", error.clone()));
    }
    facts(&lines)
}

fn computes_on(detail: &NodeDetail) -> String {
    let plural = if detail.threads == Some(1) { "" } else { "s" };
    let threads = detail.threads.map(|threads| format!(", {threads} thread{plural}"));
    format!("{}{}", detail.row.device, threads.unwrap_or_default())
}

/// `drained calm-lark-01`, `draining calm-lark-01: new fan`, `calm-lark-01 takes work`.
pub(in super::super) fn drained(detail: &NodeDetail) -> String {
    let name = &detail.row.name;
    match &detail.row.drain {
        Some(drain) if drain.drained => format!("drained {name}: {}\n", drain.reason),
        Some(drain) => format!("draining {name}: {}\n", drain.reason),
        None => format!("{name} takes work\n"),
    }
}

fn drain(drain: &Drain) -> String {
    let word = if drain.drained { "drained" } else { "draining" };
    let until = if drain.until_restart { ", until its restart" } else { "" };
    format!("{word}: {} (asked at {}{until})", drain.reason, drain.by.name)
}

fn heard(node: &NodeRow) -> String {
    node.last_heard_ms.map_or_else(|| "-".into(), |age_ms| format!("{} ago", duration_ms(age_ms)))
}

fn role(node: &NodeRow) -> &'static str {
    match node.role {
        NodeRole::Coordinator if node.in_view => "coordinator, member",
        NodeRole::Coordinator => "coordinator",
        NodeRole::Member => "member",
        NodeRole::Joining => "joining",
        NodeRole::Spare => "spare",
        NodeRole::Idle => "idle",
        NodeRole::Down => "down",
    }
}

fn council(node: &NodeRow, with_seat: bool) -> String {
    let word = match node.council {
        CouncilRole::Voter => "voter",
        CouncilRole::Learner => "learner",
        CouncilRole::None => return "-".into(),
    };
    if with_seat { format!("{word} (seat {})", node.seat) } else { word.into() }
}

/// Names, separated by commas; `-` for none.
pub(super) fn names(nodes: &[NodeRef]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    if names.is_empty() { "-".into() } else { names.join(", ") }
}
