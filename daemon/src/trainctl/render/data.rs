//! Data sets: a table of all, everything about one.

use super::facts;
use super::node::names;
use super::table::Column::{Always, Wide};
use super::table::table_in_width;
use super::units::bytes;
use crate::control::api::{DataDetail, DataRow, DataVerified};

/// `trainctl data ls`.
pub(super) fn sets(sets: &[DataRow], is_wide: bool) -> String {
    table_in_width(
        [
            Always("NAME"),
            Always("KIND"),
            Always("SIZE"),
            Always("TRAINING"),
            Always("HELD OUT"),
            Always("HOLDERS"),
            Wide("MANIFEST"),
        ],
        is_wide,
        sets.iter().map(|set| {
            [
                set.name.clone(),
                set.set_kind.clone(),
                bytes(set.bytes),
                count(set.training),
                count(set.held_out),
                names(&set.holders),
                set.manifest.clone(),
            ]
        }),
    )
}

/// Zero is what nobody counted.
fn count(samples: u64) -> String {
    if samples == 0 { "-".to_owned() } else { samples.to_string() }
}

/// `trainctl data show`.
pub(super) fn detail(detail: &DataDetail) -> String {
    let DataDetail { row, added_by, local, bytes_fetched, files, jobs } = detail;
    let here = match (local, bytes_fetched) {
        (false, _) => "not on this node".to_owned(),
        (true, 0) => "on this node".to_owned(),
        (true, fetched) => format!("on this node, {} fetched from others", bytes(*fetched)),
    };
    let mut lines = vec![
        ("name", format!("{}  (path = \"set:{}\" in jobs)", row.name, row.name)),
        ("kind", row.set_kind.clone()),
        ("size", bytes(row.bytes)),
        ("samples", format!("{} to train on, {} held out", count(row.training), count(row.held_out))),
        ("held by", format!("{} ({here})", names(&row.holders))),
        ("added by", added_by.name.clone()),
        ("manifest", row.manifest.clone()),
    ];
    if !jobs.is_empty() {
        lines.push(("needed by", jobs.join(", ")));
    }
    for file in files {
        let samples = file.samples.map_or_else(String::new, |samples| format!(", {samples} lines or items"));
        lines.push((
            "file",
            format!("{}: {} in {} shards{samples}", file.name, bytes(file.bytes), file.shards),
        ));
    }
    facts(&lines)
}

/// `trainctl data verify`.
pub(super) fn verified(verified: &DataVerified) -> String {
    let DataVerified { name, chunks, damaged } = verified;
    if damaged.is_empty() {
        return format!("{name} is whole on this node: {chunks} chunks read\n");
    }
    let list: String = damaged.iter().map(|chunk| format!("  {chunk}\n")).collect();
    format!(
        "{name} is damaged on this node, {} of {chunks} chunks, and is fetched again:\n{list}",
        damaged.len()
    )
}
