//! `trainctl drain`, `undrain` and `leave`.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;

use super::super::args::{DrainArguments, OutputFormat};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::render;
use super::{ask, unexpected};
use crate::control::Client;
use crate::control::api::{NodeDetail, Request, Response, StreamItem};
use crate::exit_code;

/// `trainctl drain`.
pub(in super::super) async fn drain(
    socket: &Path,
    arguments: DrainArguments,
    output: &Output,
) -> Result<u8, Failure> {
    let DrainArguments { node, this: _, reason, deadline, no_wait } = arguments;
    let request = Request::NodeDrain { node, reason, until_restart: false };
    let detail = node_detail(ask(socket, &request, output).await?)?;
    if no_wait {
        return tell(detail, output);
    }
    let waited = until_drained(socket, &detail, output);
    let drained = match deadline {
        None => waited.await?,
        Some(limit) => tokio::time::timeout(limit, waited).await.map_err(|_elapsed| {
            let message = format!("{} is not drained after {} s", detail.row.name, limit.as_secs());
            Failure::new(exit_code::TIMED_OUT, message)
                .because("only the waiting ended: the drain goes on")
                .next(format!("trainctl node show {}", detail.row.name))
        })??,
    };
    tell(drained, output)
}

/// Prints how the drain is: a word and a name, not everything about the node.
fn tell(detail: NodeDetail, output: &Output) -> Result<u8, Failure> {
    match output.format {
        OutputFormat::Table | OutputFormat::Wide => {
            output.write(&render::printable(&render::drained(&detail)))?;
        }
        _ => output.answer(&Response::NodeDetail(Box::new(detail)))?,
    }
    Ok(exit_code::OK)
}

/// Waits, and says for what.
async fn until_drained(socket: &Path, node: &NodeDetail, output: &Output) -> Result<NodeDetail, Failure> {
    let name = &node.row.name;
    output.goes_on(format!("only the waiting ended: the drain goes on; trainctl undrain {name} ends it"));
    output.message(&format!("draining {name}; Ctrl-C ends the waiting, not the drain"));
    let client = Client::new(socket);
    let mut lines = client.stream(&Request::NodeDrainFollow { node: Some(node.row.id.clone()) }).await?;
    let mut last = node.clone();
    while let Some(line) = lines.next().await? {
        if let StreamItem::NodeDetail(detail) = line {
            if let Some(drain) = &detail.row.drain {
                drain
                    .waits_for
                    .iter()
                    .for_each(|what| output.message(&render::printable(&format!("  waits for {what}"))));
            }
            last = *detail;
        }
    }
    match &last.row.drain {
        Some(drain) if drain.drained => Ok(last),
        Some(_) => Err(Failure::new(exit_code::FAILED, format!("{name} is not drained"))
            .because("the daemon stopped telling")
            .next(format!("trainctl node show {name}"))),
        None => Err(Failure::new(exit_code::FAILED, format!("{name} is not drained"))
            .because("somebody undrained it")
            .next(format!("trainctl node show {name}"))),
    }
}

/// `trainctl undrain`.
pub(in super::super) async fn undrain(
    socket: &Path,
    node: Option<String>,
    output: &Output,
) -> Result<u8, Failure> {
    let detail = node_detail(ask(socket, &Request::NodeUndrain { node }, output).await?)?;
    tell(detail, output)
}

/// `trainctl leave`.
pub(in super::super) async fn leave(socket: &Path, yes: bool, output: &Output) -> Result<u8, Failure> {
    let node = node_detail(ask(socket, &Request::NodeShow { node: None }, output).await?)?;
    if !yes {
        confirm(&node)?;
    }
    let reason = "leaves the swarm".to_owned();
    let request = Request::NodeDrain { node: Some(node.row.id), reason, until_restart: false };
    let draining = node_detail(ask(socket, &request, output).await?)?;
    until_drained(socket, &draining, output).await?;
    let left = ask(socket, &Request::Leave, output).await.map_err(|failure| match failure.cause {
        None => failure.because(format!("{} stays drained; trainctl undrain ends that", draining.row.name)),
        Some(_) => failure,
    })?;
    output.answer(&left)?;
    Ok(exit_code::OK)
}

fn confirm(node: &NodeDetail) -> Result<(), Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::new(exit_code::USAGE, format!("{} would leave for good", node.row.name))
            .because("nobody is there to be asked")
            .next("trainctl leave --self --yes"));
    }
    eprint!("{} leaves the swarm for good and its daemon stops. Type yes to go on: ", node.row.name);
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::new(exit_code::FAILED, "nothing was done"))
}

fn node_detail(answer: Response) -> Result<NodeDetail, Failure> {
    match answer {
        Response::NodeDetail(detail) => Ok(*detail),
        other => Err(unexpected(&other)),
    }
}
