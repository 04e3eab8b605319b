//! Values for tests of the ledger and of the coordinator.

use super::{CheckpointEntry, JobPlan, KeepRules, LedgerCommand};
use crate::ids::{Boot, Chain, Digest, Epoch, Incarnation, JobId, Life, ManifestId, NodeId};
use crate::view::{Member, Origin, View};
use crate::wire::control::Registration;

pub(crate) fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

pub(crate) fn life(number: u8, boot: u64) -> Life {
    Life { node: node(number), boot: Boot(boot) }
}

pub(crate) fn member(number: u8, boot: u64, tenure: u64) -> Member {
    Member { node: node(number), boot: Boot(boot), tenure: Epoch(tenure) }
}

pub(crate) fn job_id(number: u8) -> JobId {
    JobId([number; 8])
}

/// The one chain that a job without faults has after `step` steps.
pub(crate) fn chain(step: u64) -> Chain {
    Chain(*blake3::hash(&step.to_le_bytes()).as_bytes())
}

pub(crate) fn digest(step: u64) -> Digest {
    Digest(*blake3::hash(&chain(step).0).as_bytes())
}

pub(crate) fn manifest(step: u64) -> ManifestId {
    ManifestId(*blake3::hash(&digest(step).0).as_bytes())
}

pub(crate) fn plan() -> JobPlan {
    JobPlan {
        microbatches: 12,
        microbatch_size: 4,
        parts: 16,
        steps: 100,
        may_end_early: false,
        checkpoint_every: 10,
        checkpoint_keep: 2,
        checkpoint_replicas: 8,
        nodes_min: 1,
        nodes_max: 8,
        genesis: chain(0),
        // Long enough for joiners to be taken in batches.
        state_bytes: 13_000_000,
    }
}

pub(crate) fn registration(boot: u64) -> Registration {
    Registration {
        boot: Boot(boot),
        numeric_class: "class".to_owned(),
        device: "cpu".to_owned(),
        threads: 4,
        failure_label: String::new(),
        version: "0.1.0".to_owned(),
    }
}

pub(crate) fn register(number: u8, boot: u64) -> LedgerCommand {
    LedgerCommand::RegisterNode { node: node(number), registration: registration(boot) }
}

pub(crate) fn submit(number: u8, plan: JobPlan) -> LedgerCommand {
    let (name, spec_toml) = (format!("job-{number}"), "model = \"lenet\"".to_owned());
    let (data_digest, initial) = (DATA, None);
    LedgerCommand::SubmitJob {
        id: job_id(number),
        name,
        spec_toml,
        plan,
        data_digest,
        initial,
        by: node(1),
        rules: KeepRules::default(),
    }
}

/// Digest of the data of every job.
pub(crate) const DATA: [u8; 32] = [9; 32];

/// A view of job 1 whose leases and parts all belong to the member at `worker`.
pub(crate) fn view(epoch: u64, founding: u64, members: Vec<Member>, worker: u16) -> View {
    View {
        job: job_id(1),
        incarnation: Incarnation(1),
        epoch: Epoch(epoch),
        founding_epoch: Epoch(founding),
        origin: Origin::Seed,
        members,
        leases: vec![worker; 12],
        owners: vec![worker; 16],
        halt: false,
    }
}

pub(crate) fn commit(view: View) -> LedgerCommand {
    LedgerCommand::CommitView { view, reason: "because".to_owned(), stable_step: 0 }
}

pub(crate) fn commit_steps(from: u64, to: u64, epoch: u64) -> LedgerCommand {
    LedgerCommand::CommitSteps { job: job_id(1), from, to, epoch: Epoch(epoch), chain: chain(to) }
}

pub(crate) fn checkpoint(step: u64, holders: &[u8]) -> CheckpointEntry {
    let holders = holders.iter().map(|number| node(*number)).collect();
    let assigned = Default::default();
    CheckpointEntry {
        step,
        chain: chain(step),
        digest: digest(step),
        manifest: manifest(step),
        bytes: 1000,
        holders,
        assigned,
    }
}
