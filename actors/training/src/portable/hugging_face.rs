//! `config.json` of language models as Hugging Face's `transformers` writes and reads it.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use super::{CONFIG_FILE, portable_error::PortableError};
use crate::spec::{Gpt2Activation, Gpt2Spec, LlamaSpec, ModelSpec};

/// Longest description that is read, in bytes: those of the hub have a few thousand.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// The values of `model_type` that are understood.
const KNOWN: &str = "llama, mistral, qwen2, gpt2";
/// What `transformers` takes where a `config.json` of the Llama family is silent.
const RMS_NORM_EPS: f64 = 1e-6;
const ROPE_THETA: f64 = 10_000.0;

/// Reads the shape of a model from the `config.json` of a directory.
///
/// # Errors
/// [`PortableError::Io`]; [`PortableError::Config`] for a description that is none, of a model that is not known, or with
/// something that this program would compute otherwise.
pub fn model_from_directory(directory: &Path) -> Result<ModelSpec, PortableError> {
    let path = directory.join(CONFIG_FILE);
    let failed = |source| PortableError::Io { operation: "read", path: path.clone(), source };
    let refuse = |reason: String| PortableError::Config { path: path.clone(), reason };
    if fs::metadata(&path).map_err(failed)?.len() > CONFIG_BYTES_MAX {
        return Err(refuse(format!("it is longer than {CONFIG_BYTES_MAX} bytes")));
    }
    let value: Value = serde_json::from_slice(&fs::read(&path).map_err(failed)?)
        .map_err(|error| refuse(format!("it is no JSON: {error}")))?;
    let Value::Object(map) = value else { return Err(refuse("it is no JSON object".to_owned())) };
    let keys = Keys(&map);
    let text = match keys.text("model_type").map_err(refuse)? {
        Some("gpt2") => gpt2_table(&keys),
        Some(kind @ ("llama" | "mistral" | "qwen2")) => llama_table(kind, &keys),
        Some(other) => Err(format!("model_type {other:?} is not known (known: {KNOWN})")),
        None => Err(format!("it has no model_type (known: {KNOWN})")),
    };
    ModelSpec::parse(&text.map_err(refuse)?).map_err(|error| refuse(error.to_string()))
}

/// The values of a description.
struct Keys<'a>(&'a Map<String, Value>);

impl<'a> Keys<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, String> {
        let wrong = |value: &Value| format!("{key} is {value}, not a string");
        self.get(key).map(|value| value.as_str().ok_or_else(|| wrong(value))).transpose()
    }

    fn whole(&self, key: &str) -> Result<Option<u64>, String> {
        let wrong = |value: &Value| format!("{key} is {value}, not a whole number");
        self.get(key).map(|value| value.as_u64().ok_or_else(|| wrong(value))).transpose()
    }

    fn needed(&self, key: &str) -> Result<u64, String> {
        self.whole(key)?.ok_or_else(|| format!("it has no {key}"))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, String> {
        let wrong = |value: &Value| format!("{key} is {value}, not a number");
        self.get(key).map_or(Ok(default), |value| value.as_f64().ok_or_else(|| wrong(value)))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        let wrong = |value: &Value| format!("{key} is {value}, not true or false");
        self.get(key).map_or(Ok(default), |value| value.as_bool().ok_or_else(|| wrong(value)))
    }

    /// Fails unless `key` is absent or has this value: anything else would be computed otherwise.
    fn only(&self, key: &str, value: &Value) -> Result<(), String> {
        match self.get(key) {
            Some(found) if found != value => Err(format!("{key} is {found}, only {value} is computed")),
            _ => Ok(()),
        }
    }
}

fn llama_table(kind: &str, keys: &Keys<'_>) -> Result<String, String> {
    keys.only("hidden_act", &json!("silu"))?;
    keys.only("mlp_bias", &json!(false))?;
    if kind != "qwen2" {
        keys.only("attention_bias", &json!(false))?;
    }
    let rope = keys.get("rope_parameters").or_else(|| keys.get("rope_scaling"));
    let rope = rope.and_then(Value::as_object).cloned().unwrap_or_default();
    let rope = Keys(&rope);
    for key in ["rope_type", "type"] {
        rope.only(key, &json!("default"))?;
    }
    let theta = rope.number("rope_theta", keys.number("rope_theta", ROPE_THETA)?)?;
    let window = match kind {
        "mistral" => keys.whole("sliding_window")?,
        "qwen2" if keys.flag("use_sliding_window", false)? => keys.whole("sliding_window")?,
        _ => None,
    };
    let mut text = String::from("[model]\nkind = \"llama\"\n");
    for key in ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"]
    {
        text += &format!("{key} = {}\n", keys.needed(key)?);
    }
    for key in ["num_key_value_heads", "head_dim", "max_position_embeddings"] {
        if let Some(value) = keys.whole(key)? {
            text += &format!("{key} = {value}\n");
        }
    }
    text +=
        &format!("rope_theta = {theta:?}\nrms_norm_eps = {:?}\n", keys.number("rms_norm_eps", RMS_NORM_EPS)?);
    text += &format!("tie_word_embeddings = {}\n", keys.flag("tie_word_embeddings", false)?);
    text += &format!("attention_bias = {}\n", kind == "qwen2");
    text += &format!("sliding_window = {}\n", window.unwrap_or(0));
    Ok(text)
}

