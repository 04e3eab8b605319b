//! `config.json`: what a program needs beside the parameters to use a model.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{export::ModelSnapshot, hugging_face::config_of, portable_error::PortableError};
use crate::{
    data::{Normalisation, Tokenizer},
    spec::ModelSpec,
};

/// The contents of `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// `traind-` and the model's kind in job files.
    pub model_type: String,
    /// Channels, height and width of a sample before the border.
    pub input_shape: [usize; 3],
    /// Logits that the model gives.
    pub classes: usize,
    /// Widths of the hidden layers of a perceptron.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<usize>>,
    /// What to do to the values of a sample first; absent if the data were not at hand at the export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// What to put around a normalised sample; absent if the model takes it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub border: Option<BorderConfig>,
    /// Type of the parameters, as PyTorch names it.
    pub torch_dtype: String,
    /// Where the model comes from.
    pub traind: ProvenanceConfig,
}

/// Pixels around an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BorderConfig {
    /// On each side.
    pub width: usize,
    /// Their value after normalisation; absent if the data were not at hand at the export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f32>,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenanceConfig {
    /// Version of the program that exported it.
    pub version: String,
    /// The job's name.
    pub job: String,
    /// Updates that made it.
    pub step: u64,
    /// The digest of the state it comes from, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The whole job, as a job file.
    pub job_file: String,
}

impl ModelConfig {
    /// Describes a model.
    pub(super) fn new(model: &ModelSnapshot<'_>) -> Result<Self, PortableError> {
        let facts = &model.facts;
        let fit = |error| PortableError::Model(Box::new(error));
        let width = model.spec.model.border(&facts.data_facts(&model.spec.model)).map_err(fit)?;
        let value = facts.normalisation.map(|normalisation| normalisation.apply(0.0));
        let (kind, hidden) = match &model.spec.model {
            ModelSpec::Lenet => ("lenet", None),
            ModelSpec::Mlp { hidden } => ("mlp", Some(hidden.clone())),
            other => (other.name(), None),
        };
        Ok(Self {
            model_type: format!("traind-{kind}"),
            input_shape: facts.image_shape,
            classes: facts.classes,
            hidden,
            normalisation: facts.normalisation,
            border: (width > 0).then_some(BorderConfig { width, value }),
            torch_dtype: "float32".to_owned(),
            traind: ProvenanceConfig::new(model),
        })
    }
}

impl ProvenanceConfig {
    fn new(model: &ModelSnapshot<'_>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            job: model.spec.name.clone(),
            step: model.step,
            digest: model.digest.map(|digest| blake3::Hash::from(digest).to_hex().to_string()),
            job_file: toml::to_string(model.spec).expect("a checked job always serialises"),
        }
    }
}

/// The bytes of `config.json`: of a language model as transformers reads it, with where it comes from beside.
pub(super) fn config_json(
    model: &ModelSnapshot<'_>,
    tokenizer: Option<&Tokenizer>,
) -> Result<Vec<u8>, PortableError> {
    let json = match config_of(&model.spec.model) {
        Some(mut config) => {
            // The defaults of transformers are another tokenizer's.
            let end = json!(tokenizer.and_then(Tokenizer::end_of_text));
            config.insert("bos_token_id".to_owned(), end.clone());
            config.insert("eos_token_id".to_owned(), end);
            config.insert("torch_dtype".to_owned(), json!("float32"));
            config.insert("traind".to_owned(), json!(ProvenanceConfig::new(model)));
            serde_json::to_vec_pretty(&config)
        }
        None => serde_json::to_vec_pretty(&ModelConfig::new(model)?),
    };
    Ok(json.expect("names and numbers always serialise"))
}
