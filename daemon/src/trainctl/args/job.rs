//! The verbs of `trainctl job`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(in super::super) enum JobVerb {
    /// Submit a job file; ends when the nodes have checked that they can run it
    #[command(after_help = "Examples:\n  trainctl job submit configs/jobs/lenet-digits.toml --follow\n  \
        trainctl job submit JOB.toml --from ./model       start from ./model/model.safetensors\n  \
        trainctl job submit JOB.toml --dry-run            check it, submit nothing")]
    Submit {
        /// Job file
        file: PathBuf,
        /// Start from model.safetensors in this directory, or in hf:OWNER/NAME[@REVISION]
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// Show progress until the job has ended
        #[arg(long)]
        follow: bool,
        /// Let the daemon check the job, and submit nothing
        #[arg(long, conflicts_with = "follow")]
        dry_run: bool,
    },
    /// List all jobs, and say why those wait that do
    #[command(after_help = "Examples:\n  trainctl job ls\n  trainctl job ls -o wide")]
    Ls,
    /// Everything about one job: members, views, work, checkpoints, result
    #[command(after_help = "Examples:\n  trainctl job show lenet-digits\n  trainctl job show 3fa2 -o json")]
    Show {
        /// Id, unique prefix of one, or name
        job: String,
    },
    /// Which samples went into a step, and where they were computed
    #[command(after_help = "Examples:\n  trainctl job samples lenet-digits --step 812\n  \
        trainctl job samples lenet-digits --step 812 -o json")]
    Samples {
        /// Id, unique prefix of one, or name
        job: String,
        /// The step, counted from 1
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        step: u64,
    },
    /// What the daemon's log says about a job
    #[command(
        after_help = "Examples:\n  trainctl job logs lenet-digits --tail 20\n  trainctl job logs lenet-digits -f"
    )]
    Logs {
        /// Id, unique prefix of one, or name
        job: String,
        /// Go on with new lines until the job has ended
        #[arg(short, long)]
        follow: bool,
        /// Old lines at most
        #[arg(long, value_name = "N")]
        tail: Option<u64>,
    },
    /// Loss, learning rate, gradient norm and test accuracy by step
    #[command(after_help = "Examples:\n  trainctl job metrics lenet-digits\n  \
        trainctl job metrics lenet-digits --format csv > curve.csv\n  trainctl job metrics lenet-digits -f")]
    Metrics {
        /// Id, unique prefix of one, or name
        job: String,
        /// Form of the numbers [default: as --output says]
        #[arg(long, value_enum)]
        format: Option<MetricsFormat>,
        /// Steps after this one only
        #[arg(long, value_name = "STEP")]
        since_step: Option<u64>,
        /// Go on with new steps until the job has ended
        #[arg(short, long)]
        follow: bool,
    },
    /// Wait until a job has ended; exit code 0 finished, 6 timed out, 7 failed or cancelled
    #[command(after_help = "Example:\n  trainctl job wait lenet-digits --timeout 10m")]
    Wait {
        /// Id, unique prefix of one, or name
        job: String,
    },
    /// Let a job finish its step, keep its state and wait
    #[command(after_help = "Example:\n  trainctl job pause lenet-digits")]
    Pause {
        /// Id, unique prefix of one, or name
        job: String,
    },
    /// Let a paused job go on where it stopped
    #[command(after_help = "Example:\n  trainctl job resume lenet-digits")]
    Resume {
        /// Id, unique prefix of one, or name
        job: String,
    },
    /// Stop a job for good
    #[command(after_help = "Example:\n  trainctl job cancel lenet-digits")]
    Cancel {
        /// Id, unique prefix of one, or name
        job: String,
    },
}

/// Form of the numbers of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum MetricsFormat {
    /// For people.
    Table,
    /// For spreadsheets and data frames: a head, then a line per step, all digits.
    Csv,
    /// For programs: one versioned JSON object per line.
    Jsonl,
}
