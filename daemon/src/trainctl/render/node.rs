//! Nodes as a table.

use std::collections::BTreeSet;

use super::table::table;
use super::units::{bytes, duration_ms, or_dash, short};
use super::wrap::wrap;
use crate::control::api::{CouncilRole, NodeRef, NodeRole, NodeRow};

/// `trainctl node ls`. Numeric classes are long and mostly the same: the table numbers them, lines below spell them out.
pub(super) fn nodes(nodes: &[NodeRow]) -> String {
    let classes: BTreeSet<&str> = nodes.iter().map(|node| node.numeric_class.as_str()).collect();
    let number = |class: &str| classes.range(..=class).count().to_string();
    let mut text = table(
        [
            "NAME",
            "ID",
            "ROLE",
            "COUNCIL",
            "DEVICE",
            "STEP",
            "MICRO-BATCHES",
            "SENT",
            "HEARD",
            "ADDRESS",
            "CLASS",
        ],
        nodes.iter().map(|node| {
            [
                node.name.clone(),
                short(&node.id),
                role(node).into(),
                council(node),
                node.device.clone(),
                or_dash(node.job_step),
                node.microbatches_computed.to_string(),
                bytes(node.exchange_bytes_sent),
                node.last_heard_ms
                    .map_or_else(|| "-".into(), |age_ms| format!("{} ago", duration_ms(age_ms))),
                or_dash(node.address.as_ref()),
                number(&node.numeric_class),
            ]
        }),
    );
    if !classes.is_empty() {
        text.push('\n');
    }
    for class in &classes {
        text.push_str(&format!("{}\n", wrap(&format!("numeric class {}: {class}", number(class)), 2)));
    }
    text
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

fn council(node: &NodeRow) -> String {
    match node.council {
        CouncilRole::Voter => format!("voter (seat {})", node.seat),
        CouncilRole::Learner => format!("learner (seat {})", node.seat),
        CouncilRole::None => "-".into(),
    }
}

/// Names, separated by commas; `-` for none.
pub(super) fn names(nodes: &[NodeRef]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    if names.is_empty() { "-".into() } else { names.join(", ") }
}
