//! Hosts that fetch and give in virtual time; a seed decides delays.

use std::collections::{BTreeMap, BTreeSet};

use super::node;
use crate::ids::{ChunkId, Millis, NodeId};
use crate::transfer::{
    Chunk, ChunkOutcome, Donor, DonorInput, DonorOutput, Fetch, FetchInput, FetchOutput, PIECE_BYTES_MAX,
    TransferMessage,
};

/// SplitMix64, as in the simulator.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % count
    }
}

pub(super) struct Host {
    pub(super) id: NodeId,
    pub(super) is_alive: bool,
    /// Sends other bytes than it should.
    pub(super) lies: bool,
    /// Bytes per millisecond that it sends to all together.
    pub(super) rate: u64,
    pub(super) holds: BTreeSet<ChunkId>,
    pub(super) fetch: Option<Fetch>,
    pub(super) finished_at: Option<u64>,
    pub(super) bytes_sent: u64,
    pub(super) distrusted: BTreeSet<NodeId>,
    donor: Donor,
    stopped: BTreeSet<(NodeId, ChunkId)>,
    link_free_at: u64,
    arrived: BTreeMap<(NodeId, ChunkId), u32>,
}

enum Event {
    Said {
        from: usize,
        to: usize,
        message: TransferMessage,
    },
    /// A piece arrives; `bytes` so far.
    Piece {
        from: usize,
        to: usize,
        chunk: ChunkId,
        bytes: u32,
    },
    SendPiece {
        from: usize,
        to: usize,
        chunk: Chunk,
        offset: u32,
    },
    Tick {
        host: usize,
    },
    Kill {
        host: usize,
    },
}

pub(super) struct World {
    pub(super) hosts: Vec<Host>,
    pub(super) now: u64,
    pub(super) chunks_kept: u32,
    /// When this many chunks were kept, that host dies.
    pub(super) kill_after: Option<(u32, usize)>,

    events: BTreeMap<(u64, u64), Event>,
    order: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            hosts: Vec::new(),
            now: 0,
            chunks_kept: 0,
            kill_after: None,

