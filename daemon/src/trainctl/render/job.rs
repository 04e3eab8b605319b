//! Jobs: a table of all, and everything about one.

use traind_training::JobSpec;

use super::checkpoint::checkpoints;
use super::facts;
use super::node::names;
use super::table::Column::{Always, Wide};
use super::table::{table, table_in_width};
use super::units::{bytes, loss, or_dash, percent, short, shortened, view_number};
use super::wrap::wrap;
use crate::control::api::{
    EvaluationPoint, JobData, JobDetail, JobPlanned, JobRow, JobStatus, KeptOut, MemberRow, NumericClassRow,
    StepRange, ViewRow, WorkRow,
};

/// Characters of a reason in the list; `job show` has all of it.
const REASON_SHOWN_MAX: usize = 70;

/// `trainctl job ls`.
pub(super) fn jobs(jobs: &[JobRow], is_wide: bool) -> String {
    table_in_width(
        [
            Always("ID"),
            Always("NAME"),
            Always("STATUS"),
            Always("STEP"),
            Always("LOSS"),
            Always("NODES"),
            Wide("SUBMITTED BY"),
            Always("REASON"),
        ],
        is_wide,
        jobs.iter().map(|job| {
            let reason = job.reason.as_ref();
            [
                job.id.clone(),
                job.name.clone(),
                if job.checking { "checking" } else { status_word(job.status) }.into(),
                format!("{}/{}", job.step, job.steps),
                loss(job.loss),
                job.nodes.to_string(),
                job.submitted_by.name.clone(),
                or_dash(reason.map(|reason| {
                    if is_wide { reason.clone() } else { shortened(reason, REASON_SHOWN_MAX) }
                })),
            ]
        }),
    )
}

/// A status as one word.
pub(super) fn status_word(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Queued => "queued",
        JobStatus::Running => "running",
        JobStatus::Pausing => "pausing",
        JobStatus::Paused => "paused",
        JobStatus::Finished => "finished",
        JobStatus::Failed => "failed",
        JobStatus::Cancelled => "cancelled",
        JobStatus::Refused => "refused",
    }
}

/// `trainctl job show`.
pub(super) fn detail(job: &JobDetail, is_wide: bool) -> String {
    let mut text = summary(job);
    for warning in &job.warnings {
        text.push_str(&format!("{}\n", wrap(&format!("warning:       {warning}"), 15)));
    }
    if !job.members.is_empty() {
        let head = format!("members of view {} (incarnation {})", view_number(job.epoch), job.incarnation);
        section(&mut text, &head, &members(&job.members));
    }
    if !job.spares.is_empty() {
        text.push_str(&format!("\n{}\n", wrap(&format!("spares: {}", names(&job.spares)), 2)));
    }
    if !job.kept_out.is_empty() {
        let row = |row: &KeptOut| format!("{}: {}\n", row.node.name, row.reason);
        prose(&mut text, "nodes that it does without", &job.kept_out.iter().map(row).collect::<String>());
    }
    if !job.evaluations.is_empty() {
        section(&mut text, "held-out samples", &evaluations(job));
    }
    if !job.work.is_empty() {
        section(&mut text, "work by process", &work(&job.work));
    }
    if !job.views.is_empty() {
        prose(&mut text, "views", &views(&job.views));
    }
    if !job.committed.is_empty() {
        section(&mut text, "stable steps by view", &ranges(&job.committed));
    }
    if !job.checkpoints.is_empty() {
        section(&mut text, "checkpoints", &checkpoints(&job.checkpoints, is_wide));
    }
    if !job.numeric_classes.is_empty() {
        let row = |row: &NumericClassRow| format!("{}: {}\n", names(&row.nodes), row.class);
        prose(&mut text, "numeric classes", &job.numeric_classes.iter().map(row).collect::<String>());
    }
    text
}

fn section(text: &mut String, head: &str, body: &str) {
    text.push_str(&format!("\n{head}\n"));
    body.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
}

/// A section of sentences, which are broken where they are too long.
fn prose(text: &mut String, head: &str, body: &str) {
    text.push_str(&format!("\n{head}\n"));
    body.lines().for_each(|line| text.push_str(&format!("{}\n", wrap(&format!("  {line}"), 6))));
}

fn summary(job: &JobDetail) -> String {
    let status = if job.checking { "queued, the nodes check it" } else { status_word(job.status) };
    let mut lines = vec![("job", format!("{}  {}", job.name, job.id)), ("status", status.into())];
    let refusal = job.refusal.as_ref().map(|refusal| format!("{}: {}", refusal.node.name, refusal.reason));
    let pause = job.pause.as_ref().map(|pause| pause.by.name.clone());
    let data = job.data.as_ref().map(data);
    let rate = job.learning_rate.map(|rate| format!("{rate:.4e}"));
    let norm = job.gradient_norm.map(|norm| format!("{norm:.4e}"));
    lines.extend(job.reason.clone().map(|reason| ("reason", reason)));
    lines.extend(refusal.map(|refusal| ("refused by", refusal)));
    lines.extend(pause.map(|by| ("paused by", by)));
    lines.push(("step", format!("{}/{}, {} micro-batches each", job.step, job.steps, job.micro_batches)));
    lines.push(("loss", loss(job.loss)));
    lines.extend(rate.map(|rate| ("learning rate", rate)));
    lines.extend(norm.map(|norm| ("gradient norm", norm)));
    lines.extend(data.map(|data| ("data", data)));
    lines.extend(job.from.clone().map(|from| ("started from", from)));
    lines.push(("submitted by", job.submitted_by.name.clone()));
    if let Some(result) = &job.result {
        lines.push(("digest", result.digest.clone()));
        lines.push(("chain", result.chain.clone()));
        if let Some(accuracy) = result.test_accuracy() {
            let counts = format!("{} of {}", result.test_correct, result.test_total);
            lines.push(("test accuracy", format!("{} ({counts})", percent(accuracy))));
        }
    }
    facts(&lines)
}

