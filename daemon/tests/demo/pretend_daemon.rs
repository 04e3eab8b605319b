//! A process that looks like a daemon to the demo: same flags, ready line, control socket and manner of stopping.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use traind::control::ControlServer;
use traind::ready::{ReadyLine, announce};
use traind::settings::ReadyTargets;
use traind::stop_signal::StopHandle;

use crate::pretend_swarm::{Pretended, Swarm, listen};

/// Variable with the directory in which every daemon holds a lock as long as it lives.
pub(crate) const ALIVE: &str = "PRETEND_ALIVE";

/// Variable that says what goes wrong: `good`, `different`, `cannot_start`, `dies`, `endless`.
pub(crate) const MOOD: &str = "PRETEND_MOOD";

/// The founder of a swarm also listens on a socket at which the others hold a connection; its path is the address.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let alive = PathBuf::from(std::env::var_os(ALIVE).unwrap()).join(std::process::id().to_string());
    let lock = File::create(alive).unwrap();
    lock.lock().unwrap();
    let mood = std::env::var(MOOD).unwrap();
    if mood == "cannot_start" {
        eprintln!("no room on the device");
        return ExitCode::FAILURE;
    }
    assert!(std::env::var_os("TRAIND_THREADS").is_none(), "the demo's environment reached its daemon");
    for flag in ["--dev", "--exit-with-stdin"] {
        assert!(arguments.iter().any(|argument| argument == flag), "{flag} expected: {arguments:?}");
    }
    assert_eq!(value(arguments, "--threads"), Some("1"));
    let data_dir = PathBuf::from(value(arguments, "--data-dir").unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serve(&data_dir, value(arguments, "--peer"), &mood));
    drop(lock);
    ExitCode::SUCCESS
}

async fn serve(data_dir: &Path, peer: Option<&str>, mood: &str) {
    let node = format!("{:08x}", std::process::id());
    let (stop_handle, mut stop) = StopHandle::new();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stop_handle.stop();
    });
    let ready = |socket: &Path, address: String| {
        let line = ReadyLine { socket: socket.into(), address, node: node.clone() };
        announce(&ReadyTargets { stdout: true, ..ReadyTargets::default() }, &line).unwrap();
    };
    let socket = data_dir.join("control.sock");
    if let Some(peer) = peer {
        let mut stream = UnixStream::connect(peer).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, node.as_bytes()).await.unwrap();
        ready(&socket, "never dialled".into());
        let mut founder_gone = [0u8];
        tokio::select! {
            () = stop.stopped() => {}
            _ = stream.read(&mut founder_gone) => {}
        }
        return;
    }
    let address = data_dir.join("swarm.sock");
    let swarm = Arc::new(Swarm::new(node.clone(), mood));
    tokio::spawn(listen(&address, Arc::clone(&swarm)));
    let server = ControlServer::bind(&socket).unwrap();
    ready(&socket, address.display().to_string());
    server.serve(Arc::new(Pretended(swarm)), stop).await;
}

fn value<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let position = arguments.iter().position(|argument| argument == flag)?;
    arguments.get(position + 1).map(String::as_str)
}
