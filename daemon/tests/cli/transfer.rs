//! Files over the socket: models to start from, exported checkpoints.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use traind::control::MODEL_BYTES_MAX;
use traind::control::api::Request;

use crate::fake::{FINISHED, Fake, JOB, trainctl};
use crate::verbs::{json, table};

/// A model of one tensor, longer than what is sent at a time.
pub(crate) fn model() -> Vec<u8> {
    let data = vec![7u8; 600_000];
    let header = r#"{"a":{"dtype":"U8","shape":[600000],"data_offsets":[0,600000]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_model_to_start_from_is_sent_whole_and_leaves_nothing_behind() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    fake.file("model.safetensors", "");
    let directory = fake.directory.path();
    let before = names(directory);
    std::fs::write(directory.join("model.safetensors"), model()).unwrap();
    let from = directory.to_str().unwrap();
    let ran = fake.trainctl(&["job", "submit", &file, "--from", from]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("sending ") && ran.stderr.contains("(600.1 kB)"), "{ran:?}");
    assert_eq!(*fake.backend.uploaded.lock().unwrap(), model());
    assert!(matches!(&fake.asked()[0], Request::JobSubmit { from: Some(_), dry_run: false, .. }));
    assert_eq!(names(directory), before, "the daemon keeps no copy");
    let checked = json(&fake, &["job", "submit", &file, "--from", from, "--dry-run"], "JobPlanned");
    assert_eq!(checked["steps"], 9);
}

#[test]
fn a_model_that_lies_is_refused_before_it_is_sent() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    let from = fake.directory.path().to_str().unwrap().to_owned();
    let missing = fake.trainctl(&["job", "submit", &file, "--from", &from]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(
        missing.stderr.starts_with("error: cannot read ")
            && missing.stderr.contains("--from takes a directory")
    );
    std::fs::write(fake.directory.path().join("model.safetensors"), &model()[..500_000]).unwrap();
    let cut = fake.trainctl(&["job", "submit", &file, "--from", &from]);
    assert_eq!(cut.code, Some(2), "{cut:?}");
    assert!(cut.stderr.contains("tensor \"a\": bytes 0 to 600000 of "), "{cut:?}");
    assert!(fake.asked().is_empty());
}

/// What the server says to a request with bytes behind it, and whether it goes on with the connection.
fn raw(fake: &Fake, announced: u64, blake3: &str, bytes: &[u8]) -> (serde_json::Value, bool) {
    let mut stream = UnixStream::connect(&fake.socket).unwrap();
    let request = format!(
        "{{\"apiVersion\":\"traind/v1\",\"kind\":\"JobSubmit\",\"spec_toml\":\"\",\
         \"from\":{{\"bytes\":{announced},\"blake3\":\"{blake3}\"}}}}\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(bytes).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let _ = stream.get_mut().write_all(b"{\"apiVersion\":\"traind/v1\",\"kind\":\"Status\"}\n");
    let goes_on = matches!(stream.read(&mut [0]), Ok(1));
    (serde_json::from_str(&line).unwrap(), goes_on)
}

#[test]
fn the_server_takes_no_more_than_it_can_keep_and_nothing_that_is_damaged() {
    let fake = Fake::start();
    let (answer, goes_on) = raw(&fake, MODEL_BYTES_MAX + 1, "", b"");
    assert_eq!((answer["code"].as_str(), goes_on), (Some("bad_request"), false), "{answer}");
    let (answer, goes_on) = raw(&fake, 3, &"0".repeat(64), b"abc");
    assert_eq!((answer["code"].as_str(), goes_on), (Some("bad_request"), true), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("not those that were announced"), "{answer}");
    assert!(fake.asked().iter().all(|asked| *asked == Request::Status), "no job was submitted");
    drop(UnixStream::connect(&fake.socket).and_then(|mut stream| {
        stream.write_all(
            b"{\"apiVersion\":\"traind/v1\",\"kind\":\"JobSubmit\",\"spec_toml\":\"\",\
            \"from\":{\"bytes\":9,\"blake3\":\"\"}}\nabc",
        )
    }));
    table(&fake, &["status"]);
}

#[test]
fn checkpoint_show_and_export_write_what_the_daemon_sends() {
    let fake = Fake::start();
    let text = table(&fake, &["checkpoint", "show", "digits", "5"]);
    assert!(text.contains("step:          5, the newest\n") && text.contains("(this node too)"), "{text}");
    assert_eq!(json(&fake, &["checkpoint", "show", "digits"], "CheckpointDetail")["local"], true);
    assert_eq!(fake.trainctl(&["checkpoint", "show", "digits", "6"]).code, Some(4));

    let out = fake.directory.path().join("a/model");
    let to = out.to_str().unwrap();
    let ran = fake.trainctl(&["checkpoint", "export", "digits", "--out", to]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let expected =
        format!("exported digits at step 5 to {to}: model.safetensors (700.0 kB), config.json (3 B)\n");
    assert_eq!(ran.stdout, expected);
    assert_eq!(names(&out), ["config.json", "model.safetensors"]);
    let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
    assert!(
        bytes.len() == 700_000
            && bytes.iter().zip(0u32..).all(|(byte, index)| *byte == index.to_le_bytes()[1])
    );
    let mode = std::fs::metadata(out.join("config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o400, 0o400);

    std::fs::write(out.join("config.json"), "mine").unwrap();
    let there = fake.trainctl(&["checkpoint", "export", "digits", "--out", to]);
    assert_eq!(there.code, Some(1), "{there:?}");
    assert!(there.stderr.contains("is there already") && there.stderr.contains("--force"), "{there:?}");
    assert_eq!(std::fs::read_to_string(out.join("config.json")).unwrap(), "mine");
    assert_eq!(names(&out).len(), 2);
    let exported =
        json(&fake, &["checkpoint", "export", "digits", "--out", to, "--force"], "CheckpointExported");
    assert_eq!((exported["job"].as_str(), exported["directory"].as_str()), (Some(FINISHED), Some(to)));
    assert_eq!(std::fs::read_to_string(out.join("config.json")).unwrap(), "{}\n");
    assert_eq!(fake.trainctl(&["checkpoint", "export", "digits", "--step", "6", "--out", to]).code, Some(4));
    let nowhere = fake.trainctl(&["checkpoint", "export", "digits", "--out", "/dev/null/x"]);
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
}

#[test]
fn an_export_that_breaks_off_or_is_damaged_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, out) = (directory.path().join("odd.sock"), directory.path().join("out"));
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || {
        for bytes in [&b"ab"[..], b"abc"] {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(&stream).read_line(&mut String::new()).unwrap();
            let line = "{\"apiVersion\":\"traind/v1\",\"kind\":\"CheckpointExport\",\"job\":\"ab\",\
                \"job_name\":\"x\",\"step\":1,\"digest\":\"d\",\
                \"files\":[{\"name\":\"m\",\"bytes\":3,\"blake3\":\"00\"}]}\n";
            stream.write_all(line.as_bytes()).unwrap();
            stream.write_all(bytes).unwrap();
        }
    });
    for (code, words) in [(3, "closed the connection"), (1, "the bytes of m are damaged")] {
        let arguments = ["checkpoint", "export", "x", "--out", out.to_str().unwrap()];
        let ran = trainctl(&[&["--socket", socket.to_str().unwrap()][..], &arguments].concat());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert!(names(&out).is_empty());
    }
    server.join().unwrap();
}
