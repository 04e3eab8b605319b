//! Versions as lines.

use super::table::table;
use super::{facts, units::or_dash};
use crate::control::api::VersionInfo;

/// `trainctl version`, with a line per node if asked.
pub(in super::super) fn version(client: &str, daemon: Option<&VersionInfo>, with_nodes: bool) -> String {
    let Some(info) = daemon else {
        return facts(&[("trainctl", client.into()), ("traind", "none answers".into())]);
    };
    let features = if info.features.is_empty() { "none".into() } else { info.features.join(", ") };
    let mut text = facts(&[
        ("trainctl", client.into()),
        ("traind", format!("{} on {}", info.version, info.node.name)),
        ("protocol", info.protocol.clone()),
        ("features", features),
    ]);
    if with_nodes {
        text.push('\n');
        text.push_str(&table(
            ["NODE", "VERSION", "STATE"],
            info.nodes.iter().map(|node| {
                let state = if node.live { "live" } else { "down" };
                [node.node.name.clone(), or_dash(node.version.as_ref()), state.into()]
            }),
        ));
    }
    text
}
