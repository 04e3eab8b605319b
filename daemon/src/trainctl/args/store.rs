//! The verbs about a node's store.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(in super::super) struct StoreArguments {
    /// Look at this data directory, which no daemon uses, instead of asking one
    #[arg(long, value_name = "DIR", global = true)]
    pub(in super::super) data_dir: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub(in super::super) verb: StoreVerb,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum StoreVerb {
    /// What is in it: checkpoints, data sets, chunks, free space
    #[command(
        after_help = "Examples:\n  trainctl store status\n  trainctl store status --data-dir /var/lib/traind"
    )]
    Status,
    /// Read every manifest and chunk, and name what is damaged; exit code 1 if anything is
    #[command(after_help = "A running daemon fetches damaged chunks again from other nodes.\n\n\
        Examples:\n  trainctl store verify\n  trainctl store verify --data-dir /mnt/copy -o json")]
    Verify,
    /// Remove chunks that nothing names
    #[command(after_help = "Examples:\n  trainctl store gc --dry-run\n  trainctl store gc")]
    Gc {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Make the index of chunks anew from the manifests
    #[command(after_help = "Examples:\n  trainctl store rebuild-index\n  \
        trainctl store rebuild-index --data-dir /var/lib/traind")]
    RebuildIndex,
}
