//! A data set that the daemon of the tests knows, and what is in its store.

use traind::control::api::{
    CheckpointRow, CheckpointVerified, CheckpointsPruned, DamagedFile, DataDetail, DataFile, DataRow,
    KeptReason, StoreCollected, StoreProgress, StoreReport, StoreVerified, StreamItem,
};

use super::data::{FINISHED, checkpoint, node};

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

pub(crate) fn pinned(is_pinned: bool) -> CheckpointRow {
    let mut row = checkpoint();
    row.kept.extend(is_pinned.then_some(KeptReason::Pinned));
    row
}

pub(crate) fn pruned(dry_run: bool) -> CheckpointsPruned {
    let old = CheckpointRow { step: 3, kept: Vec::new(), ..checkpoint() };
    let best = CheckpointRow { step: 4, kept: vec![KeptReason::Nth, KeptReason::Best], ..checkpoint() };
    let aside = CheckpointRow { step: 8, kept: vec![KeptReason::SetAside], ..checkpoint() };
    CheckpointsPruned {
        job: FINISHED.into(),
        job_name: "digits".into(),
        dry_run,
        removed: vec![old],
        kept: vec![best, pinned(true), aside],
    }
}

pub(crate) fn verified(is_whole: bool) -> CheckpointVerified {
    let damaged = DamagedFile {
        file: "/srv/traind/chunks/ab".into(),
        damage: "it is missing".into(),
        manifests: vec!["cd".into()],
    };
    CheckpointVerified {
        job: FINISHED.into(),
        job_name: "digits".into(),
        step: 5,
        digest: "d0".repeat(32),
        digest_matches: is_whole.then_some(true),
        chunks: 2,
        bytes: 493_696,
        damaged: u64::from(!is_whole),
        objects: if is_whole { Vec::new() } else { vec![damaged] },
    }
}
