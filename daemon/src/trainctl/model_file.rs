//! Looks at a model before it is sent: a header that lies is refused here, with a better message than after a gigabyte.
//!
//! The form is that of safetensors: the header's length (8 bytes, little-endian), the header (JSON: tensor names with
//! type, shape and place), the tensors' bytes. Whether the tensors are those of the job's model is the daemon's to say.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::failure::Failure;
use crate::control::MODEL_BYTES_MAX;
use crate::control::api::Upload;
use crate::exit_code;

/// The file's name in a model's directory.
const MODEL_FILE: &str = "model.safetensors";

/// Longest header, bytes: ten thousand tensors with names of a hundred characters.
const HEADER_BYTES_MAX: u64 = 2 << 20;

/// The key of the header that is no tensor.
const METADATA_KEY: &str = "__metadata__";

/// A model that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How it is announced.
    pub(super) upload: Upload,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Looks at the model in `directory`.
pub(super) fn check(directory: &Path) -> Result<ModelFile, Failure> {
    let path = directory.join(MODEL_FILE);
    let unreadable = |error: io::Error| {
        Failure::new(exit_code::USAGE, format!("cannot read {}", path.display()))
            .because(error.to_string())
            .next(
                "--from takes a directory with model.safetensors, as `trainctl checkpoint export` writes it",
            )
    };
    let mut file = std::fs::File::open(&path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let bad = |what: String| Failure::new(exit_code::USAGE, format!("{}: {what}", path.display()));
    if !metadata.is_file() {
        return Err(bad("not a file".into()));
    }
    let bytes = metadata.len();
    if bytes > MODEL_BYTES_MAX {
        return Err(bad(format!("{bytes} bytes are more than {MODEL_BYTES_MAX}, the most that is sent"))
            .next("trainctl checkpoint import DIR --name NAME, then --from set:NAME"));
    }
    let mut prefix = [0; 8];
    let mut hasher = blake3::Hasher::new();
    if bytes < 8 {
        return Err(bad("too short to be a safetensors file".into()));
    }
    file.read_exact(&mut prefix).map_err(unreadable)?;
    hasher.update(&prefix);
    let header_bytes = u64::from_le_bytes(prefix);
    if header_bytes > HEADER_BYTES_MAX || header_bytes > bytes - 8 {
        return Err(bad(format!(
            "its header claims {header_bytes} bytes of a file of {bytes}: no safetensors file, or cut off"
        )));
    }
    let mut header = Vec::new();
    (&mut file).take(header_bytes).read_to_end(&mut header).map_err(unreadable)?;
    hasher.update(&header);
    check_header(&header, bytes - 8 - header_bytes).map_err(bad)?;
    hasher.update_reader(file).map_err(unreadable)?;
    let blake3 = hasher.finalize().to_hex().to_string();
    Ok(ModelFile { path, upload: Upload { bytes, blake3 } })
}

/// Checks that every tensor has a place of its own, as long as its type and shape say, and that nothing is left over.
fn check_header(header: &[u8], data_bytes: u64) -> Result<(), String> {
    let mut entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header is not JSON: {error}"))?;
    entries.remove(METADATA_KEY);
    let mut places = Vec::new();
    for (name, entry) in entries {
        let tensor: Tensor =
            serde_json::from_value(entry).map_err(|error| format!("tensor {name:?}: {error}"))?;
        let (start, end) = tensor.data_offsets;
        let width = dtype_bytes(&tensor.dtype)
            .ok_or_else(|| format!("tensor {name:?}: unknown type {:?}", tensor.dtype))?;
        let wanted = tensor.shape.iter().try_fold(width, |bytes, &length| bytes.checked_mul(length));
        if start > end || end > data_bytes || wanted != Some(end - start) {
            return Err(format!(
                "tensor {name:?}: bytes {start} to {end} of {data_bytes} do not fit {} {:?}",
                tensor.dtype, tensor.shape
            ));
        }
        places.push((start, end, name));
    }
    places.sort();
    let mut reached = 0;
    for (start, end, name) in places {
        if start != reached {
            return Err(format!(
                "tensor {name:?} begins at byte {start}, but the one before ends at {reached}"
            ));
        }
        reached = end;
    }
    if reached != data_bytes {
        return Err(format!("its header describes {reached} bytes of tensors, but {data_bytes} follow"));
    }
    Ok(())
}

/// Bytes per element of a safetensors type.
fn dtype_bytes(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" => 1,
        "U16" | "I16" | "F16" | "BF16" => 2,
        "U32" | "I32" | "F32" => 4,
        "U64" | "I64" | "F64" => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    const GOOD: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}"#;

    #[test]
    fn a_good_model_is_announced_with_length_and_digest_and_a_lie_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(MODEL_FILE);
        let good = model(GOOD, &[7; 9]);
        std::fs::write(&path, &good).unwrap();
        let found = check(directory.path()).unwrap();
        assert_eq!(found.upload.bytes, good.len() as u64);
        assert_eq!(found.upload.blake3, blake3::hash(&good).to_hex().as_str());

        let refusal = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let failure = check(directory.path()).unwrap_err();
            assert_eq!(failure.code, exit_code::USAGE);
            failure.message
        };
        assert!(refusal(b"short").contains("too short"));
        assert!(refusal(&u64::MAX.to_le_bytes()).contains("claims 18446744073709551615 bytes"));
        assert!(refusal(&model("[]", b"")).contains("not JSON"));
        assert!(refusal(&model(GOOD, &[7; 8])).contains("tensor \"b\": bytes 8 to 9 of 8"));
        assert!(refusal(&model(GOOD, &[7; 10])).contains("describes 9 bytes of tensors, but 10 follow"));
        assert!(refusal(&model(&GOOD.replace("[2]", "[3]"), &[7; 9])).contains("do not fit F32 [3]"));
        let huge = GOOD.replace("[2]", "[4294967296,4294967296]");
        assert!(refusal(&model(&huge, &[7; 9])).contains("tensor \"a\""));
        assert!(refusal(&model(&GOOD.replace("F32", "F31"), &[7; 9])).contains("unknown type \"F31\""));
        assert!(refusal(&model(&GOOD.replace("[8,9]", "[7,8]"), &[7; 9])).contains("begins at byte 7"));
        std::fs::remove_file(&path).unwrap();
        assert!(check(directory.path()).unwrap_err().message.starts_with("cannot read"));
    }
}
