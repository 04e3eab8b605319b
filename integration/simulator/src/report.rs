//! What happened, counted.

use std::fmt;

/// Counts over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs.
    pub runs: u64,
    /// Runs of at least 3 nodes, 20 steps and 5 faults.
    pub qualified: u64,
    /// Faults: deaths, evictions of the living, connections broken or cut, pauses, failed computations.
    pub faults: u64,
    /// Processes that stood still.
    pub pauses: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Processes that started again.
    pub restarts: u64,
    /// Living members evicted.
    pub evictions_of_the_living: u64,
    /// Views committed.
    pub views: u64,
    /// Of them: while a member had not entered the one before or was not synced.
    pub views_cascading: u64,
    /// Nodes admitted.
    pub joins: u64,
    /// Members told to leave in order.
    pub drains: u64,
    /// Of them: taken out with nothing lost.
    pub drained: u64,
    /// Views that began a halt.
    pub halts: u64,
    /// Members that said that they have stopped.
    pub halted: u64,
    /// Runs without faults in which nothing was computed twice.
    pub orderly_runs: u64,
    /// Steps of them.
    pub orderly_steps: u64,
    /// Connections broken.
    pub paths_broken: u64,
    /// Blocks of connections.
    pub partitions: u64,
    /// Messages sent.
    pub messages: u64,
    /// Steps applied, summed over nodes.
    pub steps: u64,
    /// Steps found stable.
    pub stable_steps: u64,
    /// Parts folded.
    pub folds: u64,
    /// Of them: once more.
    pub refolds: u64,
    /// Micro-batches computed.
    pub computations: u64,
    /// Computations that failed.
    pub computations_failed: u64,
    /// States offered to joiners.
    pub snapshots: u64,
    /// Chunks of states sent.
    pub chunks_sent: u64,
    /// Chunks that a joiner had already of a state that it began to get.
    pub chunks_resumed: u64,
    /// Lies told to joiners.
    pub lies: u64,
    /// Times that one was found out.
    pub liars_found: u64,
    /// Accusations of members that sent what no honest one does.
    pub liars_accused: u64,
    /// Views without a member that was accused.
    pub liars_put_out: u64,
    /// Runs that ended without a live member that has the state.
    pub lineages_lost: u64,
    /// Of them: continued from a checkpoint in a new incarnation.
    pub lineages_continued: u64,
    /// Times that faults stopped and everybody went on.
    pub heals: u64,
    /// Virtual time to three more steps once faults stopped, milliseconds: the worst.
    pub heal_ms_max: u64,
}

impl Report {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.qualified += other.qualified;
        self.faults += other.faults;
        self.pauses += other.pauses;
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.evictions_of_the_living += other.evictions_of_the_living;
        self.views += other.views;
        self.views_cascading += other.views_cascading;
        self.joins += other.joins;
        self.drains += other.drains;
        self.drained += other.drained;
        self.halts += other.halts;
        self.halted += other.halted;
        self.orderly_runs += other.orderly_runs;
        self.orderly_steps += other.orderly_steps;
        self.paths_broken += other.paths_broken;
        self.partitions += other.partitions;
        self.messages += other.messages;
        self.steps += other.steps;
        self.stable_steps += other.stable_steps;
        self.folds += other.folds;
        self.refolds += other.refolds;
        self.computations += other.computations;
        self.computations_failed += other.computations_failed;
        self.snapshots += other.snapshots;
        self.chunks_sent += other.chunks_sent;
        self.chunks_resumed += other.chunks_resumed;
        self.lies += other.lies;
        self.liars_found += other.liars_found;
        self.liars_accused += other.liars_accused;
        self.liars_put_out += other.liars_put_out;
        self.lineages_lost += other.lineages_lost;
        self.lineages_continued += other.lineages_continued;
        self.heals += other.heals;
        self.heal_ms_max = self.heal_ms_max.max(other.heal_ms_max);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("runs", self.runs),
            ("schedules that count", self.qualified),
            ("faults", self.faults),
            ("pauses", self.pauses),
            ("crashes", self.crashes),
            ("restarts", self.restarts),
            ("evictions of the living", self.evictions_of_the_living),
            ("views", self.views),
            ("views, cascading", self.views_cascading),
            ("joins", self.joins),
            ("leaves in order begun", self.drains),
            ("leaves in order done", self.drained),
            ("halts", self.halts),
            ("members halted", self.halted),
            ("orderly runs", self.orderly_runs),
            ("steps in them", self.orderly_steps),
            ("paths broken", self.paths_broken),
            ("partitions", self.partitions),
            ("messages", self.messages),
            ("steps applied", self.steps),
            ("steps stable", self.stable_steps),
            ("parts folded", self.folds),
            ("parts folded again", self.refolds),
            ("micro-batches computed", self.computations),
            ("computations failed", self.computations_failed),
            ("states kept", self.snapshots),
            ("chunks sent", self.chunks_sent),
            ("chunks kept over a view", self.chunks_resumed),
            ("lies", self.lies),
            ("lies of donors found out", self.liars_found),
            ("accusations of liars", self.liars_accused),
            ("liars put out", self.liars_put_out),
            ("lineages lost", self.lineages_lost),
            ("lineages continued", self.lineages_continued),
            ("heals", self.heals),
            ("slowest heal, virtual ms", self.heal_ms_max),
        ];
        for (name, count) in rows {
            writeln!(formatter, "{name:<26}{count:>14}")?;
        }
        Ok(())
    }
}
