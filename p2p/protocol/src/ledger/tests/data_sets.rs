use std::collections::BTreeSet;

use super::{ledger, refused};
use crate::ids::{ManifestId, NodeId};
use crate::ledger::testing::{job_id, node};
use crate::ledger::{DataSetRecord, LedgerCommand, set_names};

fn record(content: u8, by: NodeId) -> DataSetRecord {
    DataSetRecord {
        manifest: ManifestId([content; 32]),
        kind: "csv".to_owned(),
        bytes: 10,
        training: 4,
        held_out: 1,
        added_by: by,
        holders: BTreeSet::from([by]),
    }
}

fn add(name: &str, content: u8, by: NodeId) -> LedgerCommand {
    LedgerCommand::AddDataSet { name: name.to_owned(), record: record(content, by) }
}

#[test]
fn names_are_found_where_a_string_begins_with_them() {
    let text = "path = \"set:mnist\" # set:no\nother = 'set:a-b.c/train.csv'\nplain = \"/set:x\"\nbad = \"set:../y\"";
    assert_eq!(set_names(text).into_iter().collect::<Vec<_>>(), ["a-b.c", "mnist"]);
}

#[test]
fn a_name_has_one_content_and_holders_come_and_go() {
    let mut ledger = ledger();
    let manifest = ManifestId([1; 32]);
    ledger.apply_command(50, add("rows", 1, node(1))).unwrap();
    let hold = |node, holds| LedgerCommand::NoteDataHolder { name: "rows".to_owned(), manifest, node, holds };
    ledger.apply_command(50, hold(node(2), true)).unwrap();
    // The same again changes nothing, another content is refused.
    ledger.apply_command(50, add("rows", 1, node(1))).unwrap();
    assert_eq!(ledger.data_sets["rows"].holders, BTreeSet::from([node(1), node(2)]));
    refused(&mut ledger, add("rows", 2, node(1)));
    refused(&mut ledger, add(".rows", 2, node(1)));
    refused(&mut ledger, add("other", 2, node(9)));
    ledger.apply_command(50, hold(node(2), false)).unwrap();
    assert_eq!(ledger.data_sets["rows"].holders, BTreeSet::from([node(1)]));
    // The last one is not let go, however many want to make room.
    refused(&mut ledger, hold(node(1), false));
    ledger.apply_command(50, hold(node(3), false)).unwrap();
    let other = LedgerCommand::NoteDataHolder {
        name: "rows".to_owned(),
        manifest: ManifestId([2; 32]),
        node: node(2),
        holds: true,
    };
    refused(&mut ledger, other);
}

#[test]
fn a_data_set_stays_while_a_job_needs_it() {
    let mut ledger = ledger();
    ledger.apply_command(50, add("rows", 1, node(1))).unwrap();
    let remove = LedgerCommand::RemoveDataSet { name: "rows".to_owned() };
    let job = job_id(1);
    if let Some(record) = ledger.jobs.get_mut(&job) {
        record.spec_toml = "[data]\nkind = \"csv\"\npath = \"set:rows\"\n".to_owned();
    }
    assert_eq!(ledger.user_of("rows").map(|job| job.id), Some(job));
    refused(&mut ledger, remove.clone());
    ledger.apply_command(50, LedgerCommand::CancelJob { job, by: node(1) }).unwrap();
    ledger.apply_command(50, remove).unwrap();
    assert!(ledger.data_sets.is_empty());
}
