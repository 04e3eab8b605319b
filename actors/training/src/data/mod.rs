//! Data sets and the order in which their samples are used.

mod contents;
mod csv_lines;
mod csv_table;
mod data_error;
mod data_set;
mod data_summary;
mod digits;
mod fingerprint;
mod idx_file;
mod idx_images;
mod normalisation;
mod sample_order;
mod text;

pub use self::{
    data_error::DataError,
    data_set::DataSet,
    data_summary::{DataSummary, check_data},
    normalisation::Normalisation,
    text::{TextError, Tokenizer, check_documents, set_tokenizer_cache},
};
pub(crate) use self::{data_summary::open, sample_order::SampleOrder};
