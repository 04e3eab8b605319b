use std::fs;
use std::path::Path;

use tempfile::tempdir;
use traind_store::{CHUNK_BYTES_MAX, Manifest, ManifestBody, Store};
use traind_training::{JobSpec, check_data};

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

/// A picture of one channel whose pixels tell where it is.
fn pgm(width: usize, height: usize, tone: usize) -> Vec<u8> {
    let pixels = (0..width * height).map(|pixel| ((pixel * 7 + tone * 31) % 256) as u8);
    let head = format!("P5\n# made by a test\n{width} {height}\n255\n").into_bytes();
    head.into_iter().chain(pixels).collect()
}

fn png(path: &Path, (width, height): (u32, u32), color: png::ColorType, pixels: &[u8]) -> anyhow::Result<()> {
    let mut encoder = png::Encoder::new(fs::File::create(path)?, width, height);
    encoder.set_color(color);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(())
}

/// Two classes of ten pictures each.
fn pictures(folder: &Path) -> anyhow::Result<()> {
    for class in ["cats", "dogs"] {
        fs::create_dir_all(folder.join(class))?;
        for number in 0..10 {
            let tone = number + 40 * usize::from(class == "dogs");
            fs::write(folder.join(class).join(format!("{number}.pgm")), pgm(6, 4, tone))?;
        }
    }
    Ok(())
}

#[test]
fn a_folder_of_pictures_becomes_what_a_job_trains_on() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let source = folder.path().join("animals");
    pictures(&source)?;
    let gray = (0..24).map(|pixel| pixel * 10).collect::<Vec<u8>>();
    png(&source.join("cats/9.png"), (6, 4), png::ColorType::Grayscale, &gray)?;
    fs::remove_file(source.join("cats/9.pgm"))?;
    let cut = add(&store, &source, &SetForm::default())?;
    assert_eq!((cut.facts.kind.as_str(), cut.facts.training, cut.facts.held_out), ("idx", 16, 4));
    let made = local::make(store.chunks(), &folder.path().join("data"), "rows", cut.manifest)?;
    assert_eq!(fs::read_to_string(made.join("classes.txt"))?, "cats\ndogs\n");
    let images = fs::read(made.join("t10k-images-idx3-ubyte"))?;
    assert_eq!(images[..16], [0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 6]);
    // The fifth and the tenth of each class are held out; the tenth cat is the PNG.
    assert_eq!(images[16 + 24..16 + 48], gray);
    assert_eq!(fs::read(made.join("t10k-labels-idx1-ubyte"))?[8..], [0, 0, 1, 1]);
    let job = format!(
        "name = \"a\"\nsteps = 1\nmodel = \"mlp\"\ndata = {{ kind = \"idx\", path = {:?} }}",
        made.display().to_string()
    );
    let summary = check_data(&JobSpec::parse(&job)?)?;
    assert_eq!((summary.shape, summary.classes), ([1, 4, 6], 2));
    // Nothing of the conversion stays behind.
    let left = fs::read_dir(folder.path().join("node"))?.filter_map(Result::ok);
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with("images-")));
    Ok(())
}

#[test]
fn pictures_of_mixed_shapes_and_what_is_none_are_refused_by_name() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let source = folder.path().join("animals");
    pictures(&source)?;
    let odd = source.join("dogs/3.pgm");
    let whole = fs::read(&odd)?;
    let form = SetForm { kind: Some("images".to_owned()), ..SetForm::default() };
    let refuse = |why: &str| -> anyhow::Result<()> {
        let error = add(&store, &source, &form).unwrap_err().to_string();
        assert!(error.contains("3.p") && error.contains(why), "{why}: {error}");
        Ok(())
    };
    fs::write(&odd, pgm(5, 4, 0))?;
    refuse("it is 5x4 with 1 channels")?;
    fs::write(&odd, &whole[..whole.len() - 1])?;
    refuse("23 bytes of pixels, its head says 24")?;
    fs::write(&odd, b"P2\n6 4\n255\n")?;
    refuse("no binary PGM")?;
    fs::write(&odd, &whole)?;
    let colour = source.join("dogs/3.png");
    png(&colour, (6, 4), png::ColorType::Rgb, &[9; 72])?;
    refuse("with 3 channels")?;
    fs::write(&colour, b"\x89PNG no more")?;
    refuse("")?;
    fs::remove_file(&colour)?;
    fs::write(source.join("dogs/3.txt"), "a dog")?;
    let error = add(&store, &source, &form).unwrap_err().to_string();
    assert!(error.contains("3.txt"), "{error}");
    assert!(store.chunks().manifests(None)?.is_empty(), "nothing of them is kept");
    Ok(())
}

#[test]
fn idx_files_of_mixed_shapes_are_refused_by_name() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let source = folder.path().join("idx");
    fs::create_dir(&source)?;
    let images = |count: u8, height: u8, width: u8| -> Vec<u8> {
        let head = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, height, 0, 0, 0, width];
        let pixels =
            (0..u32::from(count) * u32::from(height) * u32::from(width)).map(|pixel| (pixel % 251) as u8);
        head.into_iter().chain(pixels).collect()
    };
    for (stem, height) in [("train", 4), ("t10k", 5)] {
        fs::write(source.join(format!("{stem}-images-idx3-ubyte")), images(2, height, 3))?;
        fs::write(source.join(format!("{stem}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 2, 0, 1])?;
    }
    let error = add(&store, &source, &SetForm::default()).unwrap_err().to_string();
    assert!(error.contains("t10k-images-idx3-ubyte"), "{error}");
    Ok(())
}

#[test]
fn lines_and_texts_are_counted_and_a_bad_line_is_named() -> anyhow::Result<()> {
    let folder = tempdir()?;
    let store = Store::open(&folder.path().join("node"))?;
    let lines = folder.path().join("lines.jsonl");
    fs::write(&lines, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n")?;
    let cut = add(&store, &lines, &SetForm::default())?;
    assert_eq!((cut.facts.kind.as_str(), cut.facts.training), ("jsonl", 2));
    assert_eq!(cut.facts.files[0].shards, [Some(2)]);
    fs::write(&lines, "{\"text\": \"one\"}\n{\"body\": \"two\"}\n")?;
    let error = add(&store, &lines, &SetForm::default()).unwrap_err().to_string();
    assert!(error.contains("lines.jsonl") && error.contains("line 2") && error.contains("body"), "{error}");
    let form = SetForm { field: Some("body".to_owned()), ..SetForm::default() };
    let error = add(&store, &lines, &form).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
    let text = folder.path().join("novel.txt");
    fs::write(&text, "Once upon a time\n")?;
    assert_eq!(add(&store, &text, &SetForm::default())?.facts.kind, "text");
    fs::write(&text, [b"fine\n".as_slice(), &[0xff, 0xfe]].concat())?;
    let error = add(&store, &text, &SetForm::default()).unwrap_err().to_string();
    assert!(error.contains("novel.txt") && error.contains("line 2"), "{error}");
    Ok(())
}
