//! Job files, good and bad.

use super::{
    BatchSpec, BestMetric, CheckpointSpec, DataSpec, DecaySpec, EvaluationSpec, JobSpec, ModelSpec,
    NodesSpec, OptimiserSpec, PrecisionSpec, Problem, ScheduleSpec, SpecError,
};

const EVERY_KEY: &str = r#"name = "lenet-digits"
seed = 42
steps = 400
model = "lenet"
data = "digits"
[batch]
micro_batches = 6
micro_batch_size = 16
[optimiser]
kind = "sgd"
learning_rate = 0.01
momentum = 0.5
weight_decay = 0.001
clip_norm = 2
[schedule]
warmup_steps = 10
[checkpoint]
every_steps = 20
keep = 5
replicas = 4
[evaluation]
every_steps = 7
[nodes]
min = 2
max = 4
"#;

/// As a job has it that says nothing of them.
const CHECKPOINTS: CheckpointSpec = CheckpointSpec {
    every_steps: 50,
    every_ms: 0,
    keep: 3,
    replicas: 2,
    keep_every: 0,
    keep_best: 0,
    best_by: BestMetric::Loss,
};

const REQUIRED_KEYS: &str = "name = \"a\"\nsteps = 1\nmodel = \"lenet\"\ndata = \"digits\"\n";

fn error(text: &str) -> SpecError {
    JobSpec::parse(text).expect_err("this job file has a mistake")
}

/// The error when `line` replaces the line of `EVERY_KEY` that starts with the same key, and that line's number.
fn error_with(line: &str) -> (SpecError, usize) {
    let key = line.split_whitespace().next().unwrap();
    let at = EVERY_KEY.lines().position(|other| other.split_whitespace().next() == Some(key)).unwrap();
    let mut lines: Vec<&str> = EVERY_KEY.lines().collect();
    lines[at] = line;
    (error(&lines.join("\n")), at + 1)
}

#[test]
fn every_key_is_read() {
    let spec = JobSpec::parse(EVERY_KEY).unwrap();
    assert_eq!(
        spec,
        JobSpec {
            name: "lenet-digits".to_owned(),
            seed: 42,
            steps: 400,
            model: ModelSpec::Lenet,
            data: DataSpec::Digits,
            data_declared: None,
            batch: BatchSpec { micro_batches: 6, micro_batch_size: 16 },
            activation_checkpointing: false,
            precision: PrecisionSpec::Float32,
            weight_decay_of: DecaySpec::All,
            ema: None,
            optimiser: OptimiserSpec::Sgd {
                learning_rate: 0.01,
                momentum: 0.5,
                weight_decay: 0.001,
                clip_norm: 2.0
            },
            schedule: ScheduleSpec::Constant { warmup_steps: 10 },
            evaluation: EvaluationSpec { every_steps: 7, patience: 0, improvement_min: 0.0 },
            checkpoint: CheckpointSpec { every_steps: 20, keep: 5, replicas: 4, ..CHECKPOINTS },
            nodes: NodesSpec { min: 2, max: 4 },
        }
    );
    assert_eq!(spec.batch_samples(), 96);
}

#[test]
fn four_keys_suffice() {
    let spec = JobSpec::parse(REQUIRED_KEYS).unwrap();
    assert_eq!(spec.seed, 0);
    assert_eq!(spec.batch, BatchSpec { micro_batches: 12, micro_batch_size: 8 });
    assert_eq!(
        spec.optimiser,
        OptimiserSpec::Sgd { learning_rate: 0.02, momentum: 0.9, weight_decay: 0.0, clip_norm: 0.0 }
    );
    assert_eq!(spec.schedule, ScheduleSpec::Constant { warmup_steps: 0 });
    assert_eq!(spec.evaluation, EvaluationSpec { every_steps: 0, patience: 0, improvement_min: 0.0 });
    assert_eq!(spec.checkpoint, CHECKPOINTS);
    assert_eq!(spec.nodes, NodesSpec { min: 1, max: 16 });
}

