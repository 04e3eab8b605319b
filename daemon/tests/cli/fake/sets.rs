//! A data set that the daemon of the tests knows, and what is in its store.

use traind::control::api::{
    DataDetail, DataFile, DataRow, StoreCollected, StoreProgress, StoreReport, StoreVerified, StreamItem,
};

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

pub(crate) fn store_report() -> StoreReport {
    StoreReport {
        data_dir: "/srv/traind".into(),
        checkpoints: 3,
        data_sets: 1,
        incoming: 1,
        chunks: 12,
        chunk_bytes: 40 << 20,
        unnamed: 2,
        unnamed_bytes: 5 << 20,
        damaged: 1,
        available_bytes: 7 << 30,
    }
}

pub(crate) fn collected(dry_run: bool) -> StoreCollected {
    StoreCollected { dry_run, chunks: 2, bytes: 5 << 20, manifests_damaged: 0 }
}

pub(crate) fn store_lines() -> Vec<StreamItem> {
    vec![
        StreamItem::StoreProgress(StoreProgress { chunks: 6, chunks_total: 12, bytes: 20 << 20 }),
        StreamItem::StoreVerified(StoreVerified {
            chunks: 12,
            bytes: 40 << 20,
            damaged: 0,
            objects: Vec::new(),
        }),
    ]
}
