//! `traind` as far as it goes without a network: its command line and its settings.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use traind_store::FORMAT_VERSION;

use crate::fake::{Ran, command, trainctl, traind};

#[test]
fn check_config_says_whether_the_settings_are_good() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("traind.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        traind(&["--check-config", "--config", file.to_str().unwrap()])
    };
    let good = check("threads = 2\n");
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), "traind: the settings are good\n"));

    let unknown = check("\ndata_dri = \"/x\"\n");
    assert_eq!(unknown.code, Some(78));
    let expected = format!(
        "traind: bad settings: {}:2: unknown key `data_dri`; did you mean `data_dir`?\n",
        file.display()
    );
    assert_eq!(unknown.stderr, expected);

    let broken = check("threads = [\n");
    assert_eq!(broken.code, Some(78), "{broken:?}");
    assert!(broken.stderr.contains("not TOML"), "{broken:?}");
    let missing = traind(&["--check-config", "--config", "/nonexistent/traind.toml"]);
    assert_eq!(missing.code, Some(78), "{missing:?}");
    assert!(missing.stderr.contains("cannot read /nonexistent/traind.toml: No such file"), "{missing:?}");
}

#[test]
fn the_explained_file_passes_its_own_check() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/traind.toml");
    let ran = traind(&["--check-config", "--config", file]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn flags_and_environment_are_checked_like_the_file() {
    let flag = traind(&["--dev", "--check-config", "--threads", "many"]);
    assert_eq!(flag.code, Some(78));
    assert_eq!(
        flag.stderr,
        "traind: bad settings: flag --threads: `threads` cannot be \"many\"; allowed: a whole number from 0 to 1024\n"
    );
    let program = env!("CARGO_BIN_EXE_traind");
    let variable = command(program, &["--dev", "--check-config"]).env("TRAIND_THREDS", "1").output().unwrap();
    assert_eq!(variable.status.code(), Some(78));
    let stderr = String::from_utf8(variable.stderr).unwrap();
    assert!(
        stderr.contains("environment variable TRAIND_THREDS: unknown key `threds`; did you mean `threads`?"),
        "{stderr}"
    );
    assert_eq!(traind(&["--no-such-flag"]).code, Some(2));
}

#[test]
fn trainctl_is_the_daemon_if_it_is_asked_to() {
    let ran = trainctl(&["__traind", "--dev", "--check-config"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "traind: the settings are good\n"));
    assert_eq!(trainctl(&["__traind", "--version"]).stdout, traind(&["--version"]).stdout);
}

/// Everything below `directory`: name, mode and content.
fn tree(directory: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        let content = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        found.extend(if path.is_dir() { tree(&path) } else { Vec::new() });
        found.push((path, mode, content));
    }
    found.sort();
    found
}

fn start(data_dir: &Path) -> Ran {
    traind(&["--dev", "--data-dir", data_dir.to_str().unwrap()])
}

#[test]
fn a_data_directory_of_another_version_or_of_somebody_else_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text, words) in [
        ("FORMAT", "traind-data 99\n", "has the data format \"traind-data 99\", this traind reads 4"),
        ("FORMAT", "traind-data 2\n", "a traind of its format still reads it"),
        ("FORMAT", "nonsense", "has the data format \"nonsense\""),
        ("letter", "dear reader", "is not empty and not a data directory of traind"),
    ] {
        let data_dir = directory.path().join(format!("{name}-{}", text.len()));
        fs::create_dir(&data_dir).unwrap();
        fs::write(data_dir.join(name), text).unwrap();
        let before = tree(&data_dir);
        let ran = start(&data_dir);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "it is said once: {ran:?}");
        assert_eq!(tree(&data_dir), before);
    }
}

#[test]
fn a_locked_data_directory_is_refused_untouched_and_its_holder_is_named() {
    let data_dir = tempfile::tempdir().unwrap();
    fs::write(data_dir.path().join("FORMAT"), format!("traind-data {FORMAT_VERSION}\n")).unwrap();
    let lock = data_dir.path().join("lock");
    fs::write(&lock, "4711\n").unwrap();
    let held = File::open(&lock).unwrap();
    held.lock().unwrap();
    let before = tree(data_dir.path());
    let ran = start(data_dir.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("is in use by another traind (process 4711)"), "{ran:?}");
    assert_eq!(tree(data_dir.path()), before);
}

#[test]
fn an_identity_that_others_can_read_is_refused_and_kept() {
    let data_dir = tempfile::tempdir().unwrap();
    fs::write(data_dir.path().join("FORMAT"), format!("traind-data {FORMAT_VERSION}\n")).unwrap();
    let identity = data_dir.path().join("identity");
    fs::write(&identity, [7; 32]).unwrap();
    fs::set_permissions(&identity, Permissions::from_mode(0o640)).unwrap();
    let ran = start(data_dir.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("permissions 0640") && ran.stderr.contains("` mends it"), "{ran:?}");
    assert_eq!(fs::read(&identity).unwrap(), [7; 32]);
}

#[test]
fn a_failure_is_said_even_where_nothing_is_logged() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("FORMAT"), "nonsense").unwrap();
    let ran = traind(&["--dev", "--log-level", "off", "--data-dir", directory.path().to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with("traind: opening the data directory"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn an_address_that_is_taken_is_named_with_the_cause_once() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let ran = traind(&["--dev", "--log-level", "off", "--listen", &address]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    let port = taken.local_addr().unwrap().port();
    let expected = format!(
        "traind: starting the network: listen on '{address}': port {port} is taken; `ss -ltnp 'sport = :{port}'` \
         shows by whom: {}\n",
        std::io::Error::from_raw_os_error(rustix::io::Errno::ADDRINUSE.raw_os_error())
    );
    assert_eq!(ran.stderr, expected);
}
