//! What goes wrong, and what people ask for meanwhile.

use traind_protocol::ids::{Boot, Life};
use traind_protocol::ledger::{DrainUntil, JobPlan, KeepRules, LedgerCommand};

use super::messages::kind_of;
use super::session::{CHECKPOINT_EVERY, CHECKPOINT_REPLICAS};
use super::world::{Device, Event, JOB, JointWorld};
use crate::node::node_index;

/// A silent peer is given up after so long, milliseconds.
const SILENCE_MS: u64 = 500;

/// The state of the toy model at most, bytes.
const STATE_BYTES: u64 = 1_000;

impl JointWorld {
    /// A fault, or something that people ask for.
    pub(super) fn strike(&mut self) {
        if self.calm {
            return;
        }
        let index = self.random.below(self.nodes.len());
        let up = self.nodes.iter().filter(|node| node.process.is_some()).count();
        // Devices change in some runs only: a job that stands still meets less of all else.
        match self.random.below(if self.has_bad_devices { 24 } else { 20 }) {
            0..4 if up > 1 => self.kill(index),
            4..9 => self.start_dead(),
            9 | 10 => self.cut(index, true),
            11 | 12 => self.mend(),
            13 => self.pause(index, true),
            14 => (0..self.nodes.len()).for_each(|index| self.pause(index, false)),
            15 => self.kill_many(up),
            20 => self.change_device(index, Device::Slow),
            21 => self.change_device(index, Device::Hangs),
            22 | 23 => (0..self.nodes.len()).for_each(|index| self.change_device(index, Device::Sound)),
            _ => self.ask(index),
        }
        let delay_ms = 60 + self.random.below(500) as u64;
        self.after(delay_ms, Event::Fault);
    }

    /// The process of `index` dies with all that it had not synced.
    pub(super) fn kill(&mut self, index: usize) {
        let Some(process) = self.nodes[index].process.take() else { return };
        self.tell(|| format!("KILL {index}{}", if process.leading { ", the coordinator" } else { "" }));
        self.note("processes killed");
        if process.leading {
            self.note("coordinators killed");
        }
        self.nodes[index].disk.crash();
        self.nodes[index].paused = false;
        self.nodes[index].held.clear();
        let node = process.life.node;
        let of_it = |event: &&Event| match event {
            Event::Control { from, to, .. } => *from == process.life || *to == node,
            _ => false,
        };
        let kinds: Vec<&'static str> = self
            .queue
            .values()
            .filter(of_it)
            .filter_map(|event| match event {
                Event::Control { message, .. } => Some(kind_of(message)),
                _ => None,
            })
            .collect();
        kinds.into_iter().for_each(|kind| self.meet("Crash", kind));
        // Half of what it sent last is lost.
        let random = &mut self.random;
        self.queue.retain(|_, event| match event {
            Event::Control { from, .. } | Event::Data { from, .. } if *from == process.life => {
                random.chance(500)
            }
            _ => true,
        });
        let is_certain = self.random.chance(800);
        let delay_ms = if is_certain { 5 + self.random.below(40) as u64 } else { SILENCE_MS };
        self.tell_loss(process.life, delay_ms, is_certain);
    }

    /// All that run lose `gone`.
    fn tell_loss(&mut self, gone: Life, delay_ms: u64, is_certain: bool) {
        let lives: Vec<Life> =
            self.nodes.iter().filter_map(|node| node.process.as_ref()).map(|process| process.life).collect();
        for at in lives.into_iter().filter(|life| *life != gone) {
            let (node, boot) = (gone.node, Boot(gone.boot.0));
            self.after(delay_ms, Event::Lost { at, node, boot, is_certain });
        }
    }

    fn start_dead(&mut self) {
        let dead: Vec<usize> =
            (0..self.nodes.len()).filter(|index| self.nodes[*index].process.is_none()).collect();
        if let Some(&index) = self.random.pick(&dead) {
            self.note("processes started again");
            self.start(index);
        }
    }

    /// Several at once, perhaps all: a power cut.
    fn kill_many(&mut self, up: usize) {
        let all = self.random.chance(300);
        for index in 0..self.nodes.len() {
            if self.nodes[index].process.is_some() && (all || self.random.chance(600)) {
                self.kill(index);
            }
        }
        self.note(if all { "power cuts" } else { "several killed at once" });
        if up > 0 && self.nodes.iter().all(|node| node.process.is_none()) {
            self.start_dead();
        }
    }

    /// Nobody hears `index`, and it hears nobody.
    fn cut(&mut self, index: usize, says: bool) {
        if std::mem::replace(&mut self.nodes[index].cut, true) {
            return;
        }
        self.tell(|| format!("CUT {index}"));
        if says {
            self.note("nodes cut off");
        }
        let Some(gone) = self.nodes[index].process.as_ref().map(|process| process.life) else { return };
        self.tell_loss(gone, SILENCE_MS, false);
        let others: Vec<Life> =
            self.nodes.iter().filter_map(|node| node.process.as_ref()).map(|process| process.life).collect();
        for other in others.into_iter().filter(|life| *life != gone) {
            let (node, boot, is_certain) = (other.node, other.boot, false);
            self.after(SILENCE_MS, Event::Lost { at: gone, node, boot, is_certain });
        }
    }

    fn mend(&mut self) {
        for index in 0..self.nodes.len() {
            if std::mem::take(&mut self.nodes[index].cut) {
                self.tell(|| format!("MEND {index}"));
                // Connections that were given up are made anew once both ends have noticed.
                self.connect_later(index);
            }
        }
    }

