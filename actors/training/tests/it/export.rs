//! Exported directories: what is in them, and that nothing half-written or of others is touched.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, SafeTensors};
use traind_training::{
    DataFacts, DataSet, DataSpec, ExportFacts, JobSpec, ModelConfig, ModelSnapshot, PortableError, Session,
    check_data, export_model, export_state,
};

use crate::{
    fixtures::{idx_job, job, squares},
    train,
};

/// A session after two steps, so that its momentum is not zero.
fn trained(spec: &JobSpec) -> Session {
    let mut session = Session::start(spec, "cpu").unwrap();
    train(&mut session, spec, 2);
    session
}

fn config(directory: &Path) -> ModelConfig {
    serde_json::from_slice(&fs::read(directory.join("config.json")).unwrap()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn tensors_have_the_layouts_names_shapes_and_bits() {
    let spec = job("model = \"lenet\"", "data = \"digits\"");
    let session = trained(&spec);
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("models/lenet");
    let state = session.state();
    let exported = export_state(&spec, &state, None, &place, false).unwrap();
    assert_eq!((exported.step, exported.parameters, exported.left_out), (2, 61_706, None));
    assert_eq!(names(&place), ["config.json", "model.safetensors"]);
    let bytes = fs::read(&exported.model).unwrap();
    assert_eq!(exported.bytes, bytes.len() as u64 + fs::metadata(&exported.config).unwrap().len());

    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), session.layout().places().len());
    for place in session.layout().places() {
        let tensor = tensors.tensor(&place.name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, place.shape.as_slice()), "{}", place.name);
        let expected: Vec<u8> =
            session.parameters()[place.range()].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(tensor.data() == expected, "{}", place.name);
    }
    let header = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let tensors = blake3::hash(&bytes[header..]).to_hex().to_string();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let digest = blake3::hash(&state).to_hex().to_string();
    let expected = [
        ("format", "pt"),
        ("traind_digest", digest.as_str()),
        ("traind_job", "fixture"),
        ("traind_step", "2"),
        ("traind_tensors_blake3", tensors.as_str()),
        ("traind_version", env!("CARGO_PKG_VERSION")),
    ];
    let found: BTreeMap<_, _> = metadata.metadata().clone().unwrap().into_iter().collect();
    assert!(found.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected), "{found:?}");

    let config = config(&place);
    assert_eq!(
        (config.model_type.as_str(), config.input_shape, config.classes),
        ("traind-lenet", [1, 32, 32], 10)
    );
    assert_eq!((config.hidden, config.border), (None, None));
    assert_eq!(config.normalisation, Some(DataSet::open(&DataSpec::Digits).unwrap().normalisation()));
    assert_eq!((config.traind.job.as_str(), config.traind.step), ("fixture", 2));
    assert_eq!(config.traind.digest, Some(digest));
    assert_eq!(JobSpec::parse(&config.traind.job_file).unwrap(), spec);

    // Once more over the earlier export: the same bytes.
    let again = export_state(&spec, &state, None, &place, false).unwrap();
    assert_eq!((fs::read(&again.model).unwrap(), names(&place).len()), (bytes, 2));
}

/// What stands in `config.json` suffices to make the model's input from the bytes of a file.
#[test]
fn the_config_tells_border_and_normalisation() {
    let data = squares(28);
    let spec = idx_job("model = \"lenet\"", data.path());
    let directory = tempfile::tempdir().unwrap();
    export_state(&spec, &trained(&spec).state(), None, directory.path(), false).unwrap();
    let config = config(directory.path());
    let normalisation = config.normalisation.unwrap();
    let (border, facts) = (config.border.unwrap(), DataSet::open(&spec.data).unwrap().facts());
    assert_eq!((border.width, border.value), (2, Some(facts.black)));
    let raw = fs::read(data.path().join("t10k-images-idx3-ubyte")).unwrap();
    let mut image = Vec::new();
    DataSet::open(&spec.data).unwrap().append_image(40, &mut image);
    for (byte, value) in raw[16..].iter().zip(image) {
        let expected =
            (f64::from(*byte) / normalisation.divide_by - normalisation.mean) / normalisation.deviation;
        assert_eq!(value, expected as f32);
    }
}

