//! The files that install the service, judged by systemd's own tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use traind::exit_code;
use traind::settings::KEYS;

const UNIT: &str = include_str!("../../packaging/systemd/traind.service");
const SYSUSERS: &str = include_str!("../../packaging/sysusers.d/traind.conf");

/// The greatest exposure that `systemd-analyze security` may find, in tenths of its points: "OK" ends at 50.
const EXPOSURE_TENTHS_MAX: u32 = 25;

/// Runs a tool of systemd's; without it nothing here is proven.
fn systemd(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("cannot run {program}: {error}; this test needs it: apt-get install -y systemd (or your system's package)")
    })
}

/// The unit with the program that was just built, and more lines at the end of its [Service] section, where they win.
fn write_unit(directory: &Path, more: &str) -> PathBuf {
    let (installed, next) = ("ExecStart=/usr/bin/traind\n", "\n[Install]\n");
    assert!(UNIT.contains(installed) && UNIT.contains(next));
    let built = format!("ExecStart={}\n", env!("CARGO_BIN_EXE_traind"));
    let path = directory.join("traind.service");
    let unit = UNIT.replace(installed, &built).replace(next, &format!("\n{more}{next}"));
    fs::write(&path, unit).unwrap();
    path
}

/// All values of `key`.
fn values(key: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let directory = tempfile::tempdir().unwrap();
    let verify = |more: &str| {
        let unit = write_unit(directory.path(), more);
        let ran = systemd("systemd-analyze", &["verify", unit.to_str().unwrap()]);
        (ran.status.code(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    assert_eq!(verify(""), (Some(0), String::new()));
    assert!(verify("WatchdogSecs=60\n").1.contains("WatchdogSecs"), "the tool sees a mistake");
}

#[test]
fn the_service_is_confined() {
    let directory = tempfile::tempdir().unwrap();
    let security = |more: &str| {
        let unit = write_unit(directory.path(), more);
        let threshold = format!("--threshold={EXPOSURE_TENTHS_MAX}");
        let arguments =
            ["security", "--offline=true", "--no-pager", threshold.as_str(), unit.to_str().unwrap()];
        let ran = systemd("systemd-analyze", &arguments);
        (ran.status.code(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    let (code, table) = security("");
    assert_eq!(code, Some(0), "{table}");
    assert_ne!(
        security("ProtectSystem=no\nUser=root\nCapabilityBoundingSet=~\n").0,
        Some(0),
        "the threshold bites"
    );
}

#[test]
fn the_unit_says_what_the_daemon_means() {
    assert_eq!(values("Type"), ["notify"]);
    let code = |code: u8| code.to_string();
    let prevented: Vec<&str> = values("RestartPreventExitStatus")[0].split(' ').collect();
    assert_eq!(prevented, [code(exit_code::USAGE), code(exit_code::CONFIG)]);
    let default = |name: &str| KEYS.iter().find(|spec| spec.name == name).unwrap().default.trim_matches('"');
    assert_eq!(default("data_dir"), format!("/var/lib/{}", values("StateDirectory")[0]));
    assert_eq!(values("StateDirectoryMode"), ["0700"]);
    let stop_max = Duration::from_secs(values("TimeoutStopSec")[0].parse().unwrap());
    let drain_max = humantime::parse_duration(default("stop.drain_timeout")).unwrap();
    let at_once_max = Duration::from_secs(10);
    assert!(stop_max >= drain_max + at_once_max, "systemd must not kill a daemon that hands over its work");
    assert!(values("PrivateUsers").is_empty() && values("PrivateDevices").is_empty());
    assert!(values("DeviceAllow").iter().any(|device| device.starts_with("char-nvidia-uvm")));
}

#[test]
fn the_user_of_the_unit_is_made_with_the_groups_of_gpus() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let file = root.path().join("traind.conf");
    fs::write(&file, SYSUSERS).unwrap();
    let ran = systemd("systemd-sysusers", &["--root", root.path().to_str().unwrap(), file.to_str().unwrap()]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let read = |name: &str| fs::read_to_string(root.path().join("etc").join(name)).unwrap();
    let user = values("User")[0];
    let passwd = read("passwd");
    let entry: Vec<&str> =
        passwd.lines().find_map(|line| line.strip_prefix(&format!("{user}:"))).unwrap().split(':').collect();
    assert_eq!(entry[4], "/var/lib/traind", "{passwd}");
    assert!(entry[5].ends_with("/nologin"), "{passwd}");
    let group = read("group");
    assert!(group.lines().any(|line| line.starts_with(&format!("{}:", values("Group")[0]))), "{group}");
    for gpu in ["video", "render"] {
        let members = group.lines().find(|line| line.starts_with(&format!("{gpu}:"))).unwrap();
        assert!(members.ends_with(&format!(":{user}")), "{group}");
    }
}
