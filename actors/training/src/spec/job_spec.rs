//! A job: what is trained, on what, and how. The result is a function of it alone.

use std::{ops::Range, path::PathBuf};

use serde::Serialize;
use toml::{Spanned, de::DeTable};

use super::{
    checkpoint_spec::CheckpointSpec,
    data_spec::DataSpec,
    evaluation_spec::EvaluationSpec,
    model_spec::ModelSpec,
    optimiser_spec::{DecaySpec, OptimiserSpec},
    schedule_spec::ScheduleSpec,
    spec_error::{Problem, SpecError},
    table_reader::{TableReader, line_of},
};

/// Longest job file, in bytes: a hundred times a file that states every key.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest name: it must fit a table's column and a file name.
const NAME_CHARACTERS_MAX: usize = 64;
/// TOML promises integers up to 2^63 - 1.
const SEEDS: Range<u64> = 0..1 << 63;
/// Steps of the longest job: 30 years at one a second; sample positions stay below 2^63 with the largest batch.
pub(crate) const STEPS: Range<u64> = 1..1_000_000_001;
/// Micro-batches of a step: one bit each in the sets that nodes exchange.
const MICRO_BATCHES: Range<u32> = 1..1025;
/// Samples of a micro-batch: its activations must fit the memory of a small node.
const MICRO_BATCH_SIZES: Range<u32> = 1..4097;
/// Nodes of a job: no swarm has more.
const NODES: Range<u32> = 1..65;

const ROOT_KEYS: [&str; 15] = [
    "name",
    "seed",
    "steps",
    "model",
    "data",
    "batch",
    "activation_checkpointing",
    "precision",
    "weight_decay_of",
    "ema",
    "optimiser",
    "schedule",
    "evaluation",
    "checkpoint",
    "nodes",
];

/// A checked job description.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobSpec {
    /// For people: 1 to 64 of `a-z`, `0-9`, `-`.
    pub name: String,
    /// Decides the initial parameters and the order of samples. Default 0.
    pub seed: u64,
    /// Optimiser updates, 1 to 10^9.
    pub steps: u64,
    /// What is trained.
    pub model: ModelSpec,
    /// What it is trained on.
    pub data: DataSpec,
    /// The same as the job file says it, where `data` has the paths of one node in the place of data sets.
    #[serde(skip)]
    pub data_declared: Option<DataSpec>,
    /// The global batch of a step.
    pub batch: BatchSpec,
    /// Whether activations are forgotten and computed again in the backward pass: less memory, more time, the same bits. Default
    /// false.
    pub activation_checkpointing: bool,
    /// How a mean gradient changes the parameters.
    pub optimiser: OptimiserSpec,
    /// Which parameters the optimiser's weight decay is for. Default all.
    pub weight_decay_of: DecaySpec,
    /// What layers read the parameters as. Default `float32`.
    pub precision: PrecisionSpec,
    /// An average of the parameters that is tested and exported in their place. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
    /// How the learning rate changes with the steps.
    pub schedule: ScheduleSpec,
    /// When the model is tested.
    pub evaluation: EvaluationSpec,
    /// When the state is saved.
    pub checkpoint: CheckpointSpec,
    /// How many nodes may take part.
    pub nodes: NodesSpec,
}

/// The global batch: `micro_batches × micro_batch_size` samples a step, whatever the number of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BatchSpec {
    /// Micro-batches of a step, 1 to 1024: the unit that is leased to nodes. Default 12.
    pub micro_batches: u32,
    /// Samples of a micro-batch, 1 to 4096. Default 8.
    pub micro_batch_size: u32,
}

/// The form in which layers read the parameters. The optimiser's copy is of 32 bits, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionSpec {
    /// As the optimiser has them.
    #[default]
    Float32,
    /// Rounded to bfloat16, half the memory; sums and products stay in 32 bits.
    Bfloat16,
}

/// An exponential moving average of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EmaSpec {
    /// What stays of the average in each update, from 0 to below 1. Default 0.999.
    pub decay: f64,
}

/// How many nodes may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NodesSpec {
    /// The job waits for so many, 1 to 64, at most as many as there are micro-batches. Default 1.
    pub min: u32,
    /// No more than so many, `min` to 64. Default 16.
    pub max: u32,
}