/// A tool that has a state and what was agreed on at submission, but not the data.
#[test]
fn without_the_data_the_normalisation_is_left_out_and_said_so() {
    let data = squares(6);
    let spec = idx_job("[model]\nkind = \"mlp\"\nhidden = [5, 4]", data.path());
    let (state, summary) = (trained(&spec).state(), check_data(&spec).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let whole =
        export_state(&spec, &state, Some(ExportFacts::from(&summary)), directory.path(), false).unwrap();
    assert_eq!(whole.left_out, None);
    let with_data = (fs::read(&whole.model).unwrap(), config(directory.path()));
    assert!(with_data.1.normalisation.is_some());

    drop(data);
    let exported =
        export_state(&spec, &state, Some(ExportFacts::from(&summary)), directory.path(), false).unwrap();
    let reason = exported.left_out.unwrap();
    assert!(
        reason.starts_with(
            "the normalisation of the data is not in config.json: cannot load the data set idx: "
        ),
        "{reason}"
    );
    assert_eq!(fs::read(&exported.model).unwrap(), with_data.0);
    let without = config(directory.path());
    assert_eq!((without.normalisation, without.hidden.as_deref()), (None, Some(&[5, 4][..])));
    assert_eq!(ModelConfig { normalisation: with_data.1.normalisation, ..without }, with_data.1);

    let error = export_state(&spec, &state, None, directory.path(), false).unwrap_err();
    assert!(matches!(error, PortableError::NoFacts(_)), "{error}");
}

#[test]
fn a_directory_of_others_is_refused_unless_forced() {
    let spec = job("model = \"mlp\"", "data = \"digits\"");
    let state = trained(&spec).state();
    let export = |directory: &Path, force| export_state(&spec, &state, None, directory, force);
    for (name, contents) in [
        ("notes.txt", "mine"),
        ("config.json", "{\"model_type\": \"bert\"}"),
        ("model.safetensors", "bert's"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(name), contents).unwrap();
        let error = export(directory.path(), false).unwrap_err();
        assert!(matches!(&error, PortableError::NotEmpty { found, .. } if found == name), "{name}: {error}");
        assert_eq!(
            (names(directory.path()), fs::read_to_string(directory.path().join(name)).unwrap()),
            (vec![name.to_owned()], contents.to_owned())
        );
        export(directory.path(), true).unwrap();
        assert_eq!(config(directory.path()).model_type, "traind-mlp");
        let others = names(directory.path()).into_iter().filter(|name| name == "notes.txt").count();
        assert_eq!(others, usize::from(name == "notes.txt"));
    }
    // What a crash in the middle of an export leaves is no reason to refuse.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".traind-export-1-0-model.safetensors"), "half").unwrap();
    export(directory.path(), false).unwrap();
}

#[test]
fn a_failed_export_leaves_nothing() {
    let spec = job("model = \"mlp\"", "data = \"digits\"");
    let state = trained(&spec).state();
    let directory = tempfile::tempdir().unwrap();
    // A directory where the description should go: it is the second file that fails.
    let blocked = directory.path().join("blocked");
    fs::create_dir_all(blocked.join("config.json/full")).unwrap();
    let error = export_state(&spec, &state, None, &blocked, true).unwrap_err();
    assert!(matches!(&error, PortableError::Io { operation: "put in place", .. }), "{error}");
    assert!(!names(&blocked).iter().any(|name| name.starts_with('.')), "{:?}", names(&blocked));

    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    for place in [file.clone(), file.join("below")] {
        let error = export_state(&spec, &state, None, &place, true).unwrap_err();
        assert!(matches!(error, PortableError::Io { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");

    let place = directory.path().join("a/b");
    let mut other = spec.clone();
    other.seed = 8;
    let error = export_state(&other, &state, None, &place, false).unwrap_err();
    assert!(matches!(error, PortableError::State(_)), "{error}");
    let facts = ExportFacts::from(&DataSet::open(&spec.data).unwrap());
    let model = ModelSnapshot { spec: &spec, facts, parameters: &[0.0; 3], step: 0, digest: None };
    let error = export_model(&model, &place, false).unwrap_err();
    assert!(matches!(error, PortableError::Length { found: 3, .. }), "{error}");
    let lenet = job("model = \"lenet\"", "data = \"digits\"");
    let facts = ExportFacts { image_shape: [3, 5, 5], ..facts };
    let error = export_model(&ModelSnapshot { spec: &lenet, facts, ..model }, &place, false).unwrap_err();
    assert!(matches!(error, PortableError::Model(_)), "{error}");
    assert!(!place.exists() && !directory.path().join("a").exists());
}

#[test]
fn facts_of_a_data_set_are_those_of_the_session() {
    let session = Session::start(&job("model = \"mlp\"", "data = \"digits\""), "cpu").unwrap();
    let DataFacts { image_shape, classes, .. } = *session.data_facts();
    let facts = ExportFacts::from(&DataSet::open(&DataSpec::Digits).unwrap());
    assert_eq!((facts.image_shape, facts.classes), (image_shape, classes));
}
