//! Every layer, alone and over the one below; every kind of bad input, with its place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tempfile::TempDir;
use traind_protocol::ids::SwarmId;

use super::*;
use crate::settings::{DEFAULT_FILE, Kind, LogFormat, SOCKET_PATH_BYTES_MAX};

struct Case {
    directory: TempDir,
    sources: Sources,
}

impl Case {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file_default = directory.path().join("traind.toml");
        let sources = Sources { file_default, environment: Vec::new(), flags: DaemonFlags::default() };
        Self { directory, sources }
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn flags(mut self, change: impl FnOnce(&mut DaemonFlags)) -> Self {
        change(&mut self.sources.flags);
        self
    }

    fn settings(&self) -> Settings {
        load(&self.sources).unwrap().settings
    }

    /// The refusal, with this case's directory cut out.
    fn refusal(&self) -> String {
        let error = load(&self.sources).unwrap_err();
        error.to_string().replace(&format!("{}/", self.directory.path().display()), "")
    }
}

#[test]
fn without_any_source_the_defaults_hold() {
    let settings = Case::new().settings();
    assert_eq!(settings.data_dir, Path::new("/var/lib/traind"));
    assert_eq!(settings.control_socket, Path::new("/var/lib/traind/control.sock"));
    assert_eq!((settings.device.as_str(), settings.threads, settings.dev), ("auto", 0, false));
    assert_eq!((settings.limits.memory_bytes_max, settings.limits.upload_bytes_per_second_max), (None, None));
    assert!(settings.limits.micro_batch_time_min.is_zero(), "nobody rests unasked");
    assert_eq!(settings.stop.drain_max, Duration::from_secs(60));
    assert!(settings.network.kademlia);
    assert_eq!(settings.network.interfaces_excluded, traind_p2p::INTERFACES_EXCLUDED);
    assert_eq!((settings.metrics.listen, settings.metrics.tensorboard), (None, true));
    assert_eq!(settings.network.listen, ["/ip4/0.0.0.0/tcp/7440"]);
    assert!(settings.network.mdns && settings.network.peers.is_empty() && settings.network.swarm.is_none());
    assert_eq!((settings.log.level.as_str(), settings.log.format), ("info", LogFormat::Text));
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let mut case = Case::new().file("traind.toml", "threads = 1\n[log]\nlevel = \"warn\"\n");
    assert_eq!((case.settings().threads, case.settings().log.level), (1, "warn".into()));
    case = case
        .file("conf.d/20-b.toml", "threads = 3")
        .file("conf.d/10-a.toml", "threads = 2\ndevice = \"cpu\"");
    case = case.file("conf.d/README", "not TOML, not read");
    assert_eq!((case.settings().threads, case.settings().log.level), (3, "warn".into()));
    case = case.variable("TRAIND_THREADS", "4").variable("TRAIND_LOG__LEVEL", "debug");
    case = case.variable("TRAIND_SOCKET", "/not/ours").variable("PATH", "/bin");
    assert_eq!((case.settings().threads, case.settings().log.level), (4, "debug".into()));
    case = case.flags(|flags| flags.threads = Some("5".into()));
    assert_eq!((case.settings().threads, case.settings().log.level), (5, "debug".into()));
}

#[test]
fn lists_come_from_files_variables_and_repeated_flags() {
    let case = Case::new().file("traind.toml", "network.peers = [\"/ip4/192.0.2.1/tcp/7440\"]");
    assert_eq!(case.settings().network.peers, ["/ip4/192.0.2.1/tcp/7440"]);
    let case = case.variable("TRAIND_NETWORK__PEERS", "/dns/a.example/tcp/1,/ip4/192.0.2.2/tcp/2");
    assert_eq!(case.settings().network.peers, ["/dns/a.example/tcp/1", "/ip4/192.0.2.2/tcp/2"]);
    let case = case.flags(|flags| flags.peer = vec!["/ip4/192.0.2.3/tcp/3".into(), "/ip6/::1/tcp/4".into()]);
    assert_eq!(case.settings().network.peers, ["/ip4/192.0.2.3/tcp/3", "/ip6/::1/tcp/4"]);
}

