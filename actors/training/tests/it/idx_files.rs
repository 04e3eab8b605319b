//! IDX directories: what is read, and what is refused with which words.

use std::{fs, path::Path};

use traind_training::{DataError, DataSet, DataSpec, Session, TrainingError, check_data};

use crate::fixtures::{
    TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, chain, directory, gzip, idx, idx_job, idx_spec,
    refused, samples, squares, tiny, tiny_with,
};

#[test]
fn a_directory_is_read_and_normalised_over_its_training_pixels() {
    let directory = directory(&tiny());
    let data = DataSet::open(&idx_spec(directory.path())).unwrap();
    assert_eq!((data.image_shape(), data.classes()), ([1, 2, 3], 3));
    assert_eq!((data.training(), data.held_out()), (vec![0, 1, 2, 3], vec![4, 5]));
    // 0, 10, …, 230 have mean 115 and variance 100·(24² - 1)/12.
    let deviation = f64::sqrt(100.0 * 575.0 / 12.0);
    let expected = |byte: f64| ((byte - 115.0) / deviation) as f32;
    let samples = samples(&data);
    let labels: Vec<u32> = samples.iter().map(|(_, label)| *label).collect();
    assert_eq!(labels, [2, 0, 1, 0, 2, 1]);
    for (index, value) in samples.iter().flat_map(|(image, _)| image).enumerate() {
        let byte = if index < 24 { index as f64 * 10.0 } else { 5.0 };
        assert!((value - expected(byte)).abs() < 1e-6, "value {index} is {value}");
    }
    assert!((data.facts().black - expected(0.0)).abs() < 1e-6);
    let summary = data.summary();
    assert_eq!((summary.training, summary.held_out, summary.shape, summary.classes), (4, 2, [1, 2, 3], 3));
    assert_eq!((summary.bytes, summary.digest), (36 + 6, data.digest()));
}

/// Names with dots, compression and a place of its own change nothing; one value, label or split does.
#[test]
fn the_digest_is_that_of_the_contents() {
    let digest = |files: &[(&str, Vec<u8>)]| {
        let directory = directory(files);
        let spec = idx_job("model = \"mlp\"", directory.path());
        check_data(&spec).unwrap().digest
    };
    let plain = digest(&tiny());
    let dotted: Vec<(String, Vec<u8>)> = tiny()
        .into_iter()
        .map(|(name, contents)| (format!("{}.gz", name.replace("-idx", ".idx")), gzip(&contents)))
        .collect();
    let dotted: Vec<(&str, Vec<u8>)> =
        dotted.iter().map(|(name, contents)| (name.as_str(), contents.clone())).collect();
    assert_eq!(digest(&dotted), plain);
    for file in 0..4 {
        let mut files = tiny();
        *files[file].1.last_mut().unwrap() ^= 1;
        assert_ne!(digest(&files), plain, "the last value of {}", files[file].0);
    }
    // The same images and labels, cut elsewhere between training and test.
    let (images, labels) = (|count: u32| idx(&[count, 1, 2], &[1, 2].repeat(count as usize)), [0, 1, 0, 1]);
    let cut = |at: u32| {
        let (training, test) = labels.split_at(at as usize);
        digest(&[
            (TRAIN_IMAGES, images(at)),
            (TRAIN_LABELS, idx(&[at], training)),
            (TEST_IMAGES, images(4 - at)),
            (TEST_LABELS, idx(&[4 - at], test)),
        ])
    };
    assert_ne!(cut(2), cut(3));
}

#[test]
fn channels_come_from_a_fourth_dimension() {
    let directory = directory(&[
        ("train-images-idx4-ubyte", idx(&[2, 3, 1, 2], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])),
        (TRAIN_LABELS, idx(&[2], &[0, 1])),
        ("t10k-images.idx4-ubyte.gz", gzip(&idx(&[1, 3, 1, 2], &[0; 6]))),
        (TEST_LABELS, idx(&[1], &[0])),
    ]);
    let data = DataSet::open(&idx_spec(directory.path())).unwrap();
    assert_eq!(data.image_shape(), [3, 1, 2]);
    let mut image = Vec::new();
    data.append_image(1, &mut image);
    assert!(image.is_sorted() && image.len() == 6);
}