impl JobSpec {
    /// Reads a job file.
    ///
    /// # Errors
    /// The first mistake, with its line, its key and what is allowed: text that is no TOML, an unknown or missing key, a
    /// value of another type or out of its range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let table = parse_table(text)?;
        let root = TableReader::root(text, table.get_ref(), &ROOT_KEYS)?;
        let name = root.string("name", parse_name, "1 to 64 characters of a-z, 0-9 and -", None)?;
        let seed = root.integer("seed", SEEDS, Some(0))?;
        let steps = root.integer("steps", STEPS, None)?;
        let (data, batch) = (DataSpec::read(&root)?, BatchSpec::read(&root)?);
        let samples = u64::from(batch.micro_batches) * u64::from(batch.micro_batch_size);
        let tokens_per_step = data.context().map(|context| samples * context);
        let optimiser = OptimiserSpec::read(&root)?;
        let decay_of = |name: &str| match name {
            "all" => Some(DecaySpec::All),
            "matrices" => Some(DecaySpec::Matrices),
            _ => None,
        };
        let precision = |name: &str| match name {
            "float32" => Some(PrecisionSpec::Float32),
            "bfloat16" => Some(PrecisionSpec::Bfloat16),
            _ => None,
        };
        let evaluation = EvaluationSpec::read(&root)?;
        Ok(Self {
            name,
            seed,
            steps,
            model: ModelSpec::read(&root)?,
            data,
            data_declared: None,
            batch,
            activation_checkpointing: root.boolean("activation_checkpointing", false)?,
            optimiser,
            weight_decay_of: root.string(
                "weight_decay_of",
                decay_of,
                "\"all\", \"matrices\"",
                Some(DecaySpec::All),
            )?,
            precision: root.string(
                "precision",
                precision,
                "\"float32\", \"bfloat16\"",
                Some(PrecisionSpec::Float32),
            )?,
            ema: EmaSpec::read(&root)?,
            schedule: ScheduleSpec::read(&root, steps, tokens_per_step)?,
            evaluation,
            checkpoint: CheckpointSpec::read(&root, evaluation.every_steps)?,
            nodes: NodesSpec::read(&root, batch.micro_batches)?,
        })
    }

    /// Puts paths in the place of data sets: `path_of` knows where a set of this name is on this node. Which node that is
    /// decides no number and no digest.
    ///
    /// # Errors
    /// The name of a set that it does not know.
    pub fn localise(&mut self, path_of: impl Fn(&str) -> Option<PathBuf>) -> Result<(), String> {
        let declared = self.data.clone();
        self.data.localise(path_of)?;
        if self.data != declared {
            self.data_declared.get_or_insert(declared);
        }
        Ok(())
    }

    /// Vectors as long as the parameters that are kept beside them: moments and the average.
    pub(crate) fn kept_vectors(&self) -> usize {
        self.optimiser.moments() + usize::from(self.ema.is_some())
    }

    /// Samples of a step: the global batch.
    #[must_use]
    pub fn batch_samples(&self) -> u64 {
        u64::from(self.batch.micro_batches) * u64::from(self.batch.micro_batch_size)
    }

    /// The learning rate of the update that follows `step` updates: the optimiser's, times the schedule's factor. A pure
    /// function with the same bits on every machine.
    #[must_use]
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        self.optimiser.learning_rate() * self.schedule.factor_at(step, self.steps)
    }
}

/// Text as TOML, not too long.
pub(super) fn parse_table(text: &str) -> Result<Spanned<DeTable<'_>>, SpecError> {
    let whole_text = |at: usize, problem| SpecError {
        line: line_of(text, at),
        key: String::new(),
        problem,
        allowed: "a job file in TOML of at most 64 KiB".to_owned(),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(whole_text(0, Problem::NotAllowed(format!("{} bytes long", text.len()))));
    }
    DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        whole_text(at, Problem::Syntax(error.message().to_owned()))
    })
}

fn parse_name(name: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ((1..=NAME_CHARACTERS_MAX).contains(&name.len()) && name.bytes().all(is_allowed)).then(|| name.to_owned())
}

impl BatchSpec {
    fn read(root: &TableReader<'_>) -> Result<Self, SpecError> {
        let table = root.section("batch", &["micro_batches", "micro_batch_size"])?;
        Ok(Self {
            micro_batches: table.integer_u32("micro_batches", MICRO_BATCHES, 12)?,
            micro_batch_size: table.integer_u32("micro_batch_size", MICRO_BATCH_SIZES, 8)?,
        })
    }
}

impl EmaSpec {
    fn read(root: &TableReader<'_>) -> Result<Option<Self>, SpecError> {
        if !root.has("ema") {
            return Ok(None);
        }
        let table = root.section("ema", &["decay"])?;
        let is_decay = |decay: f64| (0.0..1.0).contains(&decay) && (decay as f32) < 1.0;
        let decay = table.number("decay", is_decay, "a number from 0 to below 1", 0.999)?;
        Ok(Some(Self { decay }))
    }
}

impl NodesSpec {
    fn read(root: &TableReader<'_>, micro_batches: u32) -> Result<Self, SpecError> {
        let table = root.section("nodes", &["min", "max"])?;
        let min = table.integer_u32("min", NODES, 1)?;
        let max = table.integer_u32("max", NODES, min.max(16))?;
        if min > max {
            return Err(table.conflict(
                "min",
                min.to_string(),
                &format!("at most nodes.max, which is {max}"),
            ));
        }
        if min > micro_batches {
            let allowed = format!("at most batch.micro_batches, which is {micro_batches}");
            return Err(table.conflict("min", min.to_string(), &allowed));
        }
        Ok(Self { min, max })
    }
}
