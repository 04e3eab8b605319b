//! Plain tables: no borders, so that they paste and grep well.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// A column of a table that has a narrow and a wide form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// In both.
    Always(&'static str),
    /// In the wide one alone.
    Wide(&'static str),
}

/// Rows under a head, columns two spaces apart, with a line end.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    plain(&head, rows.into_iter().map(Vec::from))
}

/// As [`table`], with the columns of the wide form or without.
pub(super) fn table_in_width<const N: usize>(
    columns: [Column; N],
    is_wide: bool,
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let shown = columns.map(|column| is_wide || matches!(column, Column::Always(_)));
    let pick = |row: [String; N]| -> Vec<String> {
        row.into_iter().zip(shown).filter_map(|(cell, is_shown)| is_shown.then_some(cell)).collect()
    };
    let head: Vec<&str> = columns
        .iter()
        .zip(shown)
        .filter_map(|(column, is_shown)| {
            let (Column::Always(name) | Column::Wide(name)) = column;
            is_shown.then_some(*name)
        })
        .collect();
    plain(&head, rows.into_iter().map(pick))
}

fn plain(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head);
    for row in rows {
        // A line end in a cell would look like another row.
        table.add_row(row.into_iter().map(|cell| cell.replace('\n', " ")));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
