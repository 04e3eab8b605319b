//! A data set that the daemon of the tests knows.

use traind::control::api::{DataDetail, DataFile, DataRow};

use super::data::node;

pub(crate) fn data_set() -> DataRow {
    DataRow {
        name: "rows".into(),
        set_kind: "csv".into(),
        bytes: 5 << 20,
        training: 800,
        held_out: 200,
        manifest: "ab".repeat(32),
        holders: vec![node(1), node(2)],
    }
}

pub(crate) fn data_detail() -> DataDetail {
    DataDetail {
        row: data_set(),
        added_by: node(1),
        local: true,
        bytes_fetched: 5 << 20,
        files: vec![DataFile { name: "rows.csv".into(), bytes: 5 << 20, shards: 2, samples: Some(1000) }],
        jobs: vec!["endless".into()],
    }
}
