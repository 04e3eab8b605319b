//! What each verb does.

mod checkpoint;
mod config;
mod data;
mod drain;
mod export;
mod generate;
mod job;
mod manual;
mod store;
mod stream;
mod submit;
mod version;

use std::path::Path;
use std::time::{Duration, Instant};

use super::args::NodeVerb;
use super::failure::Failure;
use super::output::Output;
use crate::control::Client;
use crate::control::api::{Request, Response};
use crate::exit_code;

pub(super) use checkpoint::checkpoint;
pub(super) use config::config;
pub(super) use data::data;
pub(super) use drain::{drain, leave, undrain};
pub(super) use generate::{generate, written_by};
pub(super) use job::{follow_to_exit_code, job};
pub(super) use manual::{completion, man};
pub(super) use store::store;
pub(super) use stream::events;
pub(super) use submit::submit_file;
pub(super) use version::version;

/// Longest wait for an answer: the daemon itself gives up on the ledger after 15 s and says why.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// `trainctl status`.
pub(super) async fn status(socket: &Path, output: &Output) -> Result<u8, Failure> {
    print(socket, &Request::Status, output).await
}

/// `trainctl why`.
pub(super) async fn why(socket: &Path, job: String, output: &Output) -> Result<u8, Failure> {
    print(socket, &Request::JobWhy { job }, output).await
}

/// `trainctl node …`.
pub(super) async fn node(socket: &Path, verb: NodeVerb, output: &Output) -> Result<u8, Failure> {
    match verb {
        NodeVerb::Ls => print(socket, &Request::NodeList, output).await,
        NodeVerb::Show { node, this: _ } => print(socket, &Request::NodeShow { node }, output).await,
    }
}

/// Asks, and prints the answer.
async fn print(socket: &Path, request: &Request, output: &Output) -> Result<u8, Failure> {
    output.answer(&ask(socket, request, output).await?)?;
    Ok(exit_code::OK)
}

/// Asks, and gives up when no answer comes.
async fn ask(socket: &Path, request: &Request, output: &Output) -> Result<Response, Failure> {
    let start = Instant::now();
    output.detail(&format!("asking the daemon at {}", socket.display()));
    let answer = tokio::time::timeout(ANSWER_MAX, Client::new(socket).call(request)).await;
    let answer = answer.map_err(|_elapsed| {
        let message = format!("the daemon did not answer within {} s", ANSWER_MAX.as_secs());
        Failure::new(exit_code::TIMED_OUT, message)
            .because("it is overloaded or hangs")
            .next("see its log, as with `journalctl -u traind`")
    })??;
    output.detail(&format!("answered after {} ms", start.elapsed().as_millis()));
    Ok(answer)
}

/// An answer of another kind than the request's.
pub(super) fn unexpected(answer: &Response) -> Failure {
    let text: String = format!("{answer:?}").chars().take(80).collect();
    Failure::new(exit_code::FAILED, format!("the daemon gave an answer to another question: {text}"))
        .because("trainctl and traind are of different versions")
        .next("trainctl version")
}
