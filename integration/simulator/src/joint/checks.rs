//! The invariants of a joint run.

use bytes::Bytes;
use traind_protocol::ids::{Chain, Epoch, Incarnation};
use traind_protocol::invariants::{
    Place, agree, changes_nothing, exactly_once, is_durable, is_expected, used_once, views_grow,
};
use traind_protocol::ledger::{JobStatus, Ledger};
use traind_protocol::numbers::Numbers;
use traind_protocol::view::View;

use super::disk::raft_field;
use super::world::{JOB, JointWorld};
use crate::toy::{Fold, leaves_of};

/// Kinds of messages of the consensus library: an answer to an append, and the answers to campaigns.
const APPENDED: u64 = 4;
const VOTE: u64 = 6;

impl JointWorld {
    /// S2: what a council message says is on the disk of its sender.
    pub(super) fn check_durable(&mut self, index: usize, bytes: &[u8]) {
        let field = |number| raft_field(bytes, number).unwrap_or(0);
        let (kind, to, term, at, rejects) = (field(1), field(2), field(4), field(6), field(10) != 0);
        let (disk_term, disk_vote, disk_index) = self.nodes[index].disk.durable();
        if rejects {
            return;
        }
        match kind {
            VOTE if (disk_term, disk_vote) != (term, to) => {
                let what = format!(
                    "node {index} votes for {to} in term {term}; on disk is {disk_vote} in {disk_term}"
                );
                self.fail("S2", what);
            }
            APPENDED if !is_durable((term, at), (disk_term, disk_index)) => {
                let what = format!(
                    "node {index} acknowledges entry {at} in term {term}; on disk is {disk_index} in {disk_term}"
                );
                self.fail("S2", what);
            }
            _ => {}
        }
    }

    /// S2 too: no index ever holds two commands.
    pub(super) fn check_applied(&mut self, index: usize, at: u64, command: Vec<u8>) {
        let Some(council) = self.nodes[index].process.as_ref().map(|process| process.council_id()) else {
            return;
        };
        let agreed = self.agreed.entry((council, at)).or_insert_with(|| command.clone());
        if *agreed != command {
            self.fail("S2", format!("node {index} applies another command at index {at} of {council}"));
        }
        self.note("commands applied");
    }

    /// V1: one view of an epoch, on all nodes.
    pub(super) fn check_view(&mut self, index: usize, view: &View) {
        let name = (view.incarnation, view.epoch);
        if !self.views.contains_key(&name) {
            self.note("views");
            // Each council has a range of epochs; those of another one's views say nothing about this one's lineages.
            let range = |epoch: Epoch| epoch.0 - epoch.count();
            let before =
                self.views.keys().filter(|other| other.1 < view.epoch && range(other.1) == range(view.epoch));
            let last = before.max_by_key(|other| other.1);
            if last.is_some_and(|last| !views_grow(*last, name)) {
                self.fail("V1", format!("epoch {} is of an older incarnation", view.epoch.0));
            }
        }
        let known = self.views.entry(name).or_insert_with(|| view.clone());
        if known != view {
            self.fail("V1", format!("node {index} has another view of epoch {}", name.1.0));
        }
    }

    /// S1 and B2: what the ledger says is committed is what one processor would have.
    pub(super) fn check_committed(&mut self, index: usize, (step, chain): (u64, Chain)) {
        let expected = self.oracle.state(step).0;
        if step > 0 && !is_expected(chain, expected) {
            self.fail("S1", format!("the ledger of node {index} commits another chain at step {step}"));
        }
    }

    /// V2: a message of another view changes nothing.
    pub(super) fn check_fenced(
        &mut self,
        index: usize,
        message: Option<(Incarnation, Epoch)>,
        before: &Place,
        place: &Place,
    ) {
        if message.is_some_and(|view| !changes_nothing(view, before, place)) {
            self.fail("V2", format!("node {index} moved by a message of another view"));
        }
    }

