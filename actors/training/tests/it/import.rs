//! Imported models: what comes in as it went out, and what is refused with which words.

use std::{fs, path::Path};

use half::{bf16, f16};
use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;
use traind_training::{
    JobSpec, PortableError, Session, TrainingError, export_state, import_parameters, initial_state,
};

use crate::{fixtures::job, train};

/// A perceptron on the digits: fc1 [3, 1024] and [3], fc2 [10, 3] and [10].
fn small(seed: u64) -> JobSpec {
    let mut spec = job("[model]\nkind = \"mlp\"\nhidden = [3]", "[data]\nkind = \"digits\"");
    spec.seed = seed;
    spec
}

struct Tensor {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

/// The tensors of [`small`], each value encoded by `encode`.
fn tensors(dtype: Dtype, encode: impl Fn(f32) -> Vec<u8>) -> Vec<Tensor> {
    let tensor = |name, shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|index: usize| (index % 97) as f32 / 8.0 - 1.0);
        Tensor { name, dtype, shape: shape.to_vec(), data: values.flat_map(&encode).collect() }
    };
    vec![
        tensor("fc1.bias", &[3]),
        tensor("fc1.weight", &[3, 1024]),
        tensor("fc2.bias", &[10]),
        tensor("fc2.weight", &[10, 3]),
    ]
}

fn floats() -> Vec<Tensor> {
    tensors(Dtype::F32, |value| value.to_le_bytes().to_vec())
}

fn file(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|tensor| {
        (tensor.name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// A file with this header and so many bytes of tensors.
fn raw(header: &str, data_bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data_bytes]].concat()
}

fn written(name: &str, bytes: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), bytes).unwrap();
    directory
}

fn import(path: &Path) -> Result<Vec<f32>, PortableError> {
    let session = Session::start(&small(1), "cpu").unwrap();
    import_parameters(session.layout(), path)
}

/// What is said of a file, less its name.
fn refusal(bytes: &[u8]) -> String {
    let directory = written("model.safetensors", bytes);
    let path = directory.path().join("model.safetensors");
    let error = import(directory.path()).unwrap_err();
    error.to_string().replace(&path.display().to_string(), "FILE")
}

#[test]
fn a_model_comes_back_with_the_bits_it_left_with() {
    for model in ["model = \"lenet\"", "model = \"mlp\""] {
        for optimiser in ["sgd", "adamw"] {
            let mut spec = job(model, &format!("data = \"digits\"\n[optimiser]\nkind = \"{optimiser}\""));
            let mut session = Session::start(&spec, "cpu").unwrap();
            train(&mut session, &spec, 2);
            let directory = tempfile::tempdir().unwrap();
            export_state(&spec, &session.state(), None, directory.path(), false).unwrap();

            // A job with another seed, which decides nothing but the order of samples then.
            spec.seed = 99;
            let state = initial_state(&spec, directory.path()).unwrap();
            let mut begun = Session::start(&spec, "cpu").unwrap();
            assert_eq!(state.len(), begun.state().len());
            begun.restore(&state).unwrap();
            assert_eq!(begun.step(), 0);
            assert!(
                begun.parameters().iter().zip(session.parameters()).all(|(a, b)| a.to_bits() == b.to_bits())
            );
            assert!(begun.state() == state);
            train(&mut begun, &spec, 1);
            assert_eq!(begun.step(), 1);
            let held_out = [4, 9];
            assert_ne!(begun.infer(&held_out).unwrap(), session.infer(&held_out).unwrap());
        }
    }
}

#[test]
fn values_of_16_and_64_bits_become_32_bit_floats() {
    let expected = {
        let directory = written("model.safetensors", &file(&floats()));
        import(&directory.path().join("model.safetensors")).unwrap()
    };
    assert_eq!(expected[..4], [-1.0, -0.875, -0.75, -1.0]);
    let halves = tensors(Dtype::F16, |value| f16::from_f32(value).to_le_bytes().to_vec());
    let doubles = tensors(Dtype::F64, |value| f64::from(value).to_le_bytes().to_vec());
    for tensors in [&halves, &doubles] {
        let directory = written("any.safetensors", &file(tensors));
        assert!(
            import(&directory.path().join("any.safetensors")).unwrap() == expected,
            "{:?}",
            tensors[0].dtype
        );
    }
    let brains = tensors(Dtype::BF16, |value| bf16::from_f32(value).to_le_bytes().to_vec());
    let directory = written("model.safetensors", &file(&brains));
    let found = import(directory.path()).unwrap();
    assert!(
        found.iter().zip(&expected).all(|(found, expected)| *found == bf16::from_f32(*expected).to_f32())
    );
}