    fn connect_later(&mut self, index: usize) {
        let lives: Vec<Life> =
            self.nodes.iter().filter_map(|node| node.process.as_ref()).map(|process| process.life).collect();
        let Some(me) = lives.iter().copied().find(|life| node_index(life.node) == index) else { return };
        for other in lives.into_iter().filter(|life| *life != me) {
            for (at, of) in [(me, other), (other, me)] {
                self.after(SILENCE_MS + 30, Event::Connected { at, node: of.node, boot: of.boot });
            }
        }
    }

    fn pause(&mut self, index: usize, paused: bool) {
        let is_up = self.nodes[index].process.is_some();
        if !is_up || std::mem::replace(&mut self.nodes[index].paused, paused) == paused {
            return;
        }
        self.tell(|| format!("{} {index}", if paused { "PAUSE" } else { "WAKE" }));
        if paused {
            return self.note("pauses");
        }
        for event in std::mem::take(&mut self.nodes[index].held) {
            self.happen(event);
        }
    }

    /// The device of `index` becomes slow, hangs, or is sound again. Its process, and its word, go on.
    fn change_device(&mut self, index: usize, device: Device) {
        let is_up = self.nodes[index].process.is_some();
        if !is_up || std::mem::replace(&mut self.nodes[index].device, device) == device {
            return;
        }
        self.tell(|| format!("DEVICE {index} {device:?}"));
        match device {
            Device::Slow => self.note("devices that became slow"),
            Device::Hangs => self.note("devices that hung"),
            Device::Sound => {}
        }
        if device != Device::Hangs {
            // What it had begun is finished now.
            if let Some(session) = self.nodes[index].process.as_mut().and_then(|it| it.session.as_mut()) {
                session.outside = session.outside.map(|_| true);
            }
            for event in std::mem::take(&mut self.nodes[index].unfinished) {
                self.happen(event);
            }
        }
    }

    /// People ask for something at a node.
    fn ask(&mut self, index: usize) {
        let by = Self::id(index);
        let of = self.random.below(self.nodes.len());
        let node = Self::id(of);
        let registered = self.furthest().is_some_and(|ledger| ledger.nodes.len() == self.nodes.len());
        if !self.is_submitted {
            if registered || self.random.chance(200) {
                self.submit(index);
            }
            return;
        }
        let command = match self.random.below(8) {
            0 => LedgerCommand::PauseJob { job: JOB, by },
            1 | 2 => LedgerCommand::ResumeJob { job: JOB, by },
            3 => LedgerCommand::DrainNode { node, by, reason: "asked".into(), until: DrainUntil::Undrain },
            4 => {
                let until = DrainUntil::Restart { boot: Boot(self.nodes[of].boot) };
                LedgerCommand::DrainNode { node, by, reason: "SIGTERM".into(), until }
            }
            _ => LedgerCommand::UndrainNode { node, by },
        };
        self.note("commands asked for");
        self.propose(index, &command);
        self.settle(index);
    }

    fn submit(&mut self, index: usize) {
        let plan = JobPlan {
            microbatches: self.microbatches,
            microbatch_size: 1,
            parts: self.parts,
            steps: self.steps,
            checkpoint_every: CHECKPOINT_EVERY,
            checkpoint_keep: 2,
            checkpoint_replicas: CHECKPOINT_REPLICAS,
            nodes_min: 1,
            nodes_max: self.nodes.len() as u32,
            genesis: self.genesis,
            state_bytes: STATE_BYTES,
            may_end_early: false,
        };
        let command = LedgerCommand::SubmitJob {
            id: JOB,
            name: "toy".into(),
            spec_toml: "model = \"toy\"".into(),
            plan,
            data_digest: super::driver::DATA,
            initial: None,
            by: Self::id(index),
            rules: KeepRules::default(),
        };
        self.propose(index, &command);
        self.settle(index);
        self.is_submitted = true;
    }

    /// Faults stop; everybody is there, and nobody is held up.
    pub(super) fn heal(&mut self) {
        self.calm = true;
        self.tell(|| "HEAL".into());
        self.mend();
        for index in 0..self.nodes.len() {
            self.pause(index, false);
            self.change_device(index, Device::Sound);
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].process.is_none() {
                self.start(index);
            }
        }
        // In some runs one device never works again: the job ends all the same.
        if self.has_bad_devices && self.random.chance(600) {
            let index = self.random.below(self.nodes.len());
            self.change_device(index, Device::Hangs);
        }
        self.run_until(super::FAULTS_MS + 5_000, false);
        for round in 0..4 {
            let has_job = self.furthest().is_some_and(|ledger| ledger.jobs.contains_key(&JOB));
            let leader = (0..self.nodes.len()).find(|index| {
                self.nodes[*index].process.as_ref().is_some_and(|process| process.elected_in.is_some())
            });
            let Some(leader) = leader else { continue };
            if !has_job {
                self.submit(leader);
            }
            let by = Self::id(leader);
            self.propose(leader, &LedgerCommand::ResumeJob { job: JOB, by });
            for index in 0..self.nodes.len() {
                self.propose(leader, &LedgerCommand::UndrainNode { node: Self::id(index), by });
            }
            self.settle(leader);
            self.run_until(super::FAULTS_MS + 5_000 + 2_000 * (round + 1), false);
        }
    }
}
