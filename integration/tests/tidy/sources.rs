//! The Rust files of the repository.

use std::path::{Path, PathBuf};

/// A source file with its path relative to the repository.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the integration crate lies in the repository")
        .to_owned()
}

/// All `.rs` files below the crates' folders, sorted.
pub(crate) fn all() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    for folder in ["daemon", "actors", "p2p", "integration"] {
        collect(&root, &root.join(folder), &mut sources);
    }
    sources.sort_by(|one, two| one.path.cmp(&two.path));
    assert!(
        sources.len() > 50,
        "only {} sources found: is the repository where it should be?",
        sources.len()
    );
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository can be read") {
        let path = entry.expect("a folder of the repository can be read").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(root, &path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source is text");
            let path = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            sources.push(Source { path, text });
        }
    }
}
