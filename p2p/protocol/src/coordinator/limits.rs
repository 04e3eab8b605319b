//! Every limit and delay of the coordinator.

/// Peers whose connections are followed: the registered nodes and as many that are not admitted.
pub const PEERS_MAX: usize = 2 * crate::ledger::limits::NODES_MAX;

/// Longest reason kept for the end of a connection, bytes: a sentence.
pub const LOSS_REASON_BYTES_MAX: usize = 256;

/// Registrations that wait for their commit: one for each node.
pub const REGISTRATIONS_PENDING_MAX: usize = crate::ledger::limits::NODES_MAX;

/// Reports held because the ledger is not as far as the reporting member: a few of each node.
pub const REPORTS_EARLY_MAX: usize = 4 * crate::ledger::limits::NODES_MAX;

/// After this a proposal that the ledger does not show is made again, ms: several round trips of the council.
pub const PROPOSAL_RETRY_MS: u64 = 500;

/// Stable steps are in the ledger after this time at the latest, ms: until then only the coordinator knows in which view they were
/// done, and where it dies they count as those of the next. An entry of some tens of bytes.
pub const COMMIT_DELAY_MS: u64 = 5_000;

/// After a rejection proposals are made again from this age on, ms: one that is always rejected costs 20 a second.
pub const REJECTION_RETRY_MS: u64 = 50;

/// A dead voter that no live node can replace keeps its vote for so long, ms: a restart takes less.
pub const DEAD_VOTER_GRACE_MS: u64 = 3_000;

/// A node that this coordinator has never seen counts as alive for so long after the election, ms: connections to all
/// nodes are made well within it.
pub const UNSEEN_GRACE_MS: u64 = 1_000;

/// When all members of a job are dead, the others get so long to come back before those here found it anew, ms.
pub const FOUNDING_GRACE_MS: u64 = 1_000;

/// The same where a member with the state is only silent, ms: it may be alive and ahead.
pub const SILENCE_GRACE_MS: u64 = 10_000;

/// So long the holders of the newest checkpoint are waited for before an older one is taken, ms: they are a few of all
/// nodes, and after a power cut their machines may take longer to start than others.
pub const ORIGIN_GRACE_MS: u64 = 30_000;

/// So long the holders of the newest checkpoint of a job that was halted in order are waited for before an older one is
/// taken, ms: the machine that has it may be starting anew.
pub const RESUME_ORIGIN_GRACE_MS: u64 = 60_000;

/// When a halted job's last state is on record once, the other members get so long to write it too, ms: who holds it can
/// go on at once later.
pub const HALT_HOLDERS_MS: u64 = 5_000;

/// Micro-batches of one step that fail within this time go elsewhere in one view, ms: a handful of micro-batches.
pub const FAILURE_BATCH_MS: u64 = 100;

/// Nodes that register within this time join in one view, ms: a view change costs about one round trip.
pub const JOIN_BATCH_MS: u64 = 100;

/// A joiner of a job with a state of so many bytes is not kept waiting for others that may come: they follow when it has its state,
/// which is within about [`JOIN_BATCH_MS`] on a line of 1 Gbit/s.
pub const JOIN_AT_ONCE_BYTES_MAX: u64 = 12_000_000;

/// A joiner that has no state after this time, and what the state takes at [`JOINER_BYTES_PER_MS_MIN`], holds up the others and is
/// removed, ms.
pub const JOINER_SYNC_MS_MAX: u64 = 30_000;

/// What a joiner's way must carry at least, bytes a millisecond: a third of a line of 1 Gbit/s, which training uses too.
pub const JOINER_BYTES_PER_MS_MIN: u64 = 35_000;

/// A joiner that was removed because it was too slow is admitted again after this time, ms.
pub const JOINER_RETRY_MS: u64 = 60_000;

/// So many crashes in a row cost a node nothing: restarts after a fault of the moment, or by a person's hand.
pub const CRASHES_FREE: u32 = 2;

/// After one crash more a node is taken back after this time, ms, and after twice as much with each that follows: some steps.
pub const CRASHED_RETRY_MS: u64 = 250;

/// The longest such delay, ms: a node that was repaired is not left out for longer.
pub const CRASHED_RETRY_MS_MAX: u64 = 60_000;

