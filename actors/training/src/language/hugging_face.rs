//! `config.json` of language models, as Hugging Face's transformers writes and reads it.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{
    portable::PortableError,
    spec::{Gpt2Spec, JobSpec, LlamaSpec, ModelSpec},
};

/// Values of `model_type` that are read.
const KNOWN: [&str; 4] = ["llama", "mistral", "qwen2", "gpt2"];
/// The most of a value that an error shows, in characters.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// The keys of a language model's description; `None` for other models.
pub(crate) fn config_of(model: &ModelSpec, end_of_text: Option<u32>) -> Option<Map<String, Value>> {
    let mut config = match model {
        ModelSpec::Llama(spec) => llama_config(spec),
        ModelSpec::Gpt2(spec) => gpt2_config(spec),
        _ => return None,
    };
    config.insert("bos_token_id".to_owned(), json!(end_of_text));
    config.insert("eos_token_id".to_owned(), json!(end_of_text));
    config.insert("torch_dtype".to_owned(), json!("float32"));
    config.insert("use_cache".to_owned(), json!(true));
    Some(config)
}

/// Biases of queries, keys and values without one of the output are Qwen2's; a window without biases is Mistral's.
fn llama_config(spec: &LlamaSpec) -> Map<String, Value> {
    let (model_type, architecture) = match (spec.attention_bias, spec.sliding_window) {
        (true, _) => ("qwen2", "Qwen2ForCausalLM"),
        (false, 0) => ("llama", "LlamaForCausalLM"),
        (false, _) => ("mistral", "MistralForCausalLM"),
    };
    let mut config = object(json!({
        "model_type": model_type,
        "architectures": [architecture],
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.hidden_size,
        "intermediate_size": spec.intermediate_size,
        "num_hidden_layers": spec.num_hidden_layers,
        "num_attention_heads": spec.num_attention_heads,
        "num_key_value_heads": spec.num_key_value_heads,
        "head_dim": spec.head_dim,
        "max_position_embeddings": spec.max_position_embeddings,
        "rope_theta": spec.rope_theta,
        "rms_norm_eps": spec.rms_norm_eps,
        "tie_word_embeddings": spec.tie_word_embeddings,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "attention_dropout": 0.0,
    }));
    if spec.sliding_window > 0 {
        config.insert("sliding_window".to_owned(), json!(spec.sliding_window));
    }
    match model_type {
        "llama" => {
            config.insert("attention_bias".to_owned(), json!(false));
            config.insert("mlp_bias".to_owned(), json!(false));
        }
        "qwen2" => {
            config.insert("use_sliding_window".to_owned(), json!(spec.sliding_window > 0));
            config.insert("max_window_layers".to_owned(), json!(0));
        }
        _ => {}
    }
    config
}

