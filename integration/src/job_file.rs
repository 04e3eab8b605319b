//! Job files of the tests: small, quick, on real data.

/// A job on the digits; every field can be changed before it is written.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// Its name.
    pub name: String,
    /// What it trains.
    pub model: Model,
    /// The value of `data`, as TOML: a word or an inline table.
    pub data: String,
    /// How it trains.
    pub optimiser: Optimiser,
    /// Steps to do.
    pub steps: u64,
    /// Micro-batches of a step.
    pub micro_batches: u32,
    /// Samples in a micro-batch.
    pub micro_batch_size: u32,
    /// Of the optimiser.
    pub learning_rate: f64,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: u64,
    /// Steps from one test on the held-out samples to the next, 0 for one at the end.
    pub evaluation_every: u64,
    /// Tests without a better loss after which it ends, 0 for none.
    pub patience: u32,
    /// Nodes that must be there to start.
    pub nodes_min: u32,
}

/// Models of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// LeNet.
    Lenet,
    /// Two full layers.
    Mlp {
        /// Width between them.
        hidden: u32,
    },
    /// A small Llama, for text of 300 tokens.
    Llama,
}

/// Optimisers of the tests. Beside their own state they exercise everything that a schedule and clipping depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimiser {
    /// With momentum, at a constant rate.
    Sgd,
    /// With warm-up, a cosine and clipping.
    Adamw,
}

impl JobFile {
    /// A LeNet job of `steps` steps that any number of nodes can start.
    #[must_use]
    pub fn lenet(name: &str, steps: u64) -> Self {
        Self {
            name: name.to_owned(),
            model: Model::Lenet,
            data: "\"digits\"".to_owned(),
            optimiser: Optimiser::Sgd,
            steps,
            micro_batches: 12,
            micro_batch_size: 8,
            learning_rate: 0.02,
            checkpoint_every: 10,
            evaluation_every: 0,
            patience: 0,
            nodes_min: 1,
        }
    }

    /// An MLP job of `steps` steps that any number of nodes can start.
    #[must_use]
    pub fn mlp(name: &str, steps: u64) -> Self {
        Self { model: Model::Mlp { hidden: 64 }, ..Self::lenet(name, steps) }
    }

    /// A small language model on a text in the file `text.txt` of each daemon's own folder.
    #[must_use]
    pub fn llama(name: &str, steps: u64) -> Self {
        let data =
            "{ kind = \"text\", path = \"/proc/self/cwd/text.txt\", vocabulary = 300, sequence_tokens = 32 }";
        Self {
            model: Model::Llama,
            data: data.to_owned(),
            micro_batches: 4,
            micro_batch_size: 2,
            ..Self::lenet(name, steps)
        }
        .with_adamw()
    }

    /// The same with AdamW at a rate that suits it.
    #[must_use]
    pub fn with_adamw(self) -> Self {
        Self { optimiser: Optimiser::Adamw, learning_rate: 0.002, ..self }
    }

    /// The text to submit.
    #[must_use]
    pub fn toml(&self) -> String {
        let model = match self.model {
            Model::Lenet => "\"lenet\"".to_owned(),
            Model::Mlp { hidden } => format!("{{ kind = \"mlp\", hidden = [{hidden}] }}"),
            Model::Llama => "{ kind = \"llama\", vocab_size = 300, hidden_size = 32, intermediate_size = 64, \
                             num_hidden_layers = 2, num_attention_heads = 2, max_position_embeddings = 64, dropout = 0.1 }"
                .to_owned(),
        };
        let (optimiser, schedule) = match self.optimiser {
            Optimiser::Sgd => ("kind = \"sgd\"\nmomentum = 0.9", "kind = \"constant\"".to_owned()),
            Optimiser::Adamw => (
                "kind = \"adamw\"\nclip_norm = 1.0",
                format!("kind = \"cosine\"\nwarmup_steps = {}", self.steps / 10),
            ),
        };
        format!(
            r#"name = "{}"
seed = 42
steps = {}
model = {model}
data = {}
[batch]
micro_batches = {}
micro_batch_size = {}
[optimiser]
{optimiser}
learning_rate = {:?}
[schedule]
{schedule}
[evaluation]
every_steps = {}
patience = {}
[checkpoint]
every_steps = {}
keep = 3
[nodes]
min = {}
max = 16
"#,
            self.name,
            self.steps,
            self.data,
            self.micro_batches,
            self.micro_batch_size,
            self.learning_rate,
            self.evaluation_every,
            self.patience,
            self.checkpoint_every,
            self.nodes_min
        )
    }
}
