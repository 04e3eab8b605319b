//! Breaks long lines.

/// Widest line of prose, columns: it fits beside another window, and in a report.
pub(in super::super) const COLUMNS_MAX: usize = 100;

/// `text` with line breaks at spaces so that no line is wider than [`COLUMNS_MAX`]; all but the first are indented by
/// `indent`. A word that is wider stays whole, so that ids and addresses can be copied.
pub(in super::super) fn wrap(text: &str, indent: usize) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut columns = 0;
    for (index, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if columns + 1 + width > COLUMNS_MAX && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent) + word;
            columns = indent + width;
            continue;
        }
        if index > 0 {
            line.push(' ');
            columns += 1;
        }
        line.push_str(word);
        columns += width;
    }
    lines.push(line);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_spaces_and_short_ones_stay_as_they_are() {
        assert_eq!(wrap("  step 4: view 2", 4), "  step 4: view 2");
        assert_eq!(wrap("", 4), "");
        let text = format!("  {}", "sieben. ".repeat(30));
        let wrapped = wrap(text.trim_end(), 4);
        assert!(wrapped.lines().all(|line| line.chars().count() <= COLUMNS_MAX), "{wrapped}");
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with("    sieben.")), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().count(), 30, "no word is lost");
        let long = "x".repeat(2 * COLUMNS_MAX);
        assert_eq!(wrap(&format!("a {long} b"), 1), format!("a\n {long}\n b"));
    }
}