/// Checkpoints that members wrote at about the same time are recorded together, ms after the first.
pub const CHECKPOINT_BATCH_MS: u64 = 500;

/// Copies of checkpoints are counted this often, ms: there may be thousands of them.
pub const REPLICAS_INTERVAL_MS: u64 = 1_000;

/// Who writes a checkpoint gets so long, ms, before another node is to fetch it: a slow disk takes so long for 1 GiB.
pub const REPLICA_GRACE_MS: u64 = 10_000;

/// A holder that went away is counted on for so long, ms: a machine starts anew within that. A copy too many does no
/// harm beyond its bytes.
pub const HOLDER_GRACE_MS: u64 = 30_000;

/// Who was chosen to fetch a checkpoint and has not got it after so long, ms, is made up for by another: 1 GiB at 2 MB/s.
pub const REPAIR_MS_MAX: u64 = 600_000;

/// Copies that are fetched in the whole swarm at a time: they share its links with training.
pub const REPAIRS_AT_ONCE_MAX: usize = 4;

/// Checkpoints that wait to be recorded: more than two are in flight only if reports contradict each other.
pub const CHECKPOINTS_PENDING_MAX: usize = 16;

/// A checkpoint that time makes due is of a step that members reach after this time, ms, by their speed: an entry of the
/// ledger is everywhere well within it.
pub const SAVE_AHEAD_MS: u64 = 1_000;

/// And at least so many steps ahead: members are up to one step beyond what others have reported.
pub const SAVE_AHEAD_STEPS_MIN: u64 = 3;

/// Longest reason why a checkpoint was not written, bytes: a sentence with a path. One for each member goes with the progress.
pub const UNWRITTEN_REASON_BYTES_MAX: usize = 256;

/// Failed micro-batches of one node that wait to be recorded.
pub const FAILURES_PENDING_OF_ONE_MAX: usize = 2 * crate::ledger::limits::FAILED_MICROBATCHES_MAX;

/// Least time from one progress message to the next, ms.
pub const PROGRESS_INTERVAL_MS: u64 = 200;

/// Steps remembered of each member: members are at most one step apart, reports of the quick ones a few more.
pub const APPLIED_HISTORY_MAX: usize = 64;

/// Micro-batches over which a member's time for one is averaged: a few steps.
pub const SPEED_WINDOW_MICROBATCHES: u64 = 16;

/// A member that takes longer counts as one that takes 32 times as long as the quickest, in quarters.
pub const SPEED_LEVELS_MAX: u32 = 128;

/// Work moves for speed alone if a step then takes so much less time, percent of what it would take.
pub const REBALANCE_GAIN_PERCENT_MIN: u64 = 20;

/// After any view work stays where it is for so long, ms, unless members come or go: what moves in the middle of a step is
/// computed twice, and speeds are to be measured first.
pub const REBALANCE_INTERVAL_MS: u64 = 5_000;

/// Steps of which samples of members' states are compared: members are at most one step apart, their reports a few more.
pub const SAMPLED_STEPS_MAX: usize = 8;

/// A node whose state has diverged for the second time stays outside for so long, ms; then twice as long each time.
pub const DIVERGED_RETRY_MS: u64 = 60_000;

/// It stays outside for so long at most, ms: an hour.
pub const DIVERGED_RETRY_MS_MAX: u64 = 3_600_000;

/// One member's word against another is acted on after this time, ms, in which others may say the same: what was sent to all
/// is reported by all within a few round trips.
pub const ACCUSATION_BATCH_MS: u64 = 100;

/// A node that was put out because of what it sent stays outside for so long, ms; then twice as long each time.
pub const MISBEHAVED_RETRY_MS: u64 = 60_000;

/// It stays outside for so long at most, ms: an hour.
pub const MISBEHAVED_RETRY_MS_MAX: u64 = 3_600_000;

/// A node that was believed without another's word is so about no other node for so long, ms: an hour.
pub const QUARREL_MS: u64 = 3_600_000;

/// Verdicts that wait to be recorded: as many as the ledger remembers.
pub const VERDICTS_DUE_MAX: usize = crate::ledger::limits::VERDICTS_MAX;