#[test]
fn tensors_that_do_not_fit_are_named_with_both_shapes() {
    let altered = |alter: &dyn Fn(&mut Vec<Tensor>)| {
        let mut tensors = floats();
        alter(&mut tensors);
        refusal(&file(&tensors))
    };
    let missing = altered(&|tensors| drop(tensors.remove(2)));
    assert_eq!(missing, "FILE, tensor fc2.bias: missing, the model needs shape [10]");
    let extra = altered(&|tensors| {
        tensors.push(Tensor { name: "fc3.bias", dtype: Dtype::F32, shape: vec![2], data: vec![0; 8] });
    });
    assert_eq!(extra, "FILE, tensor fc3.bias: shape [2] in the file, but the model has no such parameter");
    let transposed = altered(&|tensors| {
        tensors[1].shape = vec![1024, 3];
        tensors[3].shape = vec![3, 10];
    });
    assert_eq!(
        transposed,
        "FILE, tensor fc1.weight: shape [1024, 3] in the file, shape [3, 1024] in the model"
    );
    let renamed = altered(&|tensors| tensors[0].name = "head.bias");
    assert_eq!(renamed, "FILE, tensor fc1.bias: missing, the model needs shape [3]");
    let integers = altered(&|tensors| tensors[0].dtype = Dtype::I32);
    assert_eq!(integers, "FILE, tensor fc1.bias: of type I32 (allowed: F32, F16, BF16, F64)");
}