            events: BTreeMap::new(),
            order: 0,
        }
    }

    pub(super) fn add(&mut self, rate: u64, holds: &[Chunk]) -> usize {
        let host = self.hosts.len();
        self.hosts.push(Host {
            id: node(u8::try_from(host + 1).unwrap()),
            is_alive: true,
            lies: false,
            rate,
            holds: holds.iter().map(|chunk| chunk.id).collect(),
            fetch: None,
            finished_at: None,
            bytes_sent: 0,
            distrusted: BTreeSet::new(),
            donor: Donor::default(),
            stopped: BTreeSet::new(),
            link_free_at: 0,
            arrived: BTreeMap::new(),
        });
        host
    }

    /// `host` fetches what it lacks of `list` from `sources`.
    pub(super) fn fetch(&mut self, host: usize, list: &[Chunk], sources: &[usize]) {
        let holds = &self.hosts[host].holds;
        let missing: Vec<Chunk> = list.iter().filter(|chunk| !holds.contains(&chunk.id)).copied().collect();
        self.hosts[host].fetch = Some(Fetch::new(self.hosts[host].id, &missing));
        self.hosts[host].finished_at = None;
        for source in sources {
            if self.hosts[*source].is_alive {
                self.feed(host, FetchInput::SourceJoined(self.hosts[*source].id));
            }
        }
    }

    pub(super) fn kill_at(&mut self, host: usize, at: u64) {
        self.schedule(at, Event::Kill { host });
    }

    /// Runs until everybody that lives has what it wants; the time it took.
    pub(super) fn run(&mut self, until: u64) -> u64 {
        let done = |world: &Self| {
            let mut fetching = world.hosts.iter().filter(|host| host.is_alive && host.fetch.is_some());
            fetching.all(|host| host.finished_at.is_some())
        };
        while !done(self) {
            let Some(((at, _), event)) = self.events.pop_first() else {
                panic!("nothing goes on at {}", self.now)
            };
            assert!(at <= until, "not done at {until}: {:#?}", self.progress());
            self.now = at;
            self.happen(event);
            if let Some((kept, host)) = self.kill_after
                && self.chunks_kept >= kept
            {
                self.kill_after = None;
                self.happen(Event::Kill { host });
            }
        }
        self.now
    }

    fn progress(&self) -> Vec<crate::transfer::FetchProgress> {
        self.hosts.iter().filter_map(|host| host.fetch.as_ref().map(Fetch::progress)).collect()
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.insert((at, self.order), event);
    }

    fn index(&self, id: NodeId) -> usize {
        self.hosts.iter().position(|host| host.id == id).unwrap()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Said { from, to, message } => self.hear(from, to, message),
            Event::Piece { from, to, chunk, bytes } => self.take_piece(from, to, chunk, bytes),
            Event::SendPiece { from, to, chunk, offset } => self.send_piece(from, to, chunk, offset),
            Event::Tick { host } => {
                let due = self.hosts[host].fetch.as_ref().and_then(Fetch::deadline);
                if due.is_some_and(|due| due.0 <= self.now) {
                    self.feed(host, FetchInput::Tick);
                }
            }
            Event::Kill { host } => {
                self.hosts[host].is_alive = false;
                let id = self.hosts[host].id;
                for other in 0..self.hosts.len() {
                    if self.hosts[other].is_alive {
                        self.hosts[other].arrived.retain(|(from, _), _| *from != id);
                        self.feed(other, FetchInput::SourceLost(id));
                        self.give(other, DonorInput::ReceiverLost(id));
                    }
                }
            }
        }
    }

    fn hear(&mut self, from: usize, to: usize, message: TransferMessage) {
        if !self.hosts[from].is_alive || !self.hosts[to].is_alive {
            return;
        }
        let sender = self.hosts[from].id;
        match message {
            TransferMessage::Ask { chunk, bytes } => {
                self.give(to, DonorInput::Asked { from: sender, chunk: Chunk { id: chunk, bytes } });
            }
            TransferMessage::Cancel { chunk } => self.give(to, DonorInput::Cancelled { from: sender, chunk }),
            TransferMessage::Lacks { chunk } => self.feed(to, FetchInput::Lacks { from: sender, chunk }),
            TransferMessage::Busy { chunk, retry_after_ms, ask } => {
                let ask = ask.into_iter().filter(|node| self.hosts[self.index(*node)].is_alive).collect();
                self.feed(to, FetchInput::Busy { from: sender, chunk, retry_after_ms, ask });
            }
            TransferMessage::Piece { .. } => unreachable!("pieces are events of their own"),
            TransferMessage::AskManifest { .. }
            | TransferMessage::Manifest { .. }
            | TransferMessage::LacksManifest { .. } => {
                unreachable!("neither machine speaks of manifests: the driver does, before a fetch begins")
            }
        }
    }

    fn take_piece(&mut self, from: usize, to: usize, chunk: ChunkId, bytes: u32) {
        if !self.hosts[to].is_alive || !self.hosts[from].is_alive {
            return;
        }
        let sender = self.hosts[from].id;
        let expected = self.hosts[to].fetch.as_ref().and_then(|fetch| fetch.expects(sender, chunk));
        let Some(length) = expected else { return };
        let sum = self.hosts[to].arrived.entry((sender, chunk)).or_default();
        *sum += bytes;
        let is_whole = *sum == length;
        if is_whole {
            self.hosts[to].arrived.remove(&(sender, chunk));
        }
        self.feed(to, FetchInput::Progressed { from: sender, chunk, bytes });
        if is_whole {
            let lies = self.hosts[from].lies;
            let outcome = if lies { ChunkOutcome::Differs } else { ChunkOutcome::Good };
            if !lies {
                self.chunks_kept += u32::from(self.hosts[to].holds.insert(chunk));
            }
            self.feed(to, FetchInput::Checked { from: sender, chunk, outcome });
        }
    }

    fn send_piece(&mut self, from: usize, to: usize, chunk: Chunk, offset: u32) {
        if !self.hosts[from].is_alive {
            return;
        }
        let receiver = self.hosts[to].id;
        let is_stopped = self.hosts[from].stopped.remove(&(receiver, chunk.id));
        if is_stopped || offset == chunk.bytes || !self.hosts[to].is_alive {
            let is_sent = offset == chunk.bytes;
            self.give(from, DonorInput::Served { to: receiver, chunk: chunk.id, is_sent });
            return;
        }
        let bytes = PIECE_BYTES_MAX.min(chunk.bytes - offset);
        let host = &mut self.hosts[from];
        let begins = host.link_free_at.max(self.now);
        host.link_free_at = begins + u64::from(bytes).div_ceil(host.rate);
        host.bytes_sent += u64::from(bytes);
        let free_at = host.link_free_at;
        let arrives = free_at + 1;
        self.schedule(arrives, Event::Piece { from, to, chunk: chunk.id, bytes });
        self.schedule(free_at, Event::SendPiece { from, to, chunk, offset: offset + bytes });
    }

    fn feed(&mut self, host: usize, input: FetchInput) {
        let Some(fetch) = &mut self.hosts[host].fetch else { return };
        let mut out = Vec::new();
        fetch.step(Millis(self.now), input, &mut out);
        let deadline = fetch.deadline();
        for output in out {
            match output {
                FetchOutput::Ask { to, chunk } => {
                    let message = TransferMessage::Ask { chunk: chunk.id, bytes: chunk.bytes };
                    self.say(host, to, message);
                }
                FetchOutput::Cancel { to, chunk } => {
                    self.hosts[host].arrived.remove(&(to, chunk));
                    self.say(host, to, TransferMessage::Cancel { chunk });
                }
                FetchOutput::Distrust { node, .. } => {
                    self.hosts[host].distrusted.insert(node);
                }
                FetchOutput::Complete => self.hosts[host].finished_at = Some(self.now),
            }
        }
        if let Some(deadline) = deadline {
            self.schedule(deadline.0, Event::Tick { host });
        }
    }

    fn give(&mut self, host: usize, input: DonorInput) {
        let mut out = Vec::new();
        self.hosts[host].donor.step(input, &mut out);
        for output in out {
            match output {
                DonorOutput::Serve { to, chunk } => {
                    let receiver = self.index(to);
                    self.hosts[host].stopped.remove(&(to, chunk.id));
                    if self.hosts[host].holds.contains(&chunk.id) {
                        self.schedule(
                            self.now,
                            Event::SendPiece { from: host, to: receiver, chunk, offset: 0 },
                        );
                    } else {
                        self.say(host, to, TransferMessage::Lacks { chunk: chunk.id });
                        self.give(host, DonorInput::Served { to, chunk: chunk.id, is_sent: false });
                    }
                }
                DonorOutput::Stop { to, chunk } => {
                    self.hosts[host].stopped.insert((to, chunk));
                }
                DonorOutput::Say { to, message } => self.say(host, to, message),
            }
        }
    }

    /// Messages between two hosts come in order.
    fn say(&mut self, from: usize, to: NodeId, message: TransferMessage) {
        let to = self.index(to);
        self.schedule(self.now + 1, Event::Said { from, to, message });
    }
}