#[test]
fn a_swarm_can_be_named_by_flag() {
    let named = |id: String| Case::new().flags(|flags| flags.swarm = Some(id));
    assert_eq!(named("ab".repeat(32)).settings().network.swarm, SwarmId::from_hex(&"ab".repeat(32)));
    assert!(named("abc".into()).refusal().starts_with("flag --swarm: `network.swarm` cannot be \"abc\""));
}

#[test]
fn unknown_keys_are_refused_by_name_with_what_may_have_been_meant() {
    let refused = |text: &str| Case::new().file("traind.toml", text).refusal();
    assert_eq!(
        refused("threads = 1\n\n[network]\nlistn = []\n"),
        "traind.toml:4: unknown key `network.listn`; did you mean `network.listen`?"
    );
    assert_eq!(refused("colour = 1"), "traind.toml:1: unknown key `colour`");
    assert_eq!(
        refused("[netwrk]\nmdns = true"),
        "traind.toml:1: unknown key `netwrk`; did you mean `network`?"
    );
    assert_eq!(
        refused("data_dir.x = 1"),
        format!("traind.toml:1: `data_dir` cannot be a table; allowed: {}", Kind::Path.allowed())
    );
    assert_eq!(
        Case::new().file("conf.d/x.toml", "dev = true").refusal(),
        "conf.d/x.toml:1: unknown key `dev`"
    );
    assert_eq!(
        Case::new().variable("TRAIND_LOG__LEVLE", "info").refusal(),
        "environment variable TRAIND_LOG__LEVLE: unknown key `log.levle`; did you mean `log.level`?"
    );
}

#[test]
fn bad_values_are_refused_with_place_key_and_what_is_allowed() {
    let refused = |text: &str| Case::new().file("traind.toml", text).refusal();
    assert_eq!(
        refused("\nthreads = \"two\""),
        "traind.toml:2: `threads` cannot be \"two\"; allowed: a whole number from 0 to 1024"
    );
    assert_eq!(
        refused("threads = -1"),
        "traind.toml:1: `threads` cannot be -1; allowed: a whole number from 0 to 1024"
    );
    assert_eq!(
        refused("threads = 0x10000"),
        "traind.toml:1: `threads` cannot be 65536; allowed: a whole number from 0 to 1024"
    );
    assert_eq!(
        refused("device = \"gpu\""),
        "traind.toml:1: `device` cannot be \"gpu\"; allowed: \"auto\", \"cpu\", \"cuda\", or \"cuda:N\" with the number of a GPU, as \"cuda:0\""
    );
    assert_eq!(refused("log = 3"), "traind.toml:1: `log` cannot be 3; allowed: a table of settings");
    assert!(
        refused("[log]\nformat = 'xml'")
            .starts_with("traind.toml:2: `log.format` cannot be \"xml\"; allowed: one of")
    );
    assert!(refused("network.peers = [\"/ip4/1.2.3.4/tcp/0\"]").contains("`network.peers` cannot be"));
    assert_eq!(
        Case::new().flags(|flags| flags.threads = Some("2000".into())).refusal(),
        "flag --threads: `threads` cannot be 2000; allowed: a whole number from 0 to 1024"
    );
    assert_eq!(
        Case::new().variable("TRAIND_NETWORK__MDNS", "maybe").refusal(),
        "environment variable TRAIND_NETWORK__MDNS: `network.mdns` cannot be \"maybe\"; allowed: true or false"
    );
}