/// Chains of stable steps remembered, to compare checkpoints with: writing one may take so many steps.
pub const STABLE_CHAINS_MAX: usize = 4096;

/// Words of nodes on the data of jobs that are remembered: 64 nodes on the next 64 jobs, 3 MiB if all complain at length.
pub const CHECKS_MAX: usize = 4096;

/// A node that is here and does not say whether it has a job's data is waited for so long, ms, then the others start
/// and it joins later: what it takes to read 300 GB.
pub const DATA_CHECK_MS_MAX: u64 = 600_000;

/// Evaluations of stable steps that wait to be recorded.
pub const EVALUATIONS_PENDING_MAX: usize = 64;

/// Work counters remembered, by process, the dead ones included.
pub const WORK_ENTRIES_MAX: usize = 4 * crate::ledger::limits::NODES_MAX;

/// Waits that are shown.
pub const WAITS_MAX: usize = 64;

/// A seat whose node left for good stays in the group for so long, ms: some heartbeats, so that the node hears that the
/// ledger has forgotten it.
pub const FORGOTTEN_SEAT_GRACE_MS: u64 = 2_000;

/// A job whose members have all finished waits for so long, ms, for the first of them to write the final state: a slow
/// disk takes seconds for a large one. A job whose final state nobody can write ends all the same.
pub const FINAL_CHECKPOINT_WAIT_MS: u64 = 30_000;

/// The others who write the final state get so long, ms, once all have finished: afterwards nobody hears that they have.
pub const FINAL_COPIES_WAIT_MS: u64 = 2_000;

/// A member that the others wait for is taken out once they have waited for so many times what a step takes: leases follow
/// slower changes of speed, and a machine in trouble is slower than that.
pub const STRAGGLER_STEPS: u64 = 4;

/// But not before so long, ms: disks, swapping and other work of a machine stop a process for seconds, and who comes back fetches
/// the state anew.
pub const STRAGGLER_MS_MIN: u64 = 5_000;

/// And not before so long, ms, while nothing is known of its speed: a device that is used for the first time compiles its kernels
/// and makes its memory ready.
pub const STRAGGLER_UNKNOWN_MS_MIN: u64 = 60_000;

/// And not before so long, ms, where only a few wait for many: the few may be those that are unlike the rest.
pub const STRAGGLER_FEW_WAIT_MS_MIN: u64 = 600_000;

/// While a member has been waited for for so long, ms, nobody joins: a joiner has a time of its own, in which no member is late.
pub const STRAGGLER_BEFORE_JOINS_MS: u64 = 2_000;

/// Nobody waits longer for one member, ms, whatever was measured: an hour.
pub const STRAGGLER_MS_MAX: u64 = 3_600_000;

/// Members say what they lack after so long without a step, ms, and so often. The word of those that wait comes by so much late,
/// twice in the worst case.
pub const STEP_WAIT_INTERVAL_MS: u64 = 1_000;

/// What a member said of what it lacks counts for so long, ms: two such words may be lost.
pub const STEP_WAIT_FRESH_MS: u64 = 3 * STEP_WAIT_INTERVAL_MS;

/// A member that is connected and whose session has told nothing for so long, ms, counts as one that does nothing: it repeats itself
/// every second.
pub const MUTE_MS: u64 = 10_000;

/// More time than this between two looks at a job counts as so much, ms: the coordinator itself, or everyone, stood still.
pub const STALL_GAP_MS_MAX: u64 = 2_000;

/// Steps whose times are remembered: enough for a median that single slow ones do not move.
pub const STEP_TIMES_MAX: usize = 16;

/// A node that held up a step is taken back after this time, ms, and after twice as much each time it does so again: as long as the
/// others have waited at least.
pub const STRAGGLED_RETRY_MS: u64 = 5_000;

/// The longest such delay, ms: what each return may cost, [`STRAGGLER_MS_MIN`], is then a hundredth of the time.
pub const STRAGGLED_RETRY_MS_MAX: u64 = 600_000;

/// So long, ms, it has to work without holding up the others until that is forgotten.
pub const STRAGGLED_FORGOTTEN_MS: u64 = 600_000;
