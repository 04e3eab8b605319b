//! `trainctl` on a live daemon.

use std::process::{Command, Output};

use anyhow::Context as _;
use serde_json::Value;
use traind_integration::{Cluster, Daemon};

use crate::KIT;

/// `trainctl` at the control socket of one daemon.
pub(crate) struct Shell {
    /// Path of the socket.
    pub(crate) socket: String,
}

impl Shell {
    pub(crate) fn at(daemon: &Daemon) -> Self {
        Self { socket: daemon.client().socket().display().to_string() }
    }

    /// At a daemon that holds the newest checkpoint of a job.
    pub(crate) async fn at_holder(cluster: &Cluster, job: &str) -> anyhow::Result<Self> {
        let detail = cluster.detail(job).await?;
        let holders = &detail.checkpoints.last().context("a checkpoint")?.holders;
        let holds = |daemon: &&Daemon| holders.iter().any(|holder| holder.id == daemon.node());
        cluster.daemons.iter().find(holds).map(Self::at).context("nobody holds it")
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(KIT);
        command.args(["--socket", &self.socket]).args(arguments);
        tokio::task::spawn_blocking(move || command.output()).await?.context("running trainctl")
    }

    /// What it prints, of a verb that must succeed.
    pub(crate) async fn text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments).await?;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {}", told(&output));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The JSON it prints, of a verb that must succeed: one object, or one for each line of a stream.
    pub(crate) async fn json(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let text = self.text(&[&["-o", "json"], arguments].concat()).await?;
        let values = serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<Vec<Value>, _>>();
        values.with_context(|| format!("{arguments:?}: {text}"))
    }

    /// The exit code of a verb that must fail, and what it says.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let output = self.run(arguments).await?;
        anyhow::ensure!(!output.status.success(), "{arguments:?} succeeded: {}", told(&output));
        Ok((output.status.code(), told(&output)))
    }
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