#[test]
fn a_missing_file_names_all_that_were_looked_for() {
    let mut files = tiny();
    files.remove(3);
    let directory = directory(&files);
    let error = refused(&idx_spec(directory.path()));
    let names = "t10k-labels-idx1-ubyte, t10k-labels-idx1-ubyte.gz, t10k-labels.idx1-ubyte, t10k-labels.idx1-ubyte.gz";
    let expected = format!(
        "{} holds none of {names}: No such file or directory (os error 2)",
        directory.path().display()
    );
    assert_eq!(chain(&error), expected);
    let nowhere = idx_spec(Path::new("/usr/share/datasets/fashion-mnist/not-here"));
    assert!(
        refused(&nowhere)
            .to_string()
            .ends_with("; on Debian and Ubuntu `apt-get install dataset-fashion-mnist` puts them there")
    );
    assert!(!refused(&idx_spec(Path::new("/not-here"))).to_string().contains("apt-get"));
}

#[test]
fn what_is_no_idx_file_is_refused() {
    for (name, contents) in [
        (TRAIN_IMAGES, b"PNG not IDX".to_vec()),
        (TRAIN_IMAGES, Vec::new()),
        // Signed bytes; labels where images should be; a header that ends early.
        (TRAIN_IMAGES, [&[0, 0, 9, 3], &idx(&[4, 2, 3], &[0; 24])[4..]].concat()),
        (TRAIN_IMAGES, idx(&[4], &[0; 4])),
        (TRAIN_LABELS, idx(&[2, 2], &[0; 4])),
        (TEST_IMAGES, idx(&[2, 2, 3], &[])[..14].to_vec()),
    ] {
        let directory = tiny_with(name, contents.clone());
        let error = refused(&idx_spec(directory.path()));
        assert!(
            matches!(&error, DataError::NotIdx { path, .. } if path.ends_with(name)),
            "{contents:?}: {error}"
        );
    }
    let directory = tiny_with(TRAIN_LABELS, b"\x00\x01\x08\x01".to_vec());
    let path = directory.path().join(TRAIN_LABELS);
    assert_eq!(
        refused(&idx_spec(directory.path())).to_string(),
        format!(
            "{} begins with the bytes [00, 01, 08, 01]: not an IDX file of unsigned bytes with 1 dimension (labels)",
            path.display()
        )
    );
}

#[test]
fn lengths_that_lie_are_refused() {
    for (values, held) in [(23, "23"), (25, "more"), (0, "0")] {
        let directory = tiny_with(TRAIN_IMAGES, idx(&[4, 2, 3], &vec![1; values]));
        let error = refused(&idx_spec(directory.path()));
        let path = directory.path().join(TRAIN_IMAGES);
        let expected =
            format!("{} declares 24 values ([4, 2, 3]) and holds {held}: fetch it again", path.display());
        assert_eq!(error.to_string(), expected);
    }
    // 2^96 bytes by 16: nothing is allocated for them.
    let directory = tiny_with(TRAIN_IMAGES, idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 16]));
    let error = refused(&idx_spec(directory.path()));
    assert!(matches!(error, DataError::TooLarge { bytes_max: 0x4000_0000, .. }), "{error}");
}

#[test]
fn images_and_labels_must_belong_together() {
    let directory = tiny_with(TRAIN_LABELS, idx(&[5], &[0, 1, 2, 0, 1]));
    let (images, labels) = (directory.path().join(TRAIN_IMAGES), directory.path().join(TRAIN_LABELS));
    assert_eq!(
        refused(&idx_spec(directory.path())).to_string(),
        format!(
            "{} holds 4 images and {} 5 labels: they are not of one set",
            images.display(),
            labels.display()
        )
    );
    let directory = tiny_with(TEST_IMAGES, idx(&[2, 3, 2], &[0; 12]));
    let error = refused(&idx_spec(directory.path()));
    assert!(matches!(error, DataError::Shapes { training: [1, 2, 3], held_out: [1, 3, 2], .. }), "{error}");
    let directory = tiny_with(TEST_LABELS, idx(&[2], &[0, 3]));
    let path = directory.path().join(TEST_LABELS);
    assert_eq!(
        refused(&idx_spec(directory.path())).to_string(),
        format!("{}, label 1 (from 0): label 3, but the training samples' labels are 0 to 2", path.display())
    );
}

