//! What the daemon does, in one line for `systemctl status`.

use crate::control::api::{JobSummary, Status};

/// As `training lenet-digits step 812/2000 on 4 nodes` or `idle, 3 nodes`.
#[must_use]
pub fn status_words(status: &Status) -> String {
    let what = match &status.job {
        Some(job) => training(job),
        None if status.swarm.is_none() => "looking for a swarm: no peer answers yet".into(),
        None if status.coordinator.is_none() => {
            format!("waiting for a coordinator, {} reachable", count(status.nodes_live, "node"))
        }
        None => format!("idle, {}", count(status.nodes_live, "node")),
    };
    match status.jobs_queued {
        0 => what,
        queued => format!("{what}, {} queued", count(queued, "job")),
    }
}

fn training(job: &JobSummary) -> String {
    let JobSummary { name, step, steps, members, .. } = job;
    format!("training {name} step {step}/{steps} on {}", count(*members, "node"))
}

fn count(number: u32, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A status from its JSON, so that fields that do not matter here need not be named.
    fn status(change: impl FnOnce(&mut Status)) -> Status {
        let node = json!({"id": "ab", "name": "calm-otter-ab"});
        let mut status: Status = serde_json::from_value(json!({
            "node": node, "version": "0", "swarm": "ab", "coordinator": node, "term": 1,
            "council": {"voters": [], "learners": []}, "nodes_live": 3, "nodes_known": 4, "job": null,
            "jobs_queued": 0, "device": "cpu", "threads": 1, "numeric_class": "", "addresses": [],
            "data_dir": "", "uptime_ms": 0, "counters": {}
        }))
        .unwrap();
        change(&mut status);
        status
    }

    fn job() -> JobSummary {
        serde_json::from_value(json!({
            "id": "cd", "name": "lenet-digits", "status": "running", "step": 812, "steps": 2000, "loss": null,
            "epoch": 2, "members": 4
        }))
        .unwrap()
    }

    #[test]
    fn each_state_has_its_words() {
        assert_eq!(status_words(&status(|_| {})), "idle, 3 nodes");
        assert_eq!(status_words(&status(|status| status.nodes_live = 1)), "idle, 1 node");
        let training = status(|status| status.job = Some(job()));
        assert_eq!(status_words(&training), "training lenet-digits step 812/2000 on 4 nodes");
        let more = status(|status| (status.job, status.jobs_queued) = (Some(job()), 1));
        assert_eq!(status_words(&more), "training lenet-digits step 812/2000 on 4 nodes, 1 job queued");
        let headless = status(|status| (status.coordinator, status.jobs_queued) = (None, 2));
        assert_eq!(status_words(&headless), "waiting for a coordinator, 3 nodes reachable, 2 jobs queued");
        let alone = status(|status| (status.swarm, status.coordinator) = (None, None));
        assert_eq!(status_words(&alone), "looking for a swarm: no peer answers yet");
    }
}
