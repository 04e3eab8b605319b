//! `docs/observation.md` says what the code does.

use std::collections::BTreeMap;

use traind::observe::{METRICS, MetricKind, P2P_PREFIX};

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observation.md")).unwrap()
}

#[test]
fn the_table_of_figures_is_that_of_the_code() {
    let document = document();
    let mut rows: BTreeMap<String, [String; 4]> = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| `traind_")) {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [name, kind, unit, labels, help] =
            cells.try_into().unwrap_or_else(|_| panic!("five cells: {line}"));
        assert!(rows.insert(name, [kind, unit, labels, help]).is_none(), "twice: {line}");
    }
    let p2p = rows.remove(&format!("{P2P_PREFIX}NAME_total")).expect("a row for the network's counters");
    assert_eq!(p2p[0], "counter");
    for spec in METRICS {
        let row = rows.remove(&spec.sample_name());
        let row = row.unwrap_or_else(|| panic!("docs/observation.md lacks {}", spec.sample_name()));
        let kind = match spec.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Info => "info",
        };
        let said = [kind.to_owned(), spec.unit.to_owned(), spec.labels.join(", "), spec.help.to_owned()];
        assert_eq!(row, said, "{}", spec.sample_name());
    }
    assert!(rows.is_empty(), "not in the code: {:?}", rows.keys());
}

#[test]
fn every_figure_that_is_asked_for_is_there() {
    let dashboard =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/grafana/traind.json"))
            .unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().is_some_and(|panels| panels.len() > 5));
    let known: Vec<String> = METRICS.iter().map(|spec| spec.sample_name()).collect();
    for text in [document(), dashboard] {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = text.split(|letter| !is_part(letter)).filter(|word| word.starts_with("traind_"));
        for word in words {
            let is_known = known.iter().any(|name| name == word) || word.starts_with(P2P_PREFIX);
            assert!(is_known, "{word} is no figure");
        }
    }
}
