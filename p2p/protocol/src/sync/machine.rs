//! The state of the sync step at one life, and the dispatch of its inputs.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::accusing::Accused;
use super::allowance::Allowances;
use super::deal::Deal;
use super::fold::FoldDue;
use super::following::Following;
use super::handover::Handover;
use super::held::HeldMessages;
use super::io::{SyncInput, SyncOptions, SyncOutput};
use super::kept_state::KeptState;
use super::message::{Entry, Standing, SyncBody, SyncMessage};
use super::pace::Pace;
use super::peers::Peers;
use super::received::ReceivedSums;
use super::sources::Sources;
use super::work::Work;
use crate::ids::{Chain, Epoch, Millis, NodeId};
use crate::index_set::IndexSet;
use crate::misdeed::Misdeed;
use crate::numbers::Numbers;
use crate::rendezvous::heirs;
use crate::view::View;

/// The newest view this life has entered, and its place in it.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) view: View,
    /// Own place among its members.
    pub(super) position: Option<u16>,
    /// Own micro-batches.
    pub(super) lease: IndexSet,
    /// Own parts.
    pub(super) parts: IndexSet,
    /// The other members.
    pub(super) others: Vec<NodeId>,
    /// For each part who gets what its owner has computed. Worth its hashes only where anything is sent early.
    pub(super) heirs: OnceLock<Vec<Option<NodeId>>>,
    /// Those of them that are no founders: they may be without the state.
    pub(super) joiners: Vec<Joiner>,
}

impl Membership {
    /// Who gets what the owner of `part` has computed, for its death; `None` where nobody else works.
    pub(super) fn heir(&self, part: u32) -> Option<NodeId> {
        let heirs = self.heirs.get_or_init(|| heirs(&self.view));
        heirs.get(part as usize).copied().flatten()
    }
}

/// Another member that came later than the founders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joiner {
    pub(super) node: NodeId,
    /// It has micro-batches or parts: the others cannot go on without it.
    pub(super) has_work: bool,
}

/// One life's part in the steps of one job.
#[derive(Debug)]
pub struct SyncMachine<N> {
    pub(super) options: SyncOptions,
    pub(super) numbers: N,
    pub(super) membership: Option<Arc<Membership>>,
    /// The epoch of our admission; `None` while we are no member.
    pub(super) tenure: Option<Epoch>,
    pub(super) synced: bool,
    /// A founder that waits for its origin.
    pub(super) loads_origin: bool,
    pub(super) handover: Handover,
    /// The driver may keep chunks of a state that was offered or is fetched.
    pub(super) holds_chunks: bool,
    /// Steps applied.
    pub(super) step: u64,
    pub(super) chain: Chain,
    pub(super) previous_chain: Chain,
    /// Results of the step in progress, write-once.
    pub(super) results: Vec<Option<Bytes>>,
    /// Results of the step before, one for each part, or none in the first state of an incarnation. Kept until the
    /// next apply: only that proves that all of the view have applied them.
    pub(super) last: Vec<Bytes>,
    pub(super) work: Work,
    /// How long micro-batches and exchanges take here.
    pub(super) pace: Pace,
    pub(super) received: ReceivedSums,
    pub(super) peers: Peers,
    pub(super) held: HeldMessages,
    /// Who gave us results.
    pub(super) sources: Sources,
    /// How much members have sent.
    pub(super) allowances: Allowances,
    /// Whom we have accused in this view.
    pub(super) accused: Accused,
    /// Own parts that may have become ready.
    pub(super) fold_due: FoldDue,
    /// What [`Standing::entry`] says of us.
    pub(super) entry: Option<Entry>,
    /// Who computes what of the step that this view interrupted; `None` until all others have told how they entered it.
    pub(super) deal: Option<Deal>,
    /// The state that is kept for joiners.
    pub(super) kept: Option<KeptState>,
    /// What leads from a state that we were given to the step of the others.
    pub(super) following: Option<Following>,
    /// Whether we have said that we stopped in this view.
    pub(super) halted: bool,
    /// Latest epoch heard of.
    pub(super) epoch_heard: Epoch,
    pub(super) since: Millis,
    /// When the present input came.
    pub(super) now: Millis,
}

