//! Language models beside training: the text that they write.

mod language_model;
mod sampling;

pub use self::{
    language_model::{LanguageModel, TextEnd, open_tokenizer},
    sampling::Sampling,
};
