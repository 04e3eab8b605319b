//! A node with an empty disk gets a state from three holders over a shaped link, as quickly as the link carries it, and also
//! when a holder is killed on the way: as a copy of a checkpoint, and as a joiner. Needs CAP_NET_ADMIN (root) and iproute2; without them it fails and says so.
//!
//! `cargo test --release -p traind-actors --test shaped`; `TRAIND_SHAPED_CHUNKS=143` is a state of 600 MB.

mod host;
mod node;

use std::time::Instant;

use anyhow::Context as _;
use host::{Child, Hosts};
use node::Orders;

/// Hosts that hold the state; one more fetches it.
const HOLDERS: usize = 3;
/// Rate of the way to the receiver.
const MEGABITS_PER_SECOND: u64 = 200;
/// Part of it that must be used, of the bytes of the state alone.
const USED_MIN: f64 = 0.9;
/// Chunks of 4 MiB, unless told otherwise: a state of 168 MB, seven seconds.
const CHUNKS: usize = 40;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("node") {
        return node::run(&Orders::read(&arguments[2..])?);
    }
    // Any other argument is one of cargo's for a test harness.
    let begun = Instant::now();
    let chunks = match std::env::var("TRAIND_SHAPED_CHUNKS") {
        Ok(text) => text.parse().context("TRAIND_SHAPED_CHUNKS")?,
        Err(_) => CHUNKS,
    };
    for what in [What::Checkpoint, What::State] {
        let used = fetch(chunks, what, None)?;
        anyhow::ensure!(used >= USED_MIN, "only {used:.3} of the link was used");
        for at in [0.1, 0.5, 0.9] {
            fetch(chunks, what, Some(at))?;
        }
    }
    println!("shaped: 8 passed in {:.1?}", begun.elapsed());
    Ok(())
}

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A checkpoint, onto the disk.
    Checkpoint,
    /// The state of a job, into memory, as a joiner does.
    State,
}

/// Fetches once; `kill` is the part of the time after which a holder is killed. The part of the link that was used.
fn fetch(chunks: usize, what: What, kill: Option<f64>) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let hosts = Hosts::new(HOLDERS + 1)?;
    let orders = |index: usize, peer: Option<String>| Orders {
        folder: folder.path().join(index.to_string()).display().to_string(),
        ip: Hosts::ip(index),
        peer,
        chunks,
    };
    let mut receiver = Child::start(&hosts, HOLDERS, &orders(HOLDERS, None).write())?;
    let address = receiver.wait("listening")?;
    let mut holders = Vec::new();
    for index in 0..HOLDERS {
        holders.push(Child::start(&hosts, index, &orders(index, Some(address.clone())).write())?);
    }
    let mut manifest = String::new();
    for holder in &mut holders {
        manifest = holder.wait("holds")?;
    }
    hosts.shape(HOLDERS, MEGABITS_PER_SECOND)?;
    receiver.say(if what == What::State { "state" } else { &manifest })?;
    receiver.wait("begins")?;
    let bytes = chunks as f64 * 4.0 * 1_048_576.0;
    let ideal_seconds = bytes * 8.0 / (MEGABITS_PER_SECOND as f64 * 1e6);
    if let Some(at) = kill {
        std::thread::sleep(std::time::Duration::from_secs_f64(ideal_seconds * at));
        holders.remove(1).kill()?;
    }
    let told = receiver.wait("fetched")?;
    let words: Vec<f64> = told.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [seconds, fetched, wasted] = words[..] else { anyhow::bail!("{told}") };
    anyhow::ensure!(fetched == bytes, "{fetched} of {bytes} bytes came");
    let used = ideal_seconds / seconds;
    let story = kill.map_or("all live".to_owned(), |at| format!("one killed at {at} of the time"));
    println!(
        "{what:?} of {:.0} MB over {MEGABITS_PER_SECOND} Mbit/s, {story}: {seconds:.2} s, {used:.3} of the link, {wasted} bytes twice",
        bytes / 1e6
    );
    Ok(used)
}
