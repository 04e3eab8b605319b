//! The reader of the tests refuses what it must.

use crate::exposition::{Format, read};

#[test]
fn what_is_wrong_is_refused() {
    let good = "# HELP a_bytes Help.\n# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes{x=\"1\",y=\"q\\\"\"} 2\n\
                # HELP b Help.\n# TYPE b counter\nb_total 1\n# EOF\n";
    let scrape = read(good, Format::OpenMetrics).unwrap();
    assert_eq!(scrape.value("a_bytes", &[("y", "q\""), ("x", "1")]), 2.0);
    let replaced = [
        ("# EOF\n", "", "does not end"),
        ("# TYPE b counter\n", "", "no TYPE"),
        ("# HELP b Help.\n", "", "lacks TYPE or HELP"),
        ("b_total 1", "b 1", "no TYPE"),
        ("b_total 1", "b_total 1\nb_total 1", "twice"),
        ("b_total 1", "b_total -1", "from 0 on"),
        ("b_total 1", "b_total NaN", "from 0 on"),
        ("b_total 1", "b_total one", "no number"),
        ("b_total 1", "b_total 1 1", "no number"),
        ("b_total 1", "b_total 1\na_bytes 3", "among the lines"),
        ("b_total 1", "b_total{} 1", "label"),
        ("# UNIT a_bytes bytes", "# UNIT a_bytes seconds", "unit"),
        ("x=\"1\",y", "x=\"1\",x", "twice"),
        ("q\\\"", "q\"", "brace"),
        ("q\\\"", "q\\t", "no escape"),
        ("x=\"1\"", "job=\"1\"", "no name"),
        ("# TYPE b counter", "# TYPE b histogram", "no kind"),
        ("# HELP b Help.", "# HELP b Help.\n# HELP b Help.", "said twice"),
        ("b_total 1\n", "b_total 1\n# HELP b Help.\n", "after the samples"),
        ("b_total 1\n", "b_total 1\n# HELP a_bytes Help.\n", "already"),
    ];
    for (from, to, what) in replaced {
        assert!(good.contains(from), "{from}");
        let error = read(&good.replacen(from, to, 1), Format::OpenMetrics).expect_err(to);
        assert!(error.contains(what), "{from:?} to {to:?}: {error}");
    }
    assert!(read(good, Format::Text).is_err(), "text has neither units nor an end");
}