impl<N: Numbers> SyncMachine<N> {
    /// A life at step 0 that knows no view.
    #[must_use]
    pub fn new(options: SyncOptions, numbers: N) -> Self {
        Self {
            numbers,
            membership: None,
            tenure: None,
            synced: false,
            loads_origin: false,
            handover: Handover::default(),
            holds_chunks: false,
            step: 0,
            chain: options.genesis,
            previous_chain: options.genesis,
            results: vec![None; options.parts as usize],
            last: Vec::new(),
            work: Work::default(),
            pace: Pace::default(),
            received: ReceivedSums::new(options.parts, options.microbatches),
            peers: Peers::default(),
            held: HeldMessages::default(),
            sources: Sources::default(),
            allowances: Allowances::new(options.parts, options.microbatches),
            accused: Accused::default(),
            fold_due: FoldDue::All,
            entry: None,
            deal: None,
            kept: None,
            following: None,
            halted: false,
            epoch_heard: Epoch::default(),
            since: Millis::default(),
            now: Millis::default(),
            options,
        }
    }

    /// Takes one input and says what to do, in order. No wait of this machine ends by time: `now` is kept for
    /// [`Self::status`], and tells how many messages are a flood and what may be sent before it is asked for.
    pub fn step(&mut self, now: Millis, input: SyncInput, out: &mut Vec<SyncOutput>) {
        let before = self.mark();
        self.now = now;
        match input {
            SyncInput::EnterView(view) => self.enter(view, out),
            SyncInput::Message { from, message } => {
                self.count_message(now, from, out);
                self.receive(from, message, out);
            }
            SyncInput::Malformed { from, evidence } => {
                self.count_message(now, from, out);
                self.accuse(from, Misdeed::Frame, evidence, out);
            }
            SyncInput::PathOpened(node) => self.path_opened(node, out),
            SyncInput::Computed { step, base, microbatch, contributions } => {
                self.computed(step, base, microbatch, contributions, out);
            }
            SyncInput::ComputeFailed { step, base, microbatch } => {
                self.compute_failed(step, base, microbatch, out);
            }
            SyncInput::StateFetched { id, state, last } => self.state_fetched(id, state, last, out),
            SyncInput::OriginLoaded { step, chain } => self.origin_loaded(step, chain, out),
        }
        self.progress(out);
        if self.mark() != before {
            self.since = now;
        }
    }

    /// When step, epoch or membership changed last, on the driver's clock.
    #[must_use]
    pub fn since(&self) -> Millis {
        self.since
    }

    /// The arithmetic with its state.
    pub fn numbers(&self) -> &N {
        &self.numbers
    }

    /// The arithmetic, to be put in the state of a loaded checkpoint before [`SyncInput::OriginLoaded`].
    pub fn numbers_mut(&mut self) -> &mut N {
        &mut self.numbers
    }

    /// Steps after which the job ends, as far as the present state tells: all of them, or the present one.
    pub(super) fn end(&self) -> u64 {
        if self.numbers.has_ended() { self.step.min(self.options.steps) } else { self.options.steps }
    }

    /// Own standing, as others are told it.
    pub(super) fn standing(&self) -> Standing {
        let held = self.held_parts();
        let (synced, step, chain) = (self.synced, self.step, self.chain);
        let arrival = self.handover.arrival;
        let entry = self.entry.clone();
        Standing { synced, arrival, step, chain, held, entry }
    }

    /// Parts of the step in progress whose result is held.
    pub(super) fn held_parts(&self) -> IndexSet {
        (0u32..).zip(&self.results).filter(|(_, result)| result.is_some()).map(|(part, _)| part).collect()
    }

    /// Sends `body` as a member of the current view.
    pub(super) fn send(&self, to: NodeId, body: SyncBody, out: &mut Vec<SyncOutput>) {
        let Some(membership) = &self.membership else { return };
        let message = SyncMessage {
            job: self.options.job,
            incarnation: membership.view.incarnation,
            epoch: membership.view.epoch,
            boot: self.options.me.boot,
            body,
        };
        out.push(SyncOutput::Send { to, message });
    }

    /// Tells `to` where we stand.
    pub(super) fn send_state(&mut self, to: NodeId, fresh: bool, out: &mut Vec<SyncOutput>) {
        let standing = self.standing();
        let awaits = self.peers.arrival(to);
        self.peers.tell_step(to, standing.step);
        self.send(to, SyncBody::State { standing, fresh, awaits }, out);
    }

    fn mark(&self) -> (Option<Epoch>, Option<Epoch>, bool, u64) {
        let epoch = self.membership.as_ref().map(|membership| membership.view.epoch);
        (epoch, self.tenure, self.synced, self.step)
    }
}
