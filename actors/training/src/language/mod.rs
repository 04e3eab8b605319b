//! Language models beside training: their descriptions as Hugging Face has them, and the text that they write.

mod hugging_face;
mod language_model;
mod sampling;

pub(crate) use self::hugging_face::config_of;
pub use self::{
    language_model::{LanguageModel, TextEnd, model_of_directory, open_tokenizer},
    sampling::Sampling,
};
