//! The verbs about checkpoints.

use std::path::PathBuf;

use clap::Subcommand;

/// A checkpoint on the command line: `JOB` for the newest, `JOB@STEP` for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct CheckpointName {
    /// Id, unique prefix of one, or name.
    pub(in super::super) job: String,
    /// Steps applied.
    pub(in super::super) step: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum CheckpointVerb {
    /// List checkpoints, of all jobs or of one, and why each is kept
    #[command(after_help = "Examples:\n  trainctl checkpoint ls\n  trainctl checkpoint ls lenet-digits")]
    Ls {
        /// Id, unique prefix of one, or name
        job: Option<String>,
    },
    /// Everything about one checkpoint
    #[command(
        after_help = "Examples:\n  trainctl checkpoint show lenet-digits\n  trainctl checkpoint show lenet-digits@200"
    )]
    Show {
        /// JOB or JOB@STEP; the job by id, unique prefix of one, or name
        #[arg(value_name = "JOB[@STEP]", value_parser = parse_name)]
        job: CheckpointName,
        /// Steps applied [default: the newest]
        step: Option<u64>,
    },
    /// Read every byte of a checkpoint on this node; exit code 1 if it cannot be restored
    #[command(after_help = "Damaged chunks are fetched again from other holders.\n\nExamples:\n  \
        trainctl checkpoint verify lenet-digits\n  trainctl checkpoint verify lenet-digits@200 -o json")]
    Verify {
        /// JOB or JOB@STEP; the job by id, unique prefix of one, or name
        #[arg(value_name = "JOB[@STEP]", value_parser = parse_name)]
        checkpoint: CheckpointName,
    },
    /// Keep a checkpoint until it is unpinned, whatever the job's own rules say
    #[command(after_help = "Example:\n  trainctl checkpoint pin lenet-digits@200")]
    Pin {
        /// JOB or JOB@STEP; the job by id, unique prefix of one, or name
        #[arg(value_name = "JOB[@STEP]", value_parser = parse_name)]
        checkpoint: CheckpointName,
    },
    /// Let the job's own rules decide about a checkpoint again
    #[command(
        after_help = "It goes with the job's next checkpoint, or with `trainctl checkpoint prune`.\n\n\
        Example:\n  trainctl checkpoint unpin lenet-digits@200"
    )]
    Unpin {
        /// JOB or JOB@STEP; the job by id, unique prefix of one, or name
        #[arg(value_name = "JOB[@STEP]", value_parser = parse_name)]
        checkpoint: CheckpointName,
    },
    /// Forget checkpoints that nothing keeps, and say why the others stay
    #[command(after_help = "Examples:\n  trainctl checkpoint prune lenet-digits --dry-run\n  \
        trainctl checkpoint prune lenet-digits --keep 1     of a job that does not run")]
    Prune {
        /// Id, unique prefix of one, or name
        job: String,
        /// Of the newest keep so many [default: as the job says]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
        keep: Option<u32>,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Write a checkpoint as model.safetensors and config.json, as PyTorch loads them
    #[command(after_help = "Examples:\n  trainctl checkpoint export lenet-digits --out ./model\n  \
        trainctl checkpoint export lenet-digits --step 200 --out ./model --force")]
    Export {
        /// Id, unique prefix of one, or name
        job: String,
        /// Steps applied [default: the newest]
        #[arg(long)]
        step: Option<u64>,
        /// Directory to write to, made if missing
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Replace files that are there
        #[arg(long)]
        force: bool,
    },
    /// Take in an exported model, or a checkpoint out of another data directory
    #[command(
        after_help = "The path is read by the daemon, on its machine. A model gets a name, and jobs start from it by\n\
        `trainctl job submit JOB.toml --from set:NAME`. A manifest of a job of this swarm goes back\n\
        to its job, pinned.\n\nExamples:\n  trainctl checkpoint import ./model --name first-try\n  \
        trainctl checkpoint import /mnt/old/manifests/0a1b….manifest"
    )]
    Import {
        /// A directory with model.safetensors, such a file, or a file that ends in .manifest
        path: PathBuf,
        /// Of a model: letters, digits and -_.
        #[arg(long)]
        name: Option<String>,
        /// Of a manifest: the folder of its chunks [default: ../chunks beside it]
        #[arg(long, value_name = "DIR", conflicts_with = "name")]
        chunks: Option<PathBuf>,
    },
    /// Take a job that is paused or has ended back to one of its checkpoints; it is paused there
    #[command(
        after_help = "What came after is given up, but for pinned checkpoints, which are set aside.\n\n\
        Examples:\n  trainctl checkpoint rollback lenet-digits@200\n  \
        trainctl checkpoint rollback lenet-digits@0        from its beginning\n  trainctl job resume lenet-digits"
    )]
    Rollback {
        /// JOB@STEP; the job by id, unique prefix of one, or name
        #[arg(value_name = "JOB@STEP", value_parser = parse_name_with_step)]
        checkpoint: CheckpointName,
    },
}

/// Reads `JOB`, `JOB@STEP` or, as `-o name` writes it, `JOB/STEP`.
fn parse_name(text: &str) -> Result<CheckpointName, String> {
    let (job, step) = match text.rsplit_once(['@', '/']) {
        None => (text, None),
        Some((job, step)) => {
            let step =
                step.parse().map_err(|_| "allowed: JOB or JOB@STEP, the step a whole number".to_owned())?;
            (job, Some(step))
        }
    };
    if job.is_empty() {
        return Err("allowed: JOB or JOB@STEP".to_owned());
    }
    Ok(CheckpointName { job: job.to_owned(), step })
}

/// The same with a step.
fn parse_name_with_step(text: &str) -> Result<CheckpointName, String> {
    let name = parse_name(text)?;
    if name.step.is_none() {
        return Err("allowed: JOB@STEP, as `trainctl checkpoint ls JOB` lists them, or JOB@0".to_owned());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_named_by_job_and_step() {
        let name = |job: &str, step| Ok(CheckpointName { job: job.to_owned(), step });
        assert_eq!(parse_name("lenet"), name("lenet", None));
        assert_eq!(parse_name("lenet@200"), name("lenet", Some(200)));
        assert_eq!(parse_name("0a11/5"), name("0a11", Some(5)));
        for bad in ["@5", "lenet@", "lenet@x", "lenet@-1", ""] {
            assert!(parse_name(bad).is_err(), "{bad:?}");
        }
        assert!(parse_name_with_step("lenet").is_err() && parse_name_with_step("lenet@0").is_ok());
    }
}