/// A job with these lines after the required keys but the model.
fn with(model: &str, more: &str) -> String {
    format!("name = \"a\"\nsteps = 100\ndata = \"digits\"\n{model}\n{more}\n")
}

#[test]
fn models_are_named_or_described() {
    let mlp = |hidden: &[usize]| ModelSpec::Mlp { hidden: hidden.to_vec() };
    for (text, model) in [
        ("model = \"mlp\"", mlp(&[256])),
        ("model = { kind = \"mlp\" }", mlp(&[256])),
        ("[model]\nkind = \"mlp\"\nhidden = [1, 65536, 3]", mlp(&[1, 65_536, 3])),
        ("[model]\nkind = \"lenet\"", ModelSpec::Lenet),
    ] {
        assert_eq!(JobSpec::parse(&with(text, "")).unwrap().model, model, "{text}");
    }
}

#[test]
fn every_kind_of_optimiser_and_schedule_is_read() {
    let spec = JobSpec::parse(&with("model = \"mlp\"", "[optimiser]\nkind = \"adamw\"")).unwrap();
    let adamw = OptimiserSpec::Adamw {
        learning_rate: 0.001,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
        clip_norm: 0.0,
    };
    assert_eq!(spec.optimiser, adamw);
    let more = "optimiser = \"adamw\"\nschedule = \"linear\"";
    let spec = JobSpec::parse(&with("model = \"mlp\"", more)).unwrap();
    assert_eq!(spec.optimiser, adamw);
    assert_eq!(spec.schedule, ScheduleSpec::Linear { warmup_steps: 0, final_factor: 0.0 });
    let more = "[schedule]\nkind = \"cosine\"\nwarmup_steps = 100\nfinal_factor = 1\n[optimiser]\nkind = \"adamw\"\n\
                learning_rate = 0.5\nbeta1 = 0\nbeta2 = 0.5\nepsilon = 1\nweight_decay = 0\nclip_norm = 0.25";
    let spec = JobSpec::parse(&with("model = \"mlp\"", more)).unwrap();
    assert_eq!(spec.schedule, ScheduleSpec::Cosine { warmup_steps: 100, final_factor: 1.0 });
    let OptimiserSpec::Adamw {
        learning_rate: 0.5,
        beta1: 0.0,
        beta2: 0.5,
        epsilon: 1.0,
        weight_decay: 0.0,
        ..
    } = spec.optimiser
    else {
        panic!("{spec:?}")
    };
    assert_eq!(
        (spec.optimiser.clip_norm(), spec.learning_rate_at(0), spec.learning_rate_at(99)),
        (0.25, 0.005, 0.5)
    );
}

#[test]
fn a_key_of_another_kind_is_refused_with_its_owner() {
    for (section, line, expected) in [
        (
            "[optimiser]\nkind = \"adamw\"\nmomentum = 0.9",
            6,
            "`optimiser.momentum` belongs to kind \"sgd\", not to \"adamw\" (allowed: kind, learning_rate, \
             weight_decay, clip_norm, beta1, beta2, epsilon)",
        ),
        (
            "[optimiser]\nbeta2 = 0.9",
            5,
            "`optimiser.beta2` belongs to kind \"adamw\" and \"lion\", not to \"sgd\" (allowed: kind, learning_rate, \
             weight_decay, clip_norm, momentum)",
        ),
        (
            "[schedule]\nwarmup_steps = 1\nfinal_factor = 0.5",
            6,
            "`schedule.final_factor` belongs to kind \"linear\", \"cosine\" and \"wsd\", not to \"constant\" \
             (allowed: kind, warmup_steps, warmup_tokens)",
        ),
        (
            "[model]\nkind = \"lenet\"\nhidden = [3]",
            6,
            "`model.hidden` belongs to kind \"mlp\", not to \"lenet\" (allowed: kind)",
        ),
    ] {
        let model = if section.starts_with("[model]") { "" } else { "model = \"mlp\"\n" };
        let line = if model.is_empty() { line } else { line + 1 };
        let keys = format!("name = \"a\"\nsteps = 100\ndata = \"digits\"\n{model}");
        assert_eq!(error(&format!("{keys}{section}\n")).to_string(), format!("line {line}: {expected}"));
    }
}

