//! What a job waits for, for people.

use super::job::status_word;
use super::units::duration_ms;
use super::{facts, wrap};
use crate::control::api::{JobWhy, MissingNode, WaitRow};

/// `trainctl why`.
pub(super) fn why(why: &JobWhy) -> String {
    let mut lines = vec![
        ("job", format!("{}  {}", why.name, why.id)),
        ("status", status_word(why.status).to_owned()),
        ("step", format!("{}/{}", why.step, why.steps)),
    ];
    lines.push(("coordinator", why.coordinator.as_ref().map_or("none".to_owned(), |node| node.name.clone())));
    if let Some(council) = &why.council {
        let present: Vec<&str> = council.present.iter().map(|node| node.name.as_str()).collect();
        let here = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
        let votes = format!(
            "{} of {} voters must agree, here: {here}; {}",
            council.needed, council.voters, council.ends
        );
        lines.push(("council", votes));
    }
    let mut text = facts(&lines);
    let told =
        why.told_ms.map_or(String::new(), |ms| format!(", as the coordinator said {} ago", duration_ms(ms)));
    section(&mut text, &format!("waits for{told}"), why.waits.iter().map(sentence));
    section(&mut text, "here", why.here.iter().map(sentence));
    section(&mut text, "not connected", why.missing.iter().map(missing));
    text
}

fn section(text: &mut String, head: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() > 0 {
        text.push_str(&format!("\n{head}\n"));
        lines.for_each(|line| text.push_str(&format!("{}\n", wrap(&format!("  {line}"), 4))));
    }
}

fn sentence(row: &WaitRow) -> String {
    let since = row.since_ms.map_or(String::new(), |ms| format!(", for {}", duration_ms(ms)));
    let end = match (row.ends_in_ms, &row.then) {
        (Some(ms), Some(then)) => format!("; in {} at most: {then}", duration_ms(ms)),
        (Some(ms), None) => format!("; {} at most", duration_ms(ms)),
        (None, Some(then)) => format!("; ends when {then}"),
        (None, None) => String::new(),
    };
    format!("{}{since}{end}", row.what)
}

fn missing(row: &MissingNode) -> String {
    let votes = if row.votes { ", votes in the council" } else { "" };
    let since = match row.since_ms {
        Some(ms) => format!("gone for {}", duration_ms(ms)),
        None => "not seen since this daemon started".to_owned(),
    };
    let reason = row.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
    format!("{}: {since}{reason}{votes}", row.node.name)
}
