//! `traind` as far as it goes without a network: its command line and its settings.

use crate::fake::{command, trainctl, traind};

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