#[test]
fn mistakes_in_models_optimisers_and_schedules_are_refused_with_line_and_key() {
    for (section, key) in [
        ("[model]\nkind = \"gpt\"", "model.kind"),
        ("[model]\nkind = \"mlp\"\nhidden = []", "model.hidden"),
        ("[model]\nkind = \"mlp\"\nhidden = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "model.hidden"),
        ("[model]\nkind = \"mlp\"\nhidden = [3, 0]", "model.hidden"),
        ("[model]\nkind = \"mlp\"\nhidden = [65537]", "model.hidden"),
        ("[optimiser]\nkind = \"adam\"", "optimiser.kind"),
        ("[optimiser]\nclip_norm = -1", "optimiser.clip_norm"),
        ("[optimiser]\nclip_norm = inf", "optimiser.clip_norm"),
        ("[optimiser]\nkind = \"adamw\"\nbeta1 = 1", "optimiser.beta1"),
        ("[optimiser]\nkind = \"adamw\"\nbeta2 = 0.99999999999", "optimiser.beta2"),
        ("[optimiser]\nkind = \"adamw\"\nbeta2 = -0.1", "optimiser.beta2"),
        ("[optimiser]\nkind = \"adamw\"\nepsilon = 0", "optimiser.epsilon"),
        ("[optimiser]\nkind = \"adamw\"\nepsilon = 1.5", "optimiser.epsilon"),
        ("[schedule]\nkind = \"step\"", "schedule.kind"),
        ("[schedule]\nwarmup_steps = 101", "schedule.warmup_steps"),
        ("[schedule]\nwarmup_steps = -1", "schedule.warmup_steps"),
        ("[schedule]\nkind = \"cosine\"\nfinal_factor = 1.01", "schedule.final_factor"),
        ("[evaluation]\nevery_steps = 1000000001", "evaluation.every_steps"),
    ] {
        let model = if section.starts_with("[model]") { "colon = 1" } else { "model = \"mlp\"" };
        let text = with(model, section).replace("colon = 1\n", "\n");
        let found = error(&text);
        assert!(matches!(found.problem, Problem::NotAllowed(_)), "{section}: {found}");
        assert_eq!((found.key.as_str(), found.line), (key, 4 + section.lines().count()), "{section}");
    }
    let found = error(&with("model = \"mlp\"", "[schedule]\nwarmup_steps = 101"));
    assert_eq!(
        found.to_string(),
        "line 6: `schedule.warmup_steps` is 101 (allowed: at most steps, which is 100)"
    );
    for (section, meant) in [
        ("[model]\nkind = \"mlp\"\nhiden = [3]", "model.hidden"),
        ("[optimiser]\nbeta_2 = 0.9", "optimiser.beta2"),
        ("[schedule]\nwarm_up_steps = 3", "schedule.warmup_steps"),
        ("[evaluation]\nevery_step = 3", "evaluation.every_steps"),
    ] {
        let problem = Problem::UnknownKey { meant: Some(meant.to_owned()) };
        let model = if section.starts_with("[model]") { "" } else { "model = \"mlp\"" };
        assert_eq!(error(&with(model, section)).problem, problem, "{section}");
    }
    let found = error(&with("model = 3", ""));
    assert_eq!(
        found.to_string(),
        "line 4: `model` is of type integer (allowed: \"lenet\", \"mlp\", \"llama\", \"gpt2\", \"sequential\", or a table)"
    );
    let found = error(&with("model = { kind = \"mlp\", hidden = 3 }", ""));
    assert_eq!((found.problem, found.line), (Problem::WrongType("integer"), 4));
}

#[test]
fn what_is_written_reads_back() {
    let mlp = with(
        "[model]\nkind = \"mlp\"\nhidden = [8, 9]",
        "[optimiser]\nkind = \"adamw\"\nclip_norm = 0.1\n[schedule]\nkind = \"linear\"\nfinal_factor = 0.3",
    );
    for text in [EVERY_KEY, REQUIRED_KEYS, &mlp] {
        let spec = JobSpec::parse(text).unwrap();
        assert_eq!(JobSpec::parse(&toml::to_string(&spec).unwrap()), Ok(spec));
    }
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    let found = error("name = \"a\"\nsteps = = 3\n");
    assert_eq!(found.line, 2);
    assert!(matches!(found.problem, Problem::Syntax(_)));
    assert!(found.to_string().starts_with("line 2: not valid TOML: "), "{found}");
    let twice = error(&format!("{REQUIRED_KEYS}steps = 2\n"));
    assert_eq!(twice.line, 5);
    let long = error(&"#".repeat(64 * 1024 + 1));
    assert!(matches!(long.problem, Problem::NotAllowed(_)));
}

#[test]
fn an_unknown_key_is_refused_and_the_likely_one_named() {
    for (wrong, line, key, meant) in [
        ("stepz = 4", 5, "stepz", Some("steps")),
        ("[optimizer]", 5, "optimizer", Some("optimiser")),
        ("[batch]\nmicrobatches = 4", 6, "batch.microbatches", Some("batch.micro_batches")),
        ("[optimiser]\nlr = 0.1", 6, "optimiser.lr", None),
        ("[nodes]\n\nmni = 3", 7, "nodes.mni", Some("nodes.min")),
        ("checkpoint.evry_steps = 3", 5, "checkpoint.evry_steps", Some("checkpoint.every_steps")),
        ("colour = 3", 5, "colour", None),
    ] {
        let found = error(&format!("{REQUIRED_KEYS}{wrong}\n"));
        let problem = Problem::UnknownKey { meant: meant.map(str::to_owned) };
        assert_eq!((found.line, found.key.as_str(), &found.problem), (line, key, &problem), "{wrong}");
    }
    let found = error(&format!("{REQUIRED_KEYS}[nodes]\nmaxx = 3\n"));
    assert_eq!(
        found.to_string(),
        "line 6: unknown key `nodes.maxx`, did you mean `nodes.max`? (allowed: min, max)"
    );
}

#[test]
fn a_missing_key_is_named() {
    for key in ["name", "steps", "model", "data"] {
        let lines: Vec<&str> = REQUIRED_KEYS.lines().filter(|line| !line.starts_with(key)).collect();
        let found = error(&lines.join("\n"));
        assert_eq!((found.line, found.key.as_str(), found.problem), (1, key, Problem::Missing));
    }
    assert_eq!(
        error("").to_string(),
        "line 1: `name` is missing (allowed: 1 to 64 characters of a-z, 0-9 and -)"
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    for (line, key, found_type) in [
        ("name = 3", "name", "integer"),
        ("seed = \"42\"", "seed", "string"),
        ("steps = 1.5", "steps", "float"),
        ("model = [\"lenet\"]", "model", "array"),
        ("micro_batches = true", "batch.micro_batches", "boolean"),
        ("learning_rate = \"fast\"", "optimiser.learning_rate", "string"),
        ("max = 2.0", "nodes.max", "float"),
    ] {
        let (found, at) = error_with(line);
        assert_eq!(found.problem, Problem::WrongType(found_type), "{line}");
        assert_eq!((found.key.as_str(), found.line), (key, at), "{line}");
    }
    let found = error(&format!("{REQUIRED_KEYS}batch = 3\n"));
    assert_eq!(found.to_string(), "line 5: `batch` is of type integer (allowed: a table)");
}

#[test]
fn a_value_out_of_range_is_refused() {
    let long_name = format!("name = \"{}\"", "a".repeat(65));
    for (line, key) in [
        ("name = \"\"", "name"),
        ("name = \"Lenet\"", "name"),
        ("name = \"../x\"", "name"),
        (long_name.as_str(), "name"),
        ("seed = -1", "seed"),
        ("seed = 9223372036854775808", "seed"),
        ("steps = 0", "steps"),
        ("steps = 1000000001", "steps"),
        ("model = \"gpt\"", "model"),
        ("data = \"mnist\"", "data"),
        ("micro_batches = 0", "batch.micro_batches"),
        ("micro_batches = 1025", "batch.micro_batches"),
        ("micro_batch_size = 0", "batch.micro_batch_size"),
        ("micro_batch_size = 4097", "batch.micro_batch_size"),
        ("kind = \"adam\"", "optimiser.kind"),
        ("learning_rate = 0", "optimiser.learning_rate"),
        ("learning_rate = -0.1", "optimiser.learning_rate"),
        ("learning_rate = inf", "optimiser.learning_rate"),
        ("learning_rate = nan", "optimiser.learning_rate"),
        ("learning_rate = 1e-60", "optimiser.learning_rate"),
        ("momentum = 1.0", "optimiser.momentum"),
        ("momentum = 0.99999999999", "optimiser.momentum"),
        ("momentum = -0.1", "optimiser.momentum"),
        ("weight_decay = -0.1", "optimiser.weight_decay"),
        ("weight_decay = 1.5", "optimiser.weight_decay"),
        ("every_steps = 0", "checkpoint.every_steps"),
        ("keep = 0", "checkpoint.keep"),
        ("keep = 65", "checkpoint.keep"),
        ("replicas = 0", "checkpoint.replicas"),
        ("replicas = 65", "checkpoint.replicas"),
        ("min = 0", "nodes.min"),
        ("max = 65", "nodes.max"),
        ("min = 5", "nodes.min"),
    ] {
        let (found, at) = error_with(line);
        assert!(matches!(found.problem, Problem::NotAllowed(_)), "{line}: {found}");
        assert_eq!((found.key.as_str(), found.line), (key, at), "{line}");
    }
    assert_eq!(
        error_with("micro_batches = 2_000").0.to_string(),
        "line 7: `batch.micro_batches` is 2000 (allowed: a whole number from 1 to 1024)"
    );
}

#[test]
fn the_ends_of_ranges_and_whole_numbers_for_numbers_are_allowed() {
    for (from, to) in [
        ("steps = 400", "steps = 1000000000"),
        ("seed = 42", "seed = 9223372036854775807"),
        ("micro_batches = 6", "micro_batches = 1024"),
        ("micro_batch_size = 16", "micro_batch_size = 4096"),
        ("learning_rate = 0.01", "learning_rate = 1"),
        ("momentum = 0.5", "momentum = 0"),
        ("max = 4", "max = 64"),
        ("min = 2", "min = 4"),
    ] {
        JobSpec::parse(&EVERY_KEY.replace(from, to)).unwrap();
    }
}

#[test]
fn min_nodes_above_the_default_raise_the_default_of_max() {
    let many = "[batch]\nmicro_batches = 20\n";
    let spec = JobSpec::parse(&format!("{REQUIRED_KEYS}{many}[nodes]\nmin = 20\n")).unwrap();
    assert_eq!(spec.nodes, NodesSpec { min: 20, max: 20 });
}

#[test]
fn more_nodes_than_micro_batches_are_refused() {
    let error = JobSpec::parse(&format!("{REQUIRED_KEYS}[nodes]\nmin = 13\n")).unwrap_err();
    assert_eq!(error.key, "nodes.min");
    assert!(error.to_string().contains("at most batch.micro_batches, which is 12"), "{error}");
}