#[test]
fn limits_times_and_addresses_arrive_with_their_units() {
    let case = Case::new().file(
        "traind.toml",
        "failure_label = \"rack-3\"\n[limits]\ntransfers = \"20 MB/s\"\nmemory = \"8 GiB\"\nupload = \"400 Mbit/s\"\nmicro_batch_time = \"25 ms\"\n[stop]\ndrain_timeout = \"2 min\"\n\
         [metrics]\nlisten = \"[::1]:7441\"\ntensorboard = false\n[network]\nkademlia = false\n",
    );
    let case = case.variable("TRAIND_NETWORK__INTERFACES_EXCLUDED", "tun*, wg0");
    let settings = case.settings();
    assert_eq!(settings.limits.memory_bytes_max, Some(8 << 30));
    assert_eq!(settings.limits.upload_bytes_per_second_max, Some(50_000_000));
    assert_eq!(settings.limits.transfer_bytes_per_second_max, Some(20_000_000));
    assert_eq!(settings.failure_label, "rack-3");
    assert_eq!(settings.limits.micro_batch_time_min, std::time::Duration::from_millis(25));
    assert_eq!(settings.stop.drain_max, Duration::from_secs(120));
    assert_eq!(settings.metrics.listen, Some("[::1]:7441".parse().unwrap()));
    assert!(!settings.metrics.tensorboard && !settings.network.kademlia);
    assert_eq!(settings.network.interfaces_excluded, ["tun*", "wg0"]);

    let refused = |text: &str| Case::new().file("traind.toml", text).refusal();
    assert!(refused("failure_label = \"rack 3\"").contains("letters, digits"));
    assert_eq!(
        refused("[limits]\nmemory = 8"),
        "traind.toml:2: `limits.memory` cannot be 8; allowed: \"\" for no limit, or a size from 128 MiB to 1 PiB such \
         as \"8 GiB\""
    );
    assert_eq!(
        refused("[limits]\nupload = \"50 Mb/s\""),
        "traind.toml:2: `limits.upload` cannot be \"50 Mb/s\"; allowed: \"\" for no limit, or a rate from 10 kB/s to 1 \
         TB/s such as \"50 MB/s\" or \"400 Mbit/s\""
    );
    assert_eq!(
        refused("stop.drain_timeout = \"2 h\""),
        "traind.toml:1: `stop.drain_timeout` cannot be \"2 h\"; allowed: a time from 0 s to 1h such as \"60 s\" or \
         \"2 min\""
    );
    assert!(refused("metrics.listen = \"localhost:1\"").contains("such as \"127.0.0.1:7441\""));
    assert!(refused("network.interfaces_excluded = [\"\"]").contains("such as \"docker*\""));
}

/// Every value that `case` was given, with where it came from; the case's directory is cut out.
fn origins(case: &Case) -> Vec<(&'static str, String, String)> {
    let directory = format!("{}/", case.directory.path().display());
    let loaded = load(&case.sources).unwrap();
    assert_eq!(
        loaded.origins.iter().map(|holds| holds.key).collect::<Vec<_>>(),
        KEYS.iter().map(|spec| spec.name).collect::<Vec<_>>(),
        "every key once, in the order of the table"
    );
    loaded
        .origins
        .into_iter()
        .filter(|holds| holds.origin != Origin::Default)
        .map(|holds| (holds.key, holds.value, holds.origin.to_string().replace(&directory, "")))
        .collect()
}

#[test]
fn every_value_says_where_it_came_from() {
    assert_eq!(origins(&Case::new()), []);
    let case = Case::new()
        .file(
            "traind.toml",
            "threads = 1\ndevice = \"cpu\"\n\n[network]\npeers = [\n  \"/ip4/192.0.2.1/tcp/1\"]\n",
        )
        .file("conf.d/10.toml", "\nlog.level = \"warn\"\nlimits.memory = \"1 GiB\"")
        .variable("TRAIND_THREADS", "2")
        .variable("TRAIND_LOG__FORMAT", "json")
        .flags(|flags| (flags.log_level, flags.data_dir) = (Some("debug".into()), Some("/srv/\"x\"".into())));
    let (text, set) = (|text: &str| text.to_owned(), origins(&case));
    assert_eq!(
        set,
        [
            ("data_dir", text("'/srv/\"x\"'"), text("flag --data-dir")),
            ("device", text("\"cpu\""), text("file traind.toml:2")),
            ("threads", text("2"), text("environment TRAIND_THREADS")),
            ("limits.memory", text("\"1 GiB\""), text("file conf.d/10.toml:3")),
            ("log.level", text("\"debug\""), text("flag --log-level")),
            ("log.format", text("\"json\""), text("environment TRAIND_LOG__FORMAT")),
            ("network.peers", text("[\"/ip4/192.0.2.1/tcp/1\"]"), text("file traind.toml:5")),
        ]
    );
    let socket =
        load(&case.sources).unwrap().origins.into_iter().find(|holds| holds.key == "control.socket").unwrap();
    assert_eq!(socket.value, "'/srv/\"x\"/control.sock'", "what follows from others is written out");
}