#[test]
fn values_that_are_not_finite_are_named() {
    for (bad, said) in [
        (f64::NAN, "value 5 is not finite"),
        (f64::NEG_INFINITY, "value 5 is not finite"),
        (1e39, "value 5 is not finite as a 32-bit float"),
    ] {
        let mut tensors = tensors(Dtype::F64, |value| f64::from(value).to_le_bytes().to_vec());
        tensors[3].data[40..48].copy_from_slice(&bad.to_le_bytes());
        assert_eq!(refusal(&file(&tensors)), format!("FILE, tensor fc2.weight: {said}"));
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let good = file(&floats());
    let length = good.len();
    let gaps =
        "FILE is not to be trusted: it is no description of tensors that follow each other without gaps";
    let info = |shape: &str, from: usize, to: usize| {
        format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
    };
    let two = |first: String, second: String| format!("{{\"a\":{first},\"b\":{second}}}");
    for (bytes, said) in [
        (raw("", 0), gaps.to_owned()),
        (raw("{\"a\":", 8), gaps.to_owned()),
        (raw("[1, 2]", 8), gaps.to_owned()),
        (raw(&"[".repeat(100_000), 8), gaps.to_owned()),
        // Overlap, gap, an end before its start, more or fewer bytes than the shape, a product that overflows.
        (raw(&two(info("[2]", 0, 8), info("[2]", 4, 12)), 12), gaps.to_owned()),
        (raw(&two(info("[2]", 0, 8), info("[2]", 12, 20)), 20), gaps.to_owned()),
        (raw(&format!("{{\"a\":{}}}", info("[2]", 8, 0)), 8), gaps.to_owned()),
        (raw(&format!("{{\"a\":{}}}", info("[3]", 0, 8)), 8), gaps.to_owned()),
        (raw(&format!("{{\"a\":{}}}", info("[4294967296,4294967296,4]", 0, 0)), 8), gaps.to_owned()),
        (
            raw(&format!("{{\"a\":{}}}", info("[4]", 0, 16)), 8),
            "FILE is not to be trusted: it declares 16 bytes of tensors, the file holds 8".to_owned(),
        ),
        (
            raw("{}", 8),
            "FILE is not to be trusted: it declares 0 bytes of tensors, the file holds 8".to_owned(),
        ),
        (
            good[..length - 1].to_vec(),
            format!(
                "FILE is not to be trusted: it declares {0} bytes of tensors, the file holds {1}",
                12_460, 12_459
            ),
        ),
        (
            [&u64::MAX.to_le_bytes()[..], &good[8..]].concat(),
            format!("FILE is not to be trusted: it claims {} bytes, the file has {length}", u64::MAX),
        ),
    ] {
        assert_eq!(refusal(&bytes), format!("the header of {said}"));
    }
    // Sums that wrap around 2^64 to just the length of the file: 8 tensors of 2^61 - 1 bytes and one of the rest.
    let mut wrapped: Vec<String> = Vec::new();
    let most = (1u64 << 61) - 1;
    for index in 0..8 {
        let (from, to) = (index * most, (index + 1) * most);
        wrapped.push(format!(
            "\"{index}\":{{\"dtype\":\"U8\",\"shape\":[{most}],\"data_offsets\":[{from},{to}]}}"
        ));
    }
    let header = format!("{{{}}}", wrapped.join(","));
    let said = refusal(&raw(&header, 64));
    assert!(
        said.starts_with("the header of FILE is not to be trusted: it declares 18446744073709551608"),
        "{said}"
    );
    // A header of 4 MiB and one byte, in a file that is as long as it says.
    let said = refusal(&raw(&" ".repeat((4 << 20) + 1), 0));
    assert_eq!(
        said,
        "the header of FILE is not to be trusted: it claims 4194305 bytes, at most 4194304 are read"
    );
}

/// Every byte of the header, changed in turn: either the same parameters or a refusal, never a panic.
#[test]
fn no_changed_byte_of_the_header_does_harm() {
    let good = file(&floats());
    let header_bytes = u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let session = Session::start(&small(1), "cpu").unwrap();
    let directory = written("model.safetensors", &good);
    let path = directory.path().join("model.safetensors");
    let expected = import_parameters(session.layout(), &path).unwrap();
    let mut refused = 0;
    for at in 0..8 + header_bytes {
        for flip in [1, 0x10, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            fs::write(&path, &bytes).unwrap();
            match import_parameters(session.layout(), &path) {
                Ok(found) => assert_eq!(found, expected, "byte {at} by {flip}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > header_bytes, "{refused} of {}", 3 * header_bytes);
}

#[test]
fn pickles_and_files_that_are_not_there_are_refused() {
    for (name, bytes) in [
        ("model.pt", &b"PK\x03\x04rest of a zip"[..]),
        ("model.safetensors", b"PK\x03\x04rest of a zip"),
        ("old.pth", b"\x80\x02}q\x00."),
        ("pytorch_model.bin", b"anything at all"),
    ] {
        let directory = written(name, bytes);
        let path = directory.path().join(name);
        let error = import(&path).unwrap_err();
        assert!(matches!(error, PortableError::NotSafetensors { is_pickle: true, .. }), "{name}: {error}");
        assert_eq!(
            error.to_string(),
            format!(
                "{} is not a safetensors file but one of Python's pickles, which run code when they are read: save the \
                 model with safetensors.torch.save_file(model.state_dict(), path)",
                path.display()
            )
        );
    }
    let directory = written("pytorch_model.bin", b"anything");
    let error = import(directory.path()).unwrap_err();
    assert!(matches!(error, PortableError::NotSafetensors { is_pickle: true, .. }), "{error}");
    let directory = written("model.safetensors", b"short");
    let error = import(directory.path()).unwrap_err();
    assert!(matches!(error, PortableError::NotSafetensors { is_pickle: false, .. }), "{error}");
    let nowhere = directory.path().join("nowhere");
    let error = import(&nowhere).unwrap_err();
    assert!(matches!(error, PortableError::Io { operation: "open", .. }), "{error}");
    let error = import(Path::new("/dev/zero")).unwrap_err();
    assert!(matches!(error, PortableError::Io { operation: "open", .. }), "{error}");
    let error = initial_state(&small(1), &nowhere).unwrap_err();
    assert!(matches!(&error, TrainingError::Import(_)), "{error}");
}