fn gpt2_table(keys: &Keys<'_>) -> Result<String, String> {
    for (key, value) in [
        ("scale_attn_weights", true),
        ("scale_attn_by_inverse_layer_idx", false),
        ("add_cross_attention", false),
        ("tie_word_embeddings", true),
    ] {
        keys.only(key, &json!(value))?;
    }
    let mut text = String::from("[model]\nkind = \"gpt2\"\n");
    for key in ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head"] {
        text += &format!("{key} = {}\n", keys.needed(key)?);
    }
    if let Some(inner) = keys.whole("n_inner")? {
        text += &format!("n_inner = {inner}\n");
    }
    let function = keys.text("activation_function")?.unwrap_or("gelu_new");
    text += &format!("activation_function = {function:?}\n");
    text += &format!("layer_norm_epsilon = {:?}\n", keys.number("layer_norm_epsilon", 1e-5)?);
    Ok(text)
}

/// What `transformers` has to know of a model; `None` for models that it does not have.
pub(super) fn config_of(model: &ModelSpec) -> Option<Map<String, Value>> {
    let config = match model {
        ModelSpec::Llama(spec) => llama_config(spec),
        ModelSpec::Gpt2(spec) => gpt2_config(spec),
        ModelSpec::Lenet | ModelSpec::Mlp { .. } | ModelSpec::Sequential(_) => return None,
    };
    config.as_object().cloned()
}

/// As the member of the family that has what the model has: biases are Qwen2's, a window is Mistral's.
fn llama_config(spec: &LlamaSpec) -> Value {
    let (kind, architecture) = match (spec.attention_bias, spec.sliding_window) {
        (true, _) => ("qwen2", "Qwen2ForCausalLM"),
        (false, 0) => ("llama", "LlamaForCausalLM"),
        (false, _) => ("mistral", "MistralForCausalLM"),
    };
    let mut config = json!({
        "architectures": [architecture],
        "model_type": kind,
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.hidden_size,
        "intermediate_size": spec.intermediate_size,
        "num_hidden_layers": spec.num_hidden_layers,
        "num_attention_heads": spec.num_attention_heads,
        "num_key_value_heads": spec.num_key_value_heads,
        "head_dim": spec.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": spec.max_position_embeddings,
        "rms_norm_eps": spec.rms_norm_eps,
        "rope_theta": spec.rope_theta,
        "rope_parameters": { "rope_type": "default", "rope_theta": spec.rope_theta },
        "tie_word_embeddings": spec.tie_word_embeddings,
    });
    if kind == "mistral" || spec.sliding_window > 0 {
        config["sliding_window"] = json!(spec.sliding_window);
    }
    if kind == "qwen2" {
        config["use_sliding_window"] = json!(spec.sliding_window > 0);
        config["max_window_layers"] = json!(0);
    }
    config
}

fn gpt2_config(spec: &Gpt2Spec) -> Value {
    let function = match spec.activation_function {
        Gpt2Activation::GeluNew => "gelu_new",
        Gpt2Activation::Gelu => "gelu",
        Gpt2Activation::Relu => "relu",
    };
    json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": spec.vocab_size,
        "n_positions": spec.n_positions,
        "n_ctx": spec.n_positions,
        "n_embd": spec.n_embd,
        "n_layer": spec.n_layer,
        "n_head": spec.n_head,
        "n_inner": spec.n_inner,
        "activation_function": function,
        "layer_norm_epsilon": spec.layer_norm_epsilon,
        "tie_word_embeddings": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &Value) -> Result<ModelSpec, String> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(CONFIG_FILE), config.to_string()).unwrap();
        model_from_directory(directory.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        for keys in [
            "kind = \"llama\"\nvocab_size = 100\nnum_key_value_heads = 2\ntie_word_embeddings = true",
            "kind = \"llama\"\nvocab_size = 100\nattention_bias = true\nrope_theta = 1e6",
            "kind = \"llama\"\nvocab_size = 100\nsliding_window = 64\nhead_dim = 32\nrms_norm_eps = 1e-6",
            "kind = \"gpt2\"\nvocab_size = 100\nn_inner = 100\nactivation_function = \"gelu\"",
        ] {
            let model = ModelSpec::parse(&format!("[model]\n{keys}\n")).unwrap();
            let config = Value::Object(config_of(&model).unwrap());
            assert_eq!(read(&config).unwrap(), model, "{config}");
        }
        assert!(config_of(&ModelSpec::Lenet).is_none());
    }

    #[test]
    fn what_would_be_computed_otherwise_is_refused_by_its_key() {
        let model = ModelSpec::parse("[model]\nkind = \"llama\"\nvocab_size = 100\n").unwrap();
        let config = Value::Object(config_of(&model).unwrap());
        for (key, value, expected) in [
            (
                "model_type",
                json!("bert"),
                "model_type \"bert\" is not known (known: llama, mistral, qwen2, gpt2)",
            ),
            ("model_type", Value::Null, "it has no model_type"),
            ("hidden_act", json!("gelu"), "hidden_act is \"gelu\", only \"silu\" is computed"),
            ("attention_bias", json!(true), "attention_bias is true, only false is computed"),
            ("rope_parameters", json!({ "rope_type": "yarn" }), "rope_type is \"yarn\", only \"default\""),
            ("vocab_size", json!(-3), "vocab_size is -3, not a whole number"),
            ("hidden_size", Value::Null, "it has no hidden_size"),
            ("num_key_value_heads", json!(3), "a divisor of num_attention_heads, which is 4"),
        ] {
            let mut config = config.clone();
            config[key] = value;
            let error = read(&config).unwrap_err();
            assert!(error.contains(expected) && error.contains(CONFIG_FILE), "{error}");
        }
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(CONFIG_FILE), "{").unwrap();
        let error = model_from_directory(directory.path()).unwrap_err();
        assert!(error.to_string().contains("no JSON"), "{error}");
    }
}