/// `idx /srv/fashion-mnist, digest 5f0c…`.
fn data(data: &JobData) -> String {
    let path = data.path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
    let digest = data.digest.as_ref().map(|digest| format!(", digest {}", short(digest))).unwrap_or_default();
    format!("{}{path}{digest}", data.kind)
}

/// `trainctl job submit --dry-run`.
pub(super) fn planned(job: &JobPlanned) -> String {
    let mut lines = vec![
        ("job", job.name.clone()),
        ("steps", job.steps.to_string()),
        ("batch", format!("{} micro-batches of {} samples", job.micro_batches, job.micro_batch_size)),
        ("nodes", format!("at least {}", job.nodes_min)),
        ("state", bytes(job.state_bytes)),
    ];
    lines.extend(job.data.as_ref().map(|found| ("data", data(found))));
    lines.extend(job.warnings.iter().map(|warning| ("warning", warning.clone())));
    facts(&lines)
}

/// The perplexity says something of a language model only.
fn evaluations(job: &JobDetail) -> String {
    let is_language = JobSpec::parse(&job.spec_toml).is_ok_and(|spec| spec.data.is_text());
    let columns = [Always("STEP"), Always("ACCURACY"), Always("RIGHT"), Always("LOSS"), Wide("PERPLEXITY")];
    let row = |point: &EvaluationPoint| {
        [
            point.step.to_string(),
            or_dash(point.accuracy.map(percent)),
            format!("{} of {}", point.correct, point.total),
            loss(point.loss),
            or_dash(point.loss.map(|loss| format!("{:.1}", loss.exp()))),
        ]
    };
    table_in_width(columns, is_language, job.evaluations.iter().map(row))
}

fn members(members: &[MemberRow]) -> String {
    table(
        ["NODE", "BOOT", "ADMITTED", "STATE", "MICRO-BATCHES PER STEP", "PARTS"],
        members.iter().map(|member| {
            [
                member.node.name.clone(),
                format!("{:x}", member.boot),
                format!("view {}", member.tenure),
                if member.synced { "synced".into() } else { "fetching".into() },
                member.microbatches_leased.to_string(),
                member.parts_owned.to_string(),
            ]
        }),
    )
}

/// Work of every process, and its sum.
pub(in super::super) fn work(work: &[WorkRow]) -> String {
    let row = |name: String, boot: String, state: &str, work: [u64; 4]| {
        let [computed, taken_over, sent, steps] = work;
        [
            name,
            boot,
            state.into(),
            computed.to_string(),
            taken_over.to_string(),
            bytes(sent),
            steps.to_string(),
        ]
    };
    let numbers = |work: &WorkRow| {
        [
            work.microbatches_computed,
            work.microbatches_taken_over,
            work.exchange_bytes_sent,
            work.steps_applied,
        ]
    };
    let mut rows: Vec<[String; 7]> = work
        .iter()
        .map(|process| {
            let state = if process.live { "live" } else { "gone" };
            row(process.node.name.clone(), format!("{:x}", process.boot), state, numbers(process))
        })
        .collect();
    let sum = |of: fn(&WorkRow) -> u64| work.iter().map(of).sum();
    let sums = [
        sum(|work| work.microbatches_computed),
        sum(|work| work.microbatches_taken_over),
        sum(|work| work.exchange_bytes_sent),
        work.iter().map(|work| work.steps_applied).max().unwrap_or(0),
    ];
    rows.push(row("all".into(), String::new(), "", sums));
    table(["NODE", "BOOT", "STATE", "MICRO-BATCHES", "TAKEN OVER", "SENT", "STEPS"], rows)
}

fn views(views: &[ViewRow]) -> String {
    let mut text = String::new();
    for view in views {
        text.push_str(&format!(
            "view {} at step {}: {} ({})\n",
            view_number(view.epoch),
            view.step,
            names(&view.members),
            view.reason
        ));
        if !view.joined.is_empty() {
            text.push_str(&format!("  joined: {}\n", names(&view.joined)));
        }
        for gone in &view.left {
            text.push_str(&format!("  left: {} ({}); {}\n", gone.node.name, gone.reason, gone.work));
        }
    }
    text
}

fn ranges(ranges: &[StepRange]) -> String {
    let rows = ranges.iter().map(|range| {
        let count = range.last_step.saturating_sub(range.first_step) + 1;
        [
            format!("view {}", view_number(range.epoch)),
            format!("{} to {}", range.first_step, range.last_step),
            count.to_string(),
        ]
    });
    table(["VIEW", "STEPS", "COUNT"], rows)
}
