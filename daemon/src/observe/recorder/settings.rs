//! What is recorded where.

use std::path::PathBuf;

/// What is recorded where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderSettings {
    /// The daemon's data directory; it need not be there yet.
    pub data_dir: PathBuf,
    /// Whether event files for TensorBoard are written beside the points.
    pub tensorboard: bool,
}