fn gpt2_config(spec: &Gpt2Spec) -> Map<String, Value> {
    object(json!({
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": spec.vocab_size,
        "n_positions": spec.n_positions,
        "n_ctx": spec.n_positions,
        "n_embd": spec.n_embd,
        "n_layer": spec.n_layer,
        "n_head": spec.n_head,
        "n_inner": spec.n_inner,
        "activation_function": spec.activation_function,
        "layer_norm_epsilon": spec.layer_norm_epsilon,
        "resid_pdrop": spec.dropout,
        "embd_pdrop": spec.dropout,
        "attn_pdrop": 0.0,
        "tie_word_embeddings": true,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The model that a `config.json` at `path` describes. Keys that change nothing here are not looked at.
///
/// # Errors
/// An architecture that is not known, or a variant of one that is not computed here; a key that is missing or out of range.
pub(crate) fn model_of(path: &Path, config: &Map<String, Value>) -> Result<ModelSpec, PortableError> {
    let refused = |problem: String| PortableError::Config { path: path.to_owned(), problem };
    let found = config.get("model_type").and_then(Value::as_str).unwrap_or("none");
    if !KNOWN.contains(&found) {
        let known = KNOWN.join(", ");
        return Err(refused(format!("model_type {found:?} is not known (allowed: {known})")));
    }
    let model = if found == "gpt2" { gpt2_table(config) } else { llama_table(config, found == "qwen2") };
    let mut job = toml::Table::new();
    job.insert("name".to_owned(), "imported".into());
    job.insert("steps".to_owned(), 1.into());
    job.insert("data".to_owned(), "novel".into());
    job.insert("model".to_owned(), model.map_err(refused)?.into());
    let text = toml::to_string(&job).map_err(|error| refused(error.to_string()))?;
    // The job's own limits; a line of the text above would tell nothing.
    let spec = JobSpec::parse(&text).map_err(|error| {
        let words = error.to_string();
        refused(words.split_once(": ").map_or(words.as_str(), |(_, words)| words).replace("`model.", "`"))
    })?;
    Ok(spec.model)
}

/// Refuses a key whose value is neither absent nor one of those that change nothing.
fn expect(config: &Map<String, Value>, key: &str, allowed: &[Value]) -> Result<(), String> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if allowed.contains(value) => Ok(()),
        Some(value) => {
            let found: String = value.to_string().chars().take(SHOWN_CHARACTERS_MAX).collect();
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let allowed = if allowed.is_empty() { "null".to_owned() } else { allowed.join(", ") };
            Err(format!("{key} is {found}, which is not computed here (allowed: {allowed})"))
        }
    }
}

fn copy(config: &Map<String, Value>, keys: &[&str], table: &mut toml::Table) -> Result<(), String> {
    for key in keys {
        let value = match config.get(*key) {
            None | Some(Value::Null) => continue,
            Some(Value::Bool(value)) => toml::Value::Boolean(*value),
            Some(Value::String(value)) => toml::Value::String(value.clone()),
            Some(Value::Number(value)) => match value.as_i64() {
                Some(value) => toml::Value::Integer(value),
                None => toml::Value::Float(value.as_f64().ok_or_else(|| format!("{key} is out of range"))?),
            },
            Some(_) => return Err(format!("{key} is neither a number nor a word")),
        };
        table.insert((*key).to_owned(), value);
    }
    Ok(())
}

/// Sizes without which a description of any model says nothing; their defaults in job files are another model's.
fn require(table: &toml::Table, keys: &[&str]) -> Result<(), String> {
    keys.iter().find(|key| !table.contains_key(**key)).map_or(Ok(()), |key| Err(format!("{key} is missing")))
}

fn llama_table(config: &Map<String, Value>, has_biases: bool) -> Result<toml::Table, String> {
    const SIZES: [&str; 5] =
        ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"];
    expect(config, "hidden_act", &[json!("silu"), json!("swish")])?;
    expect(config, "rope_scaling", &[])?;
    expect(config, "attention_bias", &[json!(false)])?;
    expect(config, "mlp_bias", &[json!(false)])?;
    let mut table = toml::Table::from_iter([("kind".to_owned(), "llama".into())]);
    copy(config, &SIZES, &mut table)?;
    require(&table, &SIZES)?;
    let more = ["num_key_value_heads", "head_dim", "max_position_embeddings", "rope_theta", "rms_norm_eps"];
    copy(config, &more, &mut table)?;
    copy(config, &["tie_word_embeddings"], &mut table)?;
    // Newer versions of transformers keep the angles' base in a table of its own.
    if let Some(Value::Object(rope)) = config.get("rope_parameters") {
        expect(rope, "rope_type", &[json!("default")])?;
        copy(rope, &["rope_theta"], &mut table)?;
    }
    if has_biases {
        table.insert("attention_bias".to_owned(), true.into());
    }
    if config.get("use_sliding_window") != Some(&json!(false)) {
        copy(config, &["sliding_window"], &mut table)?;
    }
    Ok(table)
}

fn gpt2_table(config: &Map<String, Value>) -> Result<toml::Table, String> {
    const SIZES: [&str; 5] = ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head"];
    expect(config, "scale_attn_weights", &[json!(true)])?;
    expect(config, "scale_attn_by_inverse_layer_idx", &[json!(false)])?;
    expect(config, "reorder_and_upcast_attn", &[json!(false)])?;
    let mut table = toml::Table::from_iter([("kind".to_owned(), "gpt2".into())]);
    copy(config, &SIZES, &mut table)?;
    require(&table, &SIZES)?;
    copy(config, &["n_inner", "activation_function", "layer_norm_epsilon"], &mut table)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(keys: &str) -> ModelSpec {
        let job = format!("name = \"n\"\nsteps = 1\ndata = \"novel\"\n[model]\nvocab_size = 4096\n{keys}\n");
        JobSpec::parse(&job).unwrap().model
    }

    fn read(config: &Map<String, Value>) -> Result<ModelSpec, PortableError> {
        model_of(Path::new("/m/config.json"), config)
    }

    #[test]
    fn what_is_written_is_read_back_under_the_name_of_its_family() {
        for (keys, model_type) in [
            ("kind = \"llama\"\nnum_key_value_heads = 2\nrope_theta = 500000", "llama"),
            ("kind = \"llama\"\ntie_word_embeddings = true\nhead_dim = 32", "llama"),
            ("kind = \"llama\"\nattention_bias = true", "qwen2"),
            ("kind = \"llama\"\nattention_bias = true\nsliding_window = 64", "qwen2"),
            ("kind = \"llama\"\nsliding_window = 64", "mistral"),
            ("kind = \"gpt2\"\nn_inner = 100\nactivation_function = \"relu\"", "gpt2"),
        ] {
            let model = model(keys);
            let config = config_of(&model, Some(3)).unwrap();
            assert_eq!((&config["model_type"], &config["eos_token_id"]), (&json!(model_type), &json!(3)));
            assert_eq!(read(&config).unwrap(), model, "{keys}");
        }
        assert!(config_of(&ModelSpec::Lenet, None).is_none());
    }

    #[test]
    fn what_is_not_computed_here_is_refused_in_words() {
        let llama = config_of(&model("kind = \"llama\""), None).unwrap();
        for (key, value, expected) in [
            (
                "model_type",
                json!("bert"),
                "model_type \"bert\" is not known (allowed: llama, mistral, qwen2, gpt2)",
            ),
            (
                "hidden_act",
                json!("gelu"),
                "hidden_act is \"gelu\", which is not computed here (allowed: \"silu\", \"swish\")",
            ),
            (
                "rope_scaling",
                json!({"factor": 8.0}),
                "rope_scaling is {\"factor\":8.0}, which is not computed here (allowed: null)",
            ),
            ("vocab_size", Value::Null, "vocab_size is missing"),
            ("hidden_size", json!([1]), "hidden_size is neither a number nor a word"),
            (
                "num_key_value_heads",
                json!(3),
                "`num_key_value_heads` is 3 (allowed: a divisor of num_attention_heads, which is 4)",
            ),
        ] {
            let mut config = llama.clone();
            config.insert(key.to_owned(), value);
            let expected = format!("/m/config.json: {expected}");
            assert_eq!(read(&config).unwrap_err().to_string(), expected);
        }
    }
}