#[test]
fn sets_with_nothing_to_learn_are_refused() {
    let empty = tiny_with(TRAIN_IMAGES, idx(&[0, 2, 3], &[]));
    let error = refused(&idx_spec(empty.path()));
    assert!(matches!(error, DataError::Empty { .. }), "{error}");
    let flat = tiny_with(TEST_IMAGES, idx(&[4_000_000_000, 0, 3], &[]));
    let error = refused(&idx_spec(flat.path()));
    assert!(matches!(error, DataError::Empty { .. }), "{error}");
    let white = tiny_with(TRAIN_IMAGES, idx(&[4, 2, 3], &[255; 24]));
    let error = refused(&idx_spec(white.path()));
    assert!(matches!(error, DataError::Constant { value: 255, .. }), "{error}");
    let one_class = tiny_with(TRAIN_LABELS, idx(&[4], &[0; 4]));
    let error = refused(&idx_spec(one_class.path()));
    assert!(matches!(error, DataError::OneClass { .. }), "{error}");
}

#[test]
fn damaged_compression_is_told_from_a_file_that_cannot_be_read() {
    let good = gzip(&idx(&[4, 2, 3], &[3; 24]));
    let mut flipped = good.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    for contents in [good[..good.len() - 3].to_vec(), flipped, b"no gzip".to_vec(), Vec::new()] {
        let directory = tiny_with("train-images-idx3-ubyte.gz", contents);
        let error = refused(&idx_spec(directory.path()));
        assert!(
            matches!(&error, DataError::Gzip { path, .. } if path.starts_with(directory.path())),
            "{error}"
        );
    }
    let directory = directory(&tiny());
    fs::remove_file(directory.path().join(TEST_LABELS)).unwrap();
    fs::create_dir(directory.path().join(TEST_LABELS)).unwrap();
    let error = refused(&idx_spec(directory.path()));
    assert_eq!(
        error.to_string(),
        format!("{} is no regular file", directory.path().join(TEST_LABELS).display())
    );
}

/// Open sets are shared; a file that changed is read again.
#[test]
fn a_changed_file_is_read_again() {
    let directory = directory(&tiny());
    let spec = idx_spec(directory.path());
    let before = DataSet::open(&spec).unwrap();
    assert!(before.shares_memory_with(&DataSet::open(&spec).unwrap()));
    fs::write(directory.path().join(TEST_LABELS), gzip(&idx(&[2], &[0, 0]))).unwrap();
    let error = refused(&spec);
    assert!(matches!(error, DataError::NotIdx { .. }), "{error}");
    fs::remove_file(directory.path().join(TEST_LABELS)).unwrap();
    fs::write(directory.path().join(format!("{TEST_LABELS}.gz")), gzip(&idx(&[2], &[0, 0]))).unwrap();
    let after = DataSet::open(&spec).unwrap();
    assert!(!before.shares_memory_with(&after));
    assert_eq!((before.label(5), after.label(5)), (1, 0));
    assert_ne!(before.digest(), after.digest());
}

#[test]
fn a_session_trains_on_images_of_28_and_32_pixels() {
    for side in [28, 32] {
        let directory = squares(side);
        let spec = idx_job("model = \"lenet\"", directory.path());
        let mut session = Session::start(&spec, "cpu").unwrap();
        assert_eq!(session.epoch_samples(), 40);
        let loss = crate::train(&mut session, &spec, 3);
        assert!(loss.is_finite());
        assert_eq!(session.evaluate().unwrap().total, 20);
    }
}

#[test]
fn a_session_says_which_data_set_it_cannot_load() {
    let spec = idx_job("model = \"mlp\"", Path::new("/not-here"));
    for error in [Session::start(&spec, "cpu").err().unwrap(), check_data(&spec).err().unwrap()] {
        assert!(matches!(&error, TrainingError::DataSet { name: "idx", .. }), "{error}");
        assert!(
            chain(&error).starts_with("cannot load the data set idx: /not-here holds none of train-images")
        );
    }
    let digits = check_data(&crate::job(1)).unwrap();
    assert_eq!(
        (digits.training, digits.held_out, digits.shape, digits.classes),
        (1_438, 359, [1, 32, 32], 10)
    );
    assert_ne!(digits.digest, [0; 32]);
    assert_eq!(DataSet::open(&DataSpec::Digits).unwrap().summary(), digits);
}

/// A model that cannot take the data is refused with the data, before the job starts.
#[test]
fn a_model_that_does_not_take_the_images_is_refused_by_the_check() {
    let directory = directory(&tiny());
    let error = check_data(&idx_job("model = \"lenet\"", directory.path())).err().unwrap();
    assert!(matches!(&error, TrainingError::ModelAndData { data, .. } if data.contains("1×2×3")), "{error}");
}
