//! Job files of the tests: small, quick, on real data.

/// A LeNet job on the digits; every field can be changed before it is written.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// Its name.
    pub name: String,
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
    /// Nodes that must be there to start.
    pub nodes_min: u32,
}

impl JobFile {
    /// A job of `steps` steps that any number of nodes can start.
    #[must_use]
    pub fn lenet(name: &str, steps: u64) -> Self {
        Self {
            name: name.to_owned(),
            steps,
            micro_batches: 12,
            micro_batch_size: 8,
            learning_rate: 0.02,
            checkpoint_every: 10,
            nodes_min: 1,
        }
    }

    /// The text to submit.
    #[must_use]
    pub fn toml(&self) -> String {
        format!(
            r#"name = "{}"
seed = 42
steps = {}
model = "lenet"
data = "digits"
[batch]
micro_batches = {}
micro_batch_size = {}
[optimiser]
kind = "sgd"
learning_rate = {:?}
momentum = 0.9
[checkpoint]
every_steps = {}
keep = 3
[nodes]
min = {}
max = 16
"#,
            self.name,
            self.steps,
            self.micro_batches,
            self.micro_batch_size,
            self.learning_rate,
            self.checkpoint_every,
            self.nodes_min
        )
    }
}
