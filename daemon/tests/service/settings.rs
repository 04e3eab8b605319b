//! What the command line says about settings.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use crate::daemon::traind;

fn check(text: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("traind.toml");
    fs::write(&file, text).unwrap();
    let ran = traind(&["--check-config", "--config", file.to_str().unwrap()]).output().unwrap();
    let stderr = String::from_utf8(ran.stderr).unwrap();
    (ran.status.code(), stderr.replace(&format!("{}/", directory.path().display()), ""))
}

#[test]
fn the_default_file_is_printed_byte_by_byte_and_is_good() {
    let Output { status, stdout, stderr } = traind(&["--print-default-config"]).output().unwrap();
    assert_eq!((status.code(), stderr.as_slice()), (Some(0), b"".as_slice()));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/traind.toml");
    assert_eq!(stdout, fs::read(file).unwrap());
    assert_eq!(check(&String::from_utf8(stdout).unwrap()).0, Some(0));
}

#[test]
fn a_device_that_this_build_has_not_is_refused_with_its_place_and_the_way_out() {
    let (code, stderr) = check("threads = 1\ndevice = \"cuda:1\"\n");
    assert_eq!(code, Some(78), "{stderr}");
    let expected = "traind: bad settings: file traind.toml:2: `device` cannot be \"cuda:1\": this traind was built \
                    without CUDA; build it with `cargo build --release --features cuda`, or set `device` to \"auto\" \
                    or \"cpu\"\n";
    assert_eq!(stderr, expected);
    assert_eq!(check("device = \"auto\"\n"), (Some(0), "traind: the settings are good\n".into()));
}

#[test]
fn what_is_allowed_and_yet_unwise_is_a_warning_with_the_remedy() {
    let data_dir = tempfile::tempdir().unwrap();
    let path = data_dir.path().display();
    let text = format!("data_dir = \"{path}\"\nmetrics.listen = \"0.0.0.0:7441\"\n");
    fs::set_permissions(data_dir.path(), Permissions::from_mode(0o755)).unwrap();
    let (code, stderr) = check(&text);
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    assert!(lines[0].starts_with("traind: warning: the data directory"), "{stderr}");
    assert!(lines[0].ends_with(&format!("chmod 700 {path}")), "{stderr}");
    assert!(lines[1].contains("`metrics.listen` is 0.0.0.0:7441"), "{stderr}");
    assert_eq!(lines[2], "traind: the settings are good");
}
