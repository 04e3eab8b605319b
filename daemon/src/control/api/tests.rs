//! What programs read beside the shapes themselves, which `tests/cli/snapshots` holds.

use super::*;
use crate::control::{decode_line, encode_line};

#[test]
fn lines_of_another_version_or_kind_are_refused_in_words() {
    let refusal = |line: &str| decode_line::<Request>(line.as_bytes()).unwrap_err();
    assert_eq!(
        refusal(r#"{"apiVersion":"traind/v9","kind":"Status"}"#),
        "apiVersion \"traind/v9\" is not \"traind/v1\""
    );
    assert!(
        refusal(r#"{"apiVersion":"traind/v1","kind":"Nonsense"}"#).contains("unknown variant `Nonsense`")
    );
    assert!(refusal(r#"{"kind":"Status"}"#).contains("missing field `apiVersion`"));
    assert!(refusal(r#"{"apiVersion":"traind/v1","kind":"JobShow"}"#).contains("missing field `job`"));
    assert!(refusal("hello").starts_with("not a request or answer"));
}

#[test]
fn what_an_earlier_trainctl_asks_and_an_earlier_daemon_answers_is_understood() {
    let short: Request = decode_line(br#"{"apiVersion":"traind/v1","kind":"CheckpointList"}"#).unwrap();
    assert_eq!(short, Request::CheckpointList { job: None });
    let submit = r#"{"apiVersion":"traind/v1","kind":"JobSubmit","spec_toml":"s"}"#;
    assert_eq!(decode_line::<Request>(submit.as_bytes()).unwrap(), Request::job_submit("s"));
    assert_eq!(encode_line(&Request::job_submit("s")).unwrap(), format!("{submit}\n"));
    let progress = concat!(
        r#"{"apiVersion":"traind/v1","kind":"Progress","job":"ab","status":"running","reason":null,"stable_step":2,"#,
        r#""steps":9,"loss":0.5,"losses":[],"epoch":1,"members":[]}"#,
    );
    assert!(matches!(
        decode_line::<FollowEvent>(progress.as_bytes()).unwrap(),
        FollowEvent::Progress { checking: false, pause: None, .. }
    ));
}

#[test]
fn events_of_a_newer_daemon_are_something_else() {
    let line = r#"{"apiVersion":"traind/v1","kind":"EventLine","at":"t","event":"moon_rose","message":"m"}"#;
    let StreamItem::EventLine(event) = decode_line(line.as_bytes()).unwrap() else { panic!("an event") };
    assert_eq!(event.event, EventKind::Other);
}

#[test]
fn a_nonce_is_a_string_since_doubles_would_round_it() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Process {
        #[serde(with = "boot_hex")]
        boot: u64,
    }
    let process = Process { boot: u64::MAX - 1 };
    assert_eq!(serde_json::to_string(&process).unwrap(), r#"{"boot":"fffffffffffffffe"}"#);
    assert_eq!(serde_json::from_str::<Process>(r#"{"boot":"fffffffffffffffe"}"#).unwrap(), process);
    let small = serde_json::to_string(&Process { boot: 7 }).unwrap();
    assert_eq!(small, r#"{"boot":"0000000000000007"}"#, "all have the same width");
    for bad in [r#"{"boot":7}"#, r#"{"boot":""}"#, r#"{"boot":"xyz"}"#, r#"{"boot":"1ffffffffffffffff"}"#] {
        let error = serde_json::from_str::<Process>(bad).unwrap_err().to_string();
        assert!(error.contains("hexadecimal digits"), "{error}");
    }
}

#[test]
fn mixed_numeric_classes_are_warned_of_once_per_run_of_views() {
    let view = |epoch: u64, classes: &[&str]| ViewRow {
        incarnation: 0,
        epoch,
        step: 3,
        reason: "r".into(),
        members: Vec::new(),
        joined: Vec::new(),
        left: Vec::new(),
        numeric_classes: classes.iter().map(|class| (*class).into()).collect(),
    };
    let views =
        [view(1, &["a"]), view(2, &["a", "b"]), view(3, &["a", "b"]), view(4, &["a"]), view(5, &["b", "c"])];
    assert_eq!(
        mixed_class_warnings(&views),
        [
            "views 2 to 3 mix 2 numeric classes (a; b): the digest may differ from that of another run",
            "view 5 mixes 2 numeric classes (b; c): the digest may differ from that of another run",
        ]
    );
    assert!(mixed_class_warnings(&views[..1]).is_empty());
}