/// What `config show` prints is a settings file that gives the same settings.
#[test]
fn the_values_that_are_told_are_the_values_that_hold() {
    let case = Case::new()
        .file(
            "traind.toml",
            "threads = 0x10\nlimits.upload = '1 GB/s'\nnetwork.mdns = false\nstop.drain_timeout = '1h'",
        )
        .variable("TRAIND_NETWORK__PEERS", "/dns/a.example/tcp/1,/ip4/192.0.2.2/tcp/2")
        .variable("TRAIND_METRICS__LISTEN", "127.0.0.1:1")
        .flags(|flags| flags.data_dir = Some("/srv/a \"b\" \\ 'c'".into()));
    let loaded = load(&case.sources).unwrap();
    let told: String =
        loaded.origins.iter().map(|holds| format!("{} = {}\n", holds.key, holds.value)).collect();
    assert_eq!(Case::new().file("traind.toml", &told).settings(), loaded.settings, "{told}");
}

#[test]
fn directories_of_systemd_are_defaults_for_a_service_and_nothing_to_dev() {
    let service = || {
        Case::new()
            .variable("STATE_DIRECTORY", "/var/lib/traind/gpu0:/var/lib/other")
            .variable("RUNTIME_DIRECTORY", "/run/traind-gpu0")
    };
    let settings = service().settings();
    assert_eq!(settings.data_dir, Path::new("/var/lib/traind/gpu0"));
    assert_eq!(settings.control_socket, Path::new("/run/traind-gpu0/control.sock"));
    assert_eq!(
        origins(&service()),
        [
            ("data_dir", "\"/var/lib/traind/gpu0\"".into(), "systemd $STATE_DIRECTORY".into()),
            (
                "control.socket",
                "\"/run/traind-gpu0/control.sock\"".into(),
                "systemd $RUNTIME_DIRECTORY".into()
            ),
        ]
    );
    let set = service()
        .file("traind.toml", "data_dir = \"/srv/t\"")
        .flags(|flags| flags.socket = Some("/s".into()));
    assert_eq!(set.settings().data_dir, Path::new("/srv/t"), "a file wins over systemd");
    assert_eq!(set.settings().control_socket, Path::new("/s"));
    let strange = Case::new().variable("STATE_DIRECTORY", "").variable("RUNTIME_DIRECTORY", "relative");
    assert_eq!(strange.settings(), Case::new().settings());

    let dev = service().flags(|flags| flags.dev = true);
    let loaded = load(&dev.sources).unwrap();
    assert_eq!(Some(loaded.settings.data_dir.as_path()), loaded.temporary.as_ref().map(TempDir::path));
    assert_eq!(loaded.settings.control_socket, loaded.settings.data_dir.join("control.sock"));
    let told = origins(&dev);
    let keys: Vec<_> = told.iter().map(|(key, _value, origin)| (*key, origin.as_str())).collect();
    let of_dev = "default of --dev";
    assert_eq!(keys, [("data_dir", of_dev), ("network.listen", of_dev), ("network.mdns", of_dev)]);
}

