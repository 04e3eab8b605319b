//! What can go wrong when a model leaves or enters.

use std::{error::Error as StdError, io, path::PathBuf};

use thiserror::Error;

use crate::{state::StateError, training_error::TrainingError};

/// Why a model was not exported or imported. Nothing is left half done.
#[derive(Debug, Error)]
pub enum PortableError {
    /// The operating system refused.
    #[error("cannot {operation} {}", .path.display())]
    Io {
        /// What was being done, e.g. `write`.
        operation: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory holds something else than an earlier export.
    #[error(
        "{} holds {found:?}, which is no earlier export: name an empty or new directory, or force the export",
        .directory.display()
    )]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// Something in it.
        found: String,
    },
    /// The bytes are no state of this job.
    #[error("the checkpoint is no state of this job")]
    State(#[source] StateError),
    /// The model's shape depends on data that are not there.
    #[error("cannot tell the model's shape: give the facts of its data, or export on a node that has them")]
    NoFacts(#[source] Box<TrainingError>),
    /// The model and the data do not fit.
    #[error("the model does not fit its data")]
    Model(#[source] Box<TrainingError>),
    /// A flat vector of another length than the layout's.
    #[error("the model has {expected} parameters, {found} were given")]
    Length {
        /// How many were given.
        found: usize,
        /// How many the model has.
        expected: usize,
    },
    /// The format of PyTorch's `torch.save` or another that is not read.
    #[error(
        "{} is not a safetensors file{}: save the model with safetensors.torch.save_file(model.state_dict(), path)",
        .path.display(),
        if *.is_pickle { " but one of Python's pickles, which run code when they are read" } else { "" }
    )]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// Whether it is known to be a pickle.
        is_pickle: bool,
    },
    /// The header of the file is not what it should be.
    #[error("the header of {} is not to be trusted: {reason}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What the parser says, where it was the parser.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// A `config.json` that describes no model of this program.
    #[error("{} describes no model that this program trains: {reason}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A tensor that is not what the model needs.
    #[error("{}, tensor {name}: {problem}", .path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with a tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The model has it, the file does not.
    #[error("missing, the model needs {}", shape_text(.expected))]
    Missing {
        /// The model's shape.
        expected: Vec<usize>,
    },
    /// The file has it, the model does not.
    #[error("{} in the file, but the model has no such parameter", shape_text(.found))]
    Unknown {
        /// The file's shape.
        found: Vec<usize>,
    },
    /// Both have it, in other shapes.
    #[error("{} in the file, {} in the model", shape_text(.found), shape_text(.expected))]
    Shape {
        /// The file's shape.
        found: Vec<usize>,
        /// The model's shape.
        expected: Vec<usize>,
    },
    /// Numbers of a type that is not read.
    #[error("of type {found} (allowed: F32, F16, BF16, F64)")]
    Type {
        /// The type, as safetensors names it.
        found: String,
    },
    /// A value that is infinite or NaN, or becomes so as a 32-bit float.
    #[error("value {index} is not finite{}", if *.is_cast { " as a 32-bit float" } else { "" })]
    NotFinite {
        /// Its index, row-major.
        index: usize,
        /// Whether it is finite in the file.
        is_cast: bool,
    },
}

fn shape_text(shape: &[usize]) -> String {
    format!("shape {shape:?}")
}
