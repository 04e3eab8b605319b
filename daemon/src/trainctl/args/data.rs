//! The verbs about data sets.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in super::super) enum DataVerb {
    /// Give a file or folder a name; jobs use it as `path = "set:NAME"`, and nodes fetch it
    #[command(after_help = "The path is read by the daemon, on its machine.\n\nExamples:\n  \
        trainctl data add mnist /data/mnist\n  trainctl data add rows /data/rows.csv --header --label class\n  trainctl data add cats /data/cats     \
        pictures as CLASS/x.png")]
    Add {
        /// Letters, digits and -_.
        name: String,
        /// A file, or a folder of files
        path: PathBuf,
        /// idx, csv, text, jsonl, images or files [default: by the path]
        #[arg(long)]
        kind: Option<String>,
        /// Column of a table that is the class, as it would be in a job
        #[arg(long)]
        label: Option<String>,
        /// The first line of a table names its columns
        #[arg(long)]
        header: bool,
        /// Field of each line of a JSONL file that is the text [default: text]
        #[arg(long)]
        field: Option<String>,
    },
    /// List data sets
    #[command(after_help = "Examples:\n  trainctl data ls\n  trainctl data ls -o wide")]
    Ls,
    /// Everything about one data set
    #[command(after_help = "Example:\n  trainctl data show mnist")]
    Show {
        /// Its name
        name: String,
    },
    /// Read every byte of a data set on this node; what is damaged is fetched again
    #[command(after_help = "Example:\n  trainctl data verify mnist")]
    Verify {
        /// Its name
        name: String,
    },
    /// Forget a data set that no job needs; all nodes delete it
    #[command(after_help = "Example:\n  trainctl data rm mnist")]
    Rm {
        /// Its name
        name: String,
    },
}
