//! Settings as a table.

use super::table::Column::{Always, Wide};
use super::table::table_in_width;
use crate::control::api::ConfigEntry;

/// `trainctl config show`, with or without where each value came from.
pub(in super::super) fn config(entries: &[ConfigEntry], with_origin: bool) -> String {
    table_in_width(
        [Always("KEY"), Always("VALUE"), Wide("ORIGIN")],
        with_origin,
        entries.iter().map(|entry| [entry.key.clone(), entry.value.clone(), entry.origin.clone()]),
    )
}
