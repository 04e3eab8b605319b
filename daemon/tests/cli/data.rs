//! The verbs about data sets.

use traind::control::api::Request;

use crate::fake::Fake;
use crate::verbs::{json, table};

#[test]
fn data_sets_are_listed_shown_and_verified() {
    let fake = Fake::start();
    let listed = table(&fake, &["data", "ls"]);
    assert!(listed.contains("rows") && listed.contains("5.2 MB") && listed.contains("800"), "{listed}");
    assert_eq!(table(&fake, &["data", "ls", "-o", "name"]), "rows\n");
    let shown = table(&fake, &["data", "show", "rows"]);
    assert!(shown.contains("set:rows") && shown.contains("rows.csv") && shown.contains("endless"), "{shown}");
    assert_eq!(json(&fake, &["data", "show", "rows"], "DataDetail")["files"][0]["samples"], 1000);
    assert_eq!(json(&fake, &["data", "ls"], "DataList")["data"][0]["set_kind"], "csv");
    assert!(table(&fake, &["data", "verify", "rows"]).contains("whole"));
    let damaged = fake.trainctl(&["data", "verify", "other"]);
    assert_eq!(damaged.code, Some(1), "{damaged:?}");
    assert!(damaged.stdout.contains(&"c4".repeat(32)), "{damaged:?}");
    let absent = fake.trainctl(&["data", "show", "absent"]);
    assert_eq!(absent.code, Some(4), "{absent:?}");
    assert!(absent.stderr.contains("trainctl data ls"), "{absent:?}");
}

#[test]
fn an_added_path_is_told_absolute() {
    let fake = Fake::start();
    table(&fake, &["data", "add", "rows", "some/rows.csv", "--header", "--label", "class"]);
    let path = std::path::absolute("some/rows.csv").unwrap().display().to_string();
    let expected = Request::DataAdd {
        name: "rows".into(),
        path,
        set_kind: None,
        label: Some("class".into()),
        header: true,
        field: None,
    };
    assert!(fake.backend.asked.lock().unwrap().contains(&expected));
    assert_eq!(json(&fake, &["data", "rm", "rows"], "DataRemoved")["name"], "rows");
}
