use std::fs;
use std::path::Path;

use tempfile::tempdir;
use traind_store::{CHUNK_BYTES_MAX, Manifest, ManifestBody, Store};

use super::facts::SetFacts;
use super::{DataSetError, SetForm, adding, local};

fn add(store: &Store, path: &Path, form: &SetForm) -> Result<super::CutSet, DataSetError> {
    adding::add(store.chunks(), "rows", path, form)
}

/// A table of so many lines that it takes more than one chunk.
fn table(lines: usize) -> String {
    (0..lines).map(|line| format!("{}.5,{}.25,{}\n", line % 97, line % 31, line % 2)).collect()
}

#[test]
fn a_table_is_cut_between_lines_and_made_again() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let path = folder.path().join("rows.csv");
    let text = table(700_000);
    assert!(text.len() > CHUNK_BYTES_MAX);
    fs::write(&path, &text)?;
    let cut = add(&store, &path, &SetForm::default())?;
    assert_eq!((cut.facts.kind.as_str(), cut.bytes), ("csv", text.len() as u64));
    assert_eq!(cut.facts.training + cut.facts.held_out, 700_000);
    let lines: u64 = cut.facts.files[0].shards.iter().map(|shard| shard.unwrap()).sum();
    assert_eq!(lines, 700_000);
    let manifest = store.chunks().manifest(cut.manifest)?;
    for chunk in &manifest.chunks {
        assert!(store.chunks().get(chunk.id)?.ends_with(b"\n"), "cut within a line");
    }
    let root = folder.path().join("data");
    assert_eq!(local::path_of(&root, "rows", cut.manifest), None);
    let made = local::make(store.chunks(), &root, "rows", cut.manifest)?;
    assert_eq!(fs::read_to_string(&made)?, text);
    assert_eq!(made.file_name().unwrap(), "rows.csv");
    assert_eq!(local::path_of(&root, "rows", cut.manifest), Some(made));
    // The same again is the same manifest.
    assert_eq!(add(&store, &path, &SetForm::default())?.manifest, cut.manifest);
    local::forget(&root, "rows", cut.manifest)?;
    assert_eq!(local::path_of(&root, "rows", cut.manifest), None);
    Ok(())
}

#[test]
fn a_folder_keeps_its_names() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("inner"))?;
    fs::write(source.join("b.bin"), vec![7; CHUNK_BYTES_MAX + 1])?;
    fs::write(source.join("inner/a.txt"), "a")?;
    fs::write(source.join("empty"), "")?;
    let form = SetForm { kind: Some("files".to_owned()), ..SetForm::default() };
    let cut = add(&store, &source, &form)?;
    let names: Vec<&str> = cut.facts.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["b.bin", "empty", "inner/a.txt"]);
    let made = local::make(store.chunks(), &folder.path().join("data"), "rows", cut.manifest)?;
    assert_eq!(fs::read(made.join("b.bin"))?.len(), CHUNK_BYTES_MAX + 1);
    assert_eq!(fs::read_to_string(made.join("inner/a.txt"))?, "a");
    assert_eq!(fs::read(made.join("empty"))?.len(), 0);
    Ok(())
}

#[test]
fn what_no_job_could_train_on_is_refused_with_file_and_line() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let ragged = folder.path().join("ragged.csv");
    fs::write(&ragged, "1,2,0\n3,4,1\n5,6,7,1\n1,1,0\n")?;
    let error = add(&store, &ragged, &SetForm::default()).unwrap_err().to_string();
    assert!(error.contains("ragged.csv") && error.contains('3'), "{error}");
    let absent = folder.path().join("absent.csv");
    assert!(matches!(add(&store, &absent, &SetForm::default()), Err(DataSetError::File { .. })));
    let named = adding::add(store.chunks(), "../x", &ragged, &SetForm::default());
    assert!(matches!(named, Err(DataSetError::Name { .. })));
    assert!(store.chunks().manifests(None)?.is_empty(), "nothing of them is kept");
    Ok(())
}

#[test]
fn a_manifest_that_leads_out_of_the_folder_or_lies_about_lengths_is_refused() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let path = folder.path().join("x.bin");
    fs::write(&path, "content")?;
    let cut = add(&store, &path, &SetForm::default())?;
    let manifest = store.chunks().manifest(cut.manifest)?;
    let forge = |change: &dyn Fn(&mut SetFacts)| {
        let mut facts = cut.facts.clone();
        change(&mut facts);
        let body = ManifestBody::DataSet { name: "rows".to_owned(), facts: facts.to_text() };
        SetFacts::of(&Manifest { body, ..manifest.clone() })
    };
    assert!(forge(&|_| {}).is_ok());
    assert!(forge(&|facts| facts.files[0].name = "../../escape".to_owned()).is_err());
    assert!(forge(&|facts| facts.files[0].name = "/etc/passwd".to_owned()).is_err());
    assert!(forge(&|facts| facts.files[0].bytes += 1).is_err());
    assert!(forge(&|facts| facts.files[0].shards.clear()).is_err());
    assert!(forge(&|facts| facts.files.clear()).is_err());
    Ok(())
}
