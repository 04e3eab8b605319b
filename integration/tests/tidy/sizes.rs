//! Files and functions that fit in the head.

use crate::sources::all;

/// Longest file, lines.
const FILE_LINES_MAX: usize = 500;

/// Longest function, lines from its `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn files_have_at_most_500_lines() {
    let long: Vec<String> = all()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _path)| *lines > FILE_LINES_MAX)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "longer than {FILE_LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn functions_have_at_most_70_lines() {
    let long: Vec<String> =
        all().iter().flat_map(|source| long_functions(&source.path, &source.text)).collect();
    assert!(long.is_empty(), "longer than {FUNCTION_LINES_MAX} lines:\n{}", long.join("\n"));
}

/// The sources are formatted, so a function ends at the first line that is a closing brace at its own indentation.
fn long_functions(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        if !starts_function(trimmed) {
            continue;
        }
        let indentation = line.len() - trimmed.len();
        let closing = format!("{}}}", " ".repeat(indentation));
        let end = lines[start..].iter().position(|line| {
            *line == closing
                || line.trim_end().ends_with(';') && { line.len() - line.trim_start().len() == indentation }
        });
        let length = end.map_or(1, |offset| offset + 1);
        if length > FUNCTION_LINES_MAX {
            long.push(format!("{path}:{}: {length} lines: {}", start + 1, trimmed.trim_end()));
        }
    }
    long
}

fn starts_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern", "\"C\""].contains(word)
    });
    words.next() == Some("fn")
}

#[test]
fn the_measure_of_functions_measures() {
    let body = "        step();\n".repeat(FUNCTION_LINES_MAX);
    let text =
        format!("impl Thing {{\n    pub(crate) fn long(&self) {{\n{body}    }}\n}}\nfn short() {{\n}}\n");
    assert_eq!(long_functions("x.rs", &text).len(), 1);
}
