//! The verbs about checkpoints.

use traind::control::api::Request;

use crate::fake::{FINISHED, Fake, JOB};
use crate::verbs::{json, table};

#[test]
fn a_checkpoint_is_named_by_job_and_step() {
    let fake = Fake::start();
    assert!(table(&fake, &["checkpoint", "show", "digits@5"]).contains("newest"));
    assert_eq!(json(&fake, &["checkpoint", "pin", "digits@5"], "CheckpointPinned")["kept"][1], "pinned");
    assert!(table(&fake, &["checkpoint", "unpin", "digits/5"]).starts_with("digits@5 is not pinned"));
    let asked = fake.asked();
    let pinned = |pinned| Request::CheckpointPin { job: "digits".into(), step: Some(5), pinned };
    assert!(asked.contains(&pinned(true)) && asked.contains(&pinned(false)), "{asked:?}");
    let absent = fake.trainctl(&["checkpoint", "pin", "digits@6"]);
    assert_eq!(absent.code, Some(4), "{absent:?}");
    for bad in [&["checkpoint", "pin", "digits@x"][..], &["checkpoint", "rollback", "digits"]] {
        let ran = fake.trainctl(bad);
        assert!(ran.code == Some(2) && ran.stderr.contains("JOB@STEP"), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_restored_is_told_by_the_exit_code_and_named() {
    let fake = Fake::start();
    assert_eq!(
        json(&fake, &["checkpoint", "verify", "digits"], "CheckpointVerified")["digest_matches"],
        true
    );
    let damaged = fake.trainctl(&["checkpoint", "verify", "broken"]);
    assert_eq!(damaged.code, Some(1), "{damaged:?}");
    assert!(damaged.stdout.contains("/srv/traind/chunks/ab: it is missing"), "{damaged:?}");
}

#[test]
fn pruning_says_what_goes_and_why_the_rest_stays() {
    let fake = Fake::start();
    let told = table(&fake, &["checkpoint", "prune", "digits", "--dry-run"]);
    for line in ["would forget step 3", "keeps step 4: every n-th, best", "keeps step 5: newest, pinned"] {
        assert!(told.contains(line), "{told}");
    }
    let asked = Request::CheckpointPrune { job: "digits".into(), keep: None, dry_run: true };
    assert!(fake.asked().contains(&asked));
    table(&fake, &["checkpoint", "prune", "digits", "--keep", "1"]);
    let asked = Request::CheckpointPrune { job: "digits".into(), keep: Some(1), dry_run: false };
    assert!(fake.asked().contains(&asked));
    assert_eq!(fake.trainctl(&["checkpoint", "prune", "digits", "--keep", "0"]).code, Some(2));
}

#[test]
fn a_job_is_taken_back_and_a_running_one_is_not() {
    let fake = Fake::start();
    let back = json(&fake, &["checkpoint", "rollback", "digits@5"], "JobRolledBack");
    assert_eq!((back["job"].as_str(), back["step"].as_u64()), (Some(FINISHED), Some(5)));
    let running = fake.trainctl(&["checkpoint", "rollback", "endless@5"]);
    assert!(running.code == Some(1) && running.stderr.contains("not paused"), "{running:?}");
}

#[test]
fn an_import_is_told_absolute_and_a_job_starts_from_it_by_name() {
    let fake = Fake::start();
    table(&fake, &["checkpoint", "import", "some/model", "--name", "first"]);
    table(&fake, &["checkpoint", "import", "a.manifest", "--chunks", "old/chunks"]);
    let path = |path: &str| std::path::absolute(path).unwrap().display().to_string();
    let model =
        Request::CheckpointImport { path: path("some/model"), chunks: None, name: Some("first".into()) };
    let manifest =
        Request::CheckpointImport { path: path("a.manifest"), chunks: Some(path("old/chunks")), name: None };
    assert_eq!(fake.asked(), [model, manifest]);
    let file = fake.file("job.toml", JOB);
    table(&fake, &["job", "submit", &file, "--from", "set:first", "--dry-run"]);
    let submitted = Request::JobSubmit {
        spec_toml: JOB.into(),
        from: None,
        from_imported: Some("first".into()),
        dry_run: true,
    };
    assert!(fake.asked().contains(&submitted));
}
