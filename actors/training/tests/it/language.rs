//! Language models out of a job, in Hugging Face's form, and what they write.

use std::{fs, ops::ControlFlow, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;
use traind_training::{
    CONFIG_FILE, JobSpec, LanguageModel, MODEL_FILE, Sampling, Session, TOKENIZER_FILE, TextEnd,
    export_state, initial_state,
};

use crate::train;

const MODELS: [&str; 2] = [
    "kind = \"llama\"\nhidden_size = 32\nnum_hidden_layers = 2\nnum_key_value_heads = 2\nmax_position_embeddings = 48",
    "kind = \"gpt2\"\nn_embd = 32\nn_layer = 2\nn_positions = 48",
];

/// A text, a job on it, and its model after some steps as a directory.
fn exported(model: &str) -> (TempDir, JobSpec, Session) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.txt");
    let line = |line: usize| format!("The {line}th line says that {} is {}.\n", line * 7, line * line);
    fs::write(&path, (0..400).map(line).collect::<String>()).unwrap();
    let spec = JobSpec::parse(&format!(
        "name = \"n\"\nsteps = 40\nseed = 3\noptimiser = {{ kind = \"adamw\", learning_rate = 0.01 }}\n\
         [batch]\nmicro_batches = 2\nmicro_batch_size = 4\n\
         [data]\nkind = \"text\"\npath = {path:?}\nvocabulary = 300\nsequence_tokens = 32\n\
         [model]\nvocab_size = 300\n{model}\n"
    ))
    .unwrap();
    let mut session = Session::start(&spec, "cpu").unwrap();
    train(&mut session, &spec, 20);
    export_state(&spec, &session.state(), None, &directory.path().join("model"), false).unwrap();
    (directory, spec, session)
}

fn written(model: &LanguageModel, prompt: &str, tokens: usize, sampling: Sampling) -> (String, TextEnd) {
    let mut text = String::new();
    let append = |piece: &str| {
        text.push_str(piece);
        ControlFlow::Continue(())
    };
    let end = model.generate(prompt, tokens, &sampling, append).unwrap();
    (text, end)
}

const GREEDY: Sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };

#[test]
fn an_exported_model_writes_and_is_what_a_job_starts_from() {
    for model in MODELS {
        let (directory, spec, session) = exported(model);
        let path = directory.path().join("model");
        let read = LanguageModel::open(&path).unwrap();
        assert_eq!(read.parameters(), session.layout().elements());
        let (text, end) = written(&read, "The 12th line", 12, GREEDY);
        assert_eq!(end, TextEnd::TokensMax);
        assert!(
            ["says", "that", "is"].iter().any(|word| text.contains(word)),
            "it learnt words of the only sentence there is: {text:?}"
        );
        // Token by token from the cache, or a prompt that holds what was written: the same goes on.
        let (first, _) = written(&read, "The 12th line", 4, GREEDY);
        let (rest, _) = written(&read, &format!("The 12th line{first}"), 8, GREEDY);
        assert_eq!(first + &rest, text);
        let drawn =
            |seed| written(&read, "The 12th line", 20, Sampling { temperature: 1.5, seed, ..GREEDY }).0;
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));

        let (_, end) = written(&read, "The 12th line", 1_000, Sampling { temperature: 1.0, ..GREEDY });
        assert!(matches!(end, TextEnd::Context | TextEnd::EndOfText), "{end:?}");
        let long = read.generate(&"says ".repeat(60), 1, &GREEDY, |_| ControlFlow::Continue(()));
        let words = long.unwrap_err().to_string();
        assert!(words.ends_with("tokens, the model goes on with 1 to 47"), "{words}");
        let mut pieces = 0;
        let stop = |_: &str| {
            pieces += 1;
            ControlFlow::Break(())
        };
        assert_eq!(read.generate("The", 9, &GREEDY, stop).unwrap(), TextEnd::Stopped);
        assert_eq!(pieces, 1);

        let mut next = Session::start(&spec, "cpu").unwrap();
        next.restore(&initial_state(&spec, &path).unwrap()).unwrap();
        assert_eq!(next.parameters(), session.parameters());
    }
}

/// An error and its causes.
fn refused(directory: &Path) -> String {
    let error = LanguageModel::open(directory).err().expect("it is refused");
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ").replace(&directory.display().to_string(), "DIR")
}

fn change(directory: &Path, key: &str, value: Value) {
    let path = directory.join(CONFIG_FILE);
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(&path, config.to_string()).unwrap();
}

#[test]
fn directories_whose_files_contradict_each_other_are_refused_by_what_and_where() {
    let (directory, _, _) = exported(MODELS[0]);
    let path = directory.path().join("model");
    let path = path.as_path();
    for (key, value, back, words) in [
        (
            "hidden_size",
            json!(64),
            json!(32),
            "DIR/model.safetensors, tensor lm_head.weight: shape [300, 32] in the file, shape [300, 64] in the model",
        ),
        (
            "num_hidden_layers",
            json!(3),
            json!(2),
            "DIR/model.safetensors, tensor model.layers.2.input_layernorm.weight: missing, the model needs shape [32]",
        ),
        (
            "vocab_size",
            json!(299),
            json!(300),
            "the tokenizer has 300 ids, the model's table of embeddings 299 rows",
        ),
        (
            "model_type",
            json!("bert"),
            json!("llama"),
            "DIR/config.json describes no model that this program trains: model_type \"bert\" is not known",
        ),
    ] {
        change(path, key, value);
        let told = refused(path);
        assert!(told.contains(words), "{told}");
        change(path, key, back);
    }
    // A header that lies about its length, about a tensor's place, and a pickle under the file's name.
    let model = path.join(MODEL_FILE);
    let good = fs::read(&model).unwrap();
    let mut lying = good.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&model, &lying).unwrap();
    assert!(refused(path).contains("the header of DIR/model.safetensors is not to be trusted: it claims"));
    fs::write(&model, &good[..good.len() - 4]).unwrap();
    assert!(refused(path).contains("bytes of tensors, the file holds"), "{}", refused(path));
    fs::write(&model, b"\x80\x02}q\x00.").unwrap();
    assert!(refused(path).contains("one of Python's pickles, which run code when they are read"));
    fs::remove_file(&model).unwrap();
    fs::write(path.join("pytorch_model.bin"), b"PK\x03\x04").unwrap();
    assert!(
        refused(path).contains("pytorch_model.bin is not a safetensors file but one of Python's pickles")
    );
    fs::write(&model, &good).unwrap();
    fs::write(path.join(TOKENIZER_FILE), "{}").unwrap();
    assert!(refused(path).contains("DIR/tokenizer.json is no tokenizer"));
    fs::write(path.join(CONFIG_FILE), "[1").unwrap();
    assert!(
        refused(path).contains("DIR/config.json describes no model that this program trains: it is no JSON")
    );
}