    /// The driver's part of an apply: D1 and B2.
    pub(super) fn apply_joint(&mut self, index: usize, step: u64, chain: Chain, results: &[Bytes]) {
        let expected = self.oracle.state(step + 1).0;
        let microbatches = self.microbatches;
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let Some(session) = process.session.as_mut() else { return };
        let (before, base) = (session.step, session.chain);
        session.model.advance(results);
        session.step = step + 1;
        session.chain = chain;
        self.note("steps applied");
        if before != step {
            self.fail("B1", format!("node {index} applies step {step} to the state of step {before}"));
        }
        for result in results {
            let leaves: Vec<(u32, Chain)> =
                leaves_of(result).iter().map(|leaf| (leaf.microbatch, leaf.base)).collect();
            if !exactly_once(&leaves, microbatches, base) {
                self.fail("D1", format!("node {index} applied {leaves:?} in step {step}"));
            }
        }
        if !is_expected(chain, expected) {
            self.fail("B2", format!("node {index} is at another state than one processor after step {step}"));
        }
    }

    pub(super) fn check_joint_folds(&mut self, index: usize, folds: &[Fold]) {
        for Fold { step, leaves, .. } in folds {
            let base = self.oracle.state(*step).0;
            let leaves: Vec<(u32, Chain)> = leaves.iter().map(|leaf| (leaf.microbatch, leaf.base)).collect();
            if !exactly_once(&leaves, self.microbatches, base) {
                self.fail("D1", format!("node {index} folded {leaves:?} in step {step}"));
            }
        }
    }

    /// B1: synced members of the newest view.
    pub(super) fn check_joint_agreement(&mut self, index: usize) {
        let Some(view) = self.views.values().max_by_key(|view| view.epoch) else { return };
        let place = |index: usize| {
            let process = self.nodes[index].process.as_ref()?;
            let place = process.session.as_ref()?.machine.place();
            let member = view.member(process.life)?;
            let same = place.view.is_some_and(|of| of.0 == view.incarnation);
            (same && place.synced && place.tenure == Some(member.tenure)).then_some(place)
        };
        let Some(one) = place(index) else { return };
        // Who is in another council follows the views of that one.
        let council = |index: usize| self.nodes[index].process.as_ref().map(|process| process.council_id());
        let others =
            (0..self.nodes.len()).filter(|other| *other != index && council(*other) == council(index));
        let differs =
            others.filter_map(|other| Some((other, place(other)?))).find(|(_, two)| !agree(&one, two));
        if let Some((other, two)) = differs {
            let (one, two) = (one.step, two.step);
            self.fail("B1", format!("nodes {index} and {other} disagree at steps {one} and {two}"));
        }
    }

    /// P1, D2 and S1 once the faults have stopped and time is up.
    pub fn check_end(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.report.counts.entry("slowest heal, virtual ms").or_default();
        let Some(ledger) = self.furthest().cloned() else {
            return self.fail("P1", "nobody has a ledger".into());
        };
        let Some(job) = ledger.jobs.get(&JOB) else {
            return self.fail("P1", "the job was never submitted".into());
        };
        match &job.status {
            JobStatus::Done => {}
            // A computation that failed twice ends the job, as it should.
            JobStatus::Failed { reason } if reason.contains("failed twice") => {
                return self.note("jobs failed twice");
            }
            status => {
                let why = self.why(&ledger);
                return self.fail(
                    "P1",
                    format!("the job is {status:?} {} ms after faults: {why}", super::HEAL_MS_MAX),
                );
            }
        }
        self.check_united();
        let is_straggler = |reason: &str| reason.contains(" held up ");
        let stragglers = job.view_changes.iter().filter(|change| is_straggler(&change.reason)).count();
        (0..stragglers).for_each(|_| self.note("views without a straggler"));
        let ranges = job.committed.iter().flat_map(|range| range.from_step..range.to_step).collect();
        if !used_once(ranges, 0..self.steps) {
            self.fail("D2", "the committed steps of the ledger are not each step once".into());
        }
        self.check_committed(0, job.committed_to());
        self.note("jobs done");
    }

    fn why(&self, ledger: &Ledger) -> String {
        let leading =
            self.nodes.iter().filter_map(|node| node.process.as_ref()).find(|process| process.leading);
        let status: Vec<String> = self
            .nodes
            .iter()
            .filter_map(|node| {
                Some(format!("{:?}", node.process.as_ref()?.session.as_ref()?.machine.status()))
            })
            .collect();
        let why = leading.map(|process| process.coordinator.why(self.now, ledger, JOB)).unwrap_or_default();
        format!("{why:#?} {status:#?}")
    }
}