#[test]
fn broken_files_are_refused_with_their_line() {
    let case = Case::new().file("traind.toml", "threads = 1\nlog = [\n");
    assert!(case.refusal().starts_with("traind.toml:"), "{}", case.refusal());
    assert!(case.refusal().contains("not TOML"), "{}", case.refusal());
    let case = Case::new();
    fs::write(case.directory.path().join("traind.toml"), b"threads = 1\n# \xff\n").unwrap();
    assert_eq!(case.refusal(), "traind.toml:2: not TOML: not UTF-8");
    let missing = Case::new().flags(|flags| flags.config = Some("/nonexistent/traind.toml".into()));
    assert_eq!(missing.refusal(), "cannot read /nonexistent/traind.toml");
    let long = format!("# {}", "x".repeat(1 << 20));
    assert!(Case::new().file("traind.toml", &long).refusal().contains("longer than"));
}

#[test]
fn dev_is_on_loopback_in_a_temporary_directory_and_reads_no_system_file() {
    let case = Case::new().file("traind.toml", "threads = \"broken\"").flags(|flags| flags.dev = true);
    let loaded = load(&case.sources).unwrap();
    let path = loaded.settings.data_dir.clone();
    assert!(path.is_dir() && loaded.temporary.is_some() && loaded.settings.ready.stdout);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "it will hold a key");
    assert_eq!(loaded.settings.network.listen, ["/ip4/127.0.0.1/tcp/0"]);
    assert!(!loaded.settings.network.mdns);
    drop(loaded);
    assert!(!path.exists(), "the temporary directory must go with its owner");

    let kept = Case::new().flags(|flags| {
        flags.dev = true;
        flags.data_dir = Some("/srv/kept".into());
    });
    let loaded = load(&kept.sources).unwrap();
    assert!(loaded.temporary.is_none() && loaded.settings.data_dir == Path::new("/srv/kept"));

    let open = Case::new().flags(|flags| {
        flags.dev = true;
        flags.listen = vec!["/ip4/0.0.0.0/tcp/0".into()];
    });
    assert!(
        open.refusal().contains("`network.listen` cannot be \"/ip4/0.0.0.0/tcp/0\""),
        "{}",
        open.refusal()
    );
    let open = Case::new().flags(|flags| flags.dev = true).variable("TRAIND_METRICS__LISTEN", "0.0.0.0:1");
    assert!(open.refusal().contains("`metrics.listen` cannot be \"0.0.0.0:1\""), "{}", open.refusal());
}

#[test]
fn a_socket_path_that_the_system_cannot_bind_is_refused() {
    let long = format!("/{}", "d".repeat(SOCKET_PATH_BYTES_MAX));
    let refused = Case::new().flags(|flags| flags.socket = Some(long.clone())).refusal();
    assert!(refused.contains("108 bytes, more than 107"), "{refused}");
    let fits = Case::new().flags(|flags| flags.socket = Some(long[..SOCKET_PATH_BYTES_MAX].into()));
    assert_eq!(fits.settings().control_socket.as_os_str().len(), SOCKET_PATH_BYTES_MAX);
    let derived = Case::new().flags(|flags| flags.data_dir = Some(long.clone())).refusal();
    assert!(derived.contains("control.sock"), "{derived}");
}

/// configs/traind.toml: every key with its default, commented out; so the file changes nothing and explains all.
#[test]
fn the_explained_file_is_in_step_with_the_keys() {
    let text = DEFAULT_FILE;
    let untouched = Case::new().settings();
    assert_eq!(Case::new().file("traind.toml", text).settings(), untouched);

    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, value)) = line.strip_prefix('#').and_then(|rest| rest.split_once(" = "))
            && !line.starts_with("# ")
        {
            found.push((format!("{section}{name}"), value.to_owned()));
        }
    }
    let expected: Vec<(String, String)> =
        KEYS.iter().map(|spec| (spec.name.to_owned(), spec.default.to_owned())).collect();
    assert_eq!(found, expected, "each key once, in the order of the table, as `#name = default`");

    // With every comment sign taken off it is a valid file of the same values.
    let active: String = text
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    assert_eq!(Case::new().file("traind.toml", &active).settings(), untouched);
}
