//! Reads a directory of `transformers`, prints the logits of some tokens as JSON, and writes the model to another directory:
//! `cargo run --release -p traind-training --example hugging_face -- FROM TO TOKEN…`.

use std::path::Path;

use anyhow::{Context, Result};
use traind_training::{
    DataFacts, DirectBatch, DirectTraining, ExportFacts, JobSpec, ModelSnapshot, export_model,
    import_parameters, model_from_directory,
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (from, to) = (arguments.first().context("FROM")?, arguments.get(1).context("TO")?);
    let tokens: Vec<u32> = arguments[2..].iter().map(|token| token.parse()).collect::<Result<_, _>>()?;
    let model = model_from_directory(Path::new(from))?;
    let job = "name = \"imported\"\nsteps = 1\nmodel = \"lenet\"\ndata = \"digits\"\n";
    let spec = JobSpec { model, ..JobSpec::parse(job)? };
    let (vocabulary, _) = spec.model.language().context("no language model")?;
    let image_shape = [1, 1, tokens.len()];
    let facts = DataFacts { image_shape, classes: vocabulary, tokens: true, black: 0.0, bytes: 0 };
    let mut training = DirectTraining::<f32>::new(&spec, &facts)?;
    let parameters = import_parameters(training.layout(), Path::new(from))?;
    training.set_parameters(&parameters)?;
    let targets = vec![u32::MAX; tokens.len()];
    let batch = DirectBatch::Tokens { context: tokens.len(), tokens: &tokens, targets: &targets };
    println!("{}", serde_json::to_string(&training.logits(batch)?)?);
    let facts = ExportFacts { image_shape, classes: vocabulary, normalisation: None };
    let snapshot = ModelSnapshot { spec: &spec, facts, parameters: &parameters, step: 0, digest: None };
    export_model(&snapshot, Path::new(to), false)?;
    Ok(())
}
