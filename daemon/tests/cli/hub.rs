//! Models by their name on the hub, against a hub that a test is.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use crate::fake::{Fake, JOB, Ran, command};
use crate::transfer::model;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Requests that may wait for the test to look at them.
const REQUESTS_MAX: usize = 64;

/// Answers as the hub does to what its client asks, until the listener's process ends; tells which paths were asked for.
fn hub(files: BTreeMap<&'static str, Vec<u8>>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = mpsc::sync_channel(REQUESTS_MAX);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(path) = answer(stream.unwrap(), &files) else { continue };
            if tell.send(path).is_err() {
                return;
            }
        }
    });
    (endpoint, asked)
}

fn answer(mut stream: TcpStream, files: &BTreeMap<&'static str, Vec<u8>>) -> Option<String> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let path = lines.next()?.unwrap().split(' ').nth(1)?.to_owned();
    let headers: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let range =
        headers.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let (status, more, body) = if path == "/api/models/acme/tiny/revision/main" {
        let siblings: Vec<String> = files.keys().map(|file| format!(r#"{{"rfilename":"{file}"}}"#)).collect();
        let text = format!(r#"{{"sha":"{COMMIT}","siblings":[{}]}}"#, siblings.join(","));
        ("200 OK", String::new(), text.into_bytes())
    } else if let Some(file) = path.strip_prefix(&format!("/acme/tiny/resolve/{COMMIT}/")) {
        let bytes = &files[file];
        let (start, end) = range.as_deref().unwrap().split_once('-').unwrap();
        let (start, end) = (start.parse().unwrap(), end.parse().unwrap_or(bytes.len() - 1));
        let more = format!(
            "content-range: bytes {start}-{end}/{}\r\nx-repo-commit: {COMMIT}\r\netag: \"{file}-1\"\r\n",
            bytes.len()
        );
        ("206 Partial Content", more, bytes[start..=end].to_vec())
    } else {
        ("404 Not Found", String::new(), Vec::new())
    };
    write!(stream, "HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n", body.len())
        .unwrap();
    stream.write_all(&body).unwrap();
    Some(path)
}

fn submit(fake: &Fake, from: &str, endpoint: &str) -> Ran {
    let file = fake.file("job.toml", JOB);
    let socket = fake.socket.to_str().unwrap();
    let arguments = ["--socket", socket, "job", "submit", &file, "--from", from];
    let mut command = command(env!("CARGO_BIN_EXE_trainctl"), &arguments);
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", fake.directory.path().join("cache"))
        .output()
        .unwrap()
        .into()
}

#[test]
fn a_model_of_the_hub_is_fetched_once_and_sent() {
    let fake = Fake::start();
    let (endpoint, asked) = hub([("model.safetensors", model()), ("README.md", b"x".to_vec())].into());
    for round in 0..2 {
        let ran = submit(&fake, "hf:acme/tiny", &endpoint);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.starts_with("fetching acme/tiny at main from the hub\nsending "), "{ran:?}");
        assert_eq!(*fake.backend.uploaded.lock().unwrap(), model(), "round {round}");
    }
    let file = format!("/acme/tiny/resolve/{COMMIT}/model.safetensors");
    let list = "/api/models/acme/tiny/revision/main".to_owned();
    let asked: Vec<String> = asked.try_iter().collect();
    assert_eq!(
        asked,
        [list.clone(), file.clone(), file, list],
        "its length, its bytes, and then from the cache"
    );
}

#[test]
fn what_the_hub_does_not_have_or_may_not_be_read_is_refused() {
    let fake = Fake::start();
    let (endpoint, _asked) = hub([("pytorch_model.bin", b"pickle".to_vec())].into());
    for (from, code, words) in [
        ("hf:acme/tiny", 2, "acme/tiny at main has no model.safetensors"),
        ("hf:acme/other", 1, "cannot fetch the list of acme/other at main"),
        (
            "hf:../../etc",
            2,
            "`hf:../../etc` names no repository (allowed: hf:OWNER/NAME or hf:OWNER/NAME@REVISION)",
        ),
        ("hf:acme/tiny@", 2, "names no repository"),
    ] {
        let ran = submit(&fake, from, &endpoint);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
    assert!(fake.asked().is_empty());
}
