//! Models for other programs: a directory with `model.safetensors` and `config.json`, as Hugging Face lays it out and
//! PyTorch loads it, out of a job's state and back into one.

mod export;
mod export_directory;
mod export_facts;
mod hugging_face;
mod import;
mod model_config;
mod portable_error;
mod tensor_file;

pub use self::{
    export::{ExportedModel, ModelSnapshot, export_model, export_state},
    export_facts::ExportFacts,
    hugging_face::model_from_directory,
    import::{import_parameters, initial_state, refuse_pickle, verify_model},
    model_config::{BorderConfig, ModelConfig, ProvenanceConfig},
    portable_error::{PortableError, Problem as TensorProblem},
};

/// In the metadata of an exported file: BLAKE3 of everything behind its header, in hexadecimal.
const TENSORS_HASH_KEY: &str = "traind_tensors_blake3";

/// The parameters' file in an exported directory.
pub const MODEL_FILE: &str = "model.safetensors";
/// The description's file in an exported directory.
pub const CONFIG_FILE: &str = "config.json";
/// The tokenizer's file in the directory of a language model.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
