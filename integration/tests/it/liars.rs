//! A member of the network that lies: a node of the swarm like any other, admitted, taken into the view of a running job, that
//! sends the others what no honest member does. It is named and put out, and the job ends with the bits of a quiet run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::mpsc;
use traind::control::api::{EventKind, EventLine, Request, Response, StreamItem};
use traind_integration::{Cluster, JobFile};
use traind_p2p::{DataEvent, Event, Handle, Identity, Options};
use traind_protocol::ids::{Boot, Chain, Epoch, Incarnation, JobId, NodeId};
use traind_protocol::index_set::IndexSet;
use traind_protocol::sync::{SyncBody, SyncLimits, SyncMessage};
use traind_protocol::wire::control::{ControlMessage, JobCheck, Registration};
use traind_protocol::wire::data::{DataFrame, FrameKind};
use traind_training::{JobSpec, Session};

use crate::KIT;

/// How long anything may take that a healthy swarm does in seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// More messages than a job of this size lets a member send between two steps, and fewer than the queue to a peer has room for.
const FLOOD_MESSAGES: u64 = 3_500;

/// Steps for which two sums are sent at once: more than the members make while these are on their way. Each takes those of its
/// step and the next.
const STEPS_LIED_ABOUT: u64 = 40;

/// Values of a part, but for the last one of a job.
const PART_ELEMENTS: usize = 16_384;

/// What is allowed in messages of honest members.
const LIMITS: SyncLimits =
    SyncLimits { microbatches: 64, parts: 64, payload_bytes_max: 1 << 20, state_bytes_max: 1 << 20 };

#[derive(Clone, Copy, Debug)]
enum Lie {
    /// A sum of three bytes.
    Length,
    /// A result with a value that is not finite.
    NotFinite,
    /// Two sums over one set.
    Twice,
    /// Bytes that are no message.
    Frame,
    /// A view that does not exist.
    View,
    /// Thousands of messages.
    Flood,
}

impl Lie {
    const ALL: [Self; 6] = [Self::Length, Self::NotFinite, Self::Twice, Self::Frame, Self::View, Self::Flood];

    /// What the view without the liar says of it.
    fn words(self) -> &'static str {
        match self {
            Self::Length => "sent a malformed sum for part 0 of step ",
            Self::NotFinite => "sent a malformed result of part 0 of step ",
            Self::Twice => "sent two different sums over the same micro-batches for part 0 of step ",
            Self::Frame => "sent bytes that are no message",
            Self::View => "which does not exist",
            Self::Flood => "sent many times more messages than a member has reason to",
        }
    }
}

/// Where a member told that it stands.
#[derive(Clone, Copy)]
struct Told {
    incarnation: Incarnation,
    epoch: Epoch,
    step: u64,
    chain: Chain,
}

/// The liar's process.
struct Liar {
    lie: Lie,
    job: JobId,
    boot: Boot,
    network: Handle,
    events: mpsc::Receiver<Event>,
    data: mpsc::Receiver<DataEvent>,
    /// Values of part 0.
    elements: usize,
    told: BTreeMap<NodeId, Told>,
    reachable: BTreeSet<NodeId>,
    lied_to: BTreeSet<NodeId>,
}

impl Liar {
    /// Joins the swarm of `peer`.
    fn start(
        lie: Lie,
        peer: &str,
        job: JobId,
        elements: usize,
        key: &std::path::Path,
    ) -> anyhow::Result<Self> {
        let boot = Boot(77);
        let (network, events, data) = traind_p2p::start(Options {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            peers: vec![peer.to_owned()],
            mdns: false,
            kademlia: false,
            loopback_only: true,
            ..Options::new(Identity::load_or_create(key)?, boot)
        })?;
        let (told, reachable, lied_to) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Ok(Self { lie, job, boot, network, events, data, elements, told, reachable, lied_to })
    }

    /// What a daemon says when it comes, to whoever coordinates.
    fn introduce(&self, to: NodeId, digest: [u8; 32]) {
        let registration = Registration {
            boot: self.boot,
            numeric_class: "of a liar".to_owned(),
            device: "cpu".to_owned(),
            threads: 1,
            failure_label: String::new(),
            version: "0".to_owned(),
        };
        // Who is not the coordinator drops it.
        let _ = self.network.try_send_control(to, ControlMessage::Register(registration));
        let check = JobCheck { job: self.job, boot: self.boot, outcome: Ok(digest) };
        let _ = self.network.try_send_control(to, ControlMessage::JobChecked(check));
    }

    /// Takes part until both members have been lied to.
    async fn run(&mut self, members: usize, digest: [u8; 32]) -> anyhow::Result<()> {
        while self.lied_to.len() < members {
            tokio::select! {
                event = self.events.recv() => match event.context("the network runs")? {
                    Event::PeerJoined { node, .. } => self.introduce(node, digest),
                    // The coordinator looks at each check while it knows the node.
                    Event::Control { from, message: ControlMessage::Registered { .. } } => self.introduce(from, digest),
                    _ => {}
                },
                event = self.data.recv() => {
                    match event.context("the network runs")? {
                        DataEvent::PathOpened { to } => {
                            self.reachable.insert(to);
                        }
                        DataEvent::Frame { from, kind: FrameKind::Sync, header, payload } => {
                            self.hear(from, &header, payload)?;
                        }
                        DataEvent::Frame { .. } | DataEvent::Violated { .. } => {}
                    }
                    self.lie_to_all();
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, from: NodeId, header: &[u8], payload: Bytes) -> anyhow::Result<()> {
        let message = SyncMessage::decode(header, payload, &LIMITS)?;
        if let SyncBody::State { standing, .. } = message.body
            && standing.synced
        {
            let (incarnation, epoch) = (message.incarnation, message.epoch);
            let (step, chain) = (standing.step, standing.chain);
            self.told.insert(from, Told { incarnation, epoch, step, chain });
        }
        Ok(())
    }

    fn lie_to_all(&mut self) {
        for (to, told) in &self.told {
            if self.reachable.contains(to) && self.lied_to.insert(*to) {
                for frame in self.lies(told) {
                    // A path that breaks under it has done its work.
                    let _ = self.network.try_send_data(*to, frame);
                }
            }
        }
    }

    fn lies(&self, told: &Told) -> Vec<DataFrame> {
        let Told { incarnation, epoch, step, chain: base } = *told;
        let message = |epoch: Epoch, body: SyncBody| {
            SyncMessage { job: self.job, incarnation, epoch, boot: self.boot, body }.encode()
        };
        let part = 0;
        let sum_in = |step: u64, sum: Vec<u8>| {
            let microbatches = IndexSet::full(1);
            message(
                epoch,
                SyncBody::Contribution { step, base, part, microbatches, sum: sum.into(), more: false },
            )
        };
        let sum = |sum: Vec<u8>| sum_in(step, sum);
        match self.lie {
            Lie::Length => vec![sum(vec![1, 2, 3])],
            Lie::NotFinite => {
                let mut result = vec![0; 40 + 4 * self.elements];
                let last = result.len() - 4;
                result[last..].copy_from_slice(&f32::NAN.to_le_bytes());
                vec![message(epoch, SyncBody::Result { step, base, part, result: result.into() })]
            }
            // Only the owner of the part takes them, and not where it has the result.
            Lie::Twice => (step..step + STEPS_LIED_ABOUT)
                .flat_map(|step| [1, 2].map(|value| sum_in(step, self.sum_of(value))))
                .collect(),
            Lie::Frame => {
                let header = [&self.job.0[..], &[0xff; 40]].concat().into();
                vec![DataFrame { kind: FrameKind::Sync, header, payload: Vec::new() }]
            }
            Lie::View => vec![message(Epoch(epoch.0 + 9_000), SyncBody::NeedSnapshot)],
            Lie::Flood => {
                let need = message(epoch, SyncBody::NeedResult { step: u64::MAX, part });
                (0..FLOOD_MESSAGES).map(|_| need.clone()).collect()
            }
        }
    }

    /// A well-formed sum over one micro-batch of eight samples: five words, a flag for each block, the values.
    fn sum_of(&self, value: i32) -> Vec<u8> {
        let mut sum = 8u64.to_le_bytes().to_vec();
        sum.resize(40 + self.elements.div_ceil(256), 0);
        sum.extend((0..self.elements).flat_map(|_| value.to_le_bytes()));
        sum
    }
}

/// Waits for an event of the swarm, also one that was.
async fn event(cluster: &Cluster, is_wanted: impl Fn(&EventLine) -> bool) -> anyhow::Result<EventLine> {
    let client = cluster.client();
    let mut events = client.stream(&Request::Events { tail: None, follow: true }).await?;
    while let Some(item) = events.next().await? {
        if let StreamItem::EventLine(line) = item
            && is_wanted(&line)
        {
            return Ok(line);
        }
    }
    anyhow::bail!("the daemon stopped telling")
}

async fn lie_and_be_found(cluster: &Cluster, id: &str, lie: Lie, elements: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let detail = cluster.detail(id).await?;
    let job = JobId::from_hex(&detail.id).context("the id of the job")?;
    let digest = detail.data.and_then(|data| data.digest).context("a digest of the data")?;
    let digest = NodeId::from_hex(&digest).context("32 bytes")?.0;
    let address = cluster.daemons[0].address();
    let mut liar = Liar::start(lie, address, job, elements, &folder.path().join("key"))?;
    let name = liar.network.node().friendly_name();
    liar.run(cluster.daemons.len(), digest).await?;
    let says_so = |reason: &str| reason.contains(&format!("{name} ")) && reason.contains(lie.words());
    let is_put_out = |line: &EventLine| line.event == EventKind::ViewChanged && says_so(&line.message);
    event(cluster, is_put_out).await?;
    let is_named = |line: &EventLine| line.event == EventKind::NodeMisbehaved && line.message.contains(&name);
    let line = event(cluster, is_named).await?;
    println!("{}", line.message);
    let detail = cluster.detail(id).await?;
    assert_eq!(detail.members.len(), cluster.daemons.len(), "{:?}", detail.views);
    // It stays connected, and outside.
    let kept_out = cluster
        .wait_detail(id, "the liar kept out", |detail| {
            detail
                .kept_out
                .iter()
                .any(|kept| kept.node.name == name && kept.reason.contains("it is taken back"))
        })
        .await?;
    println!("{:?}", kept_out.kept_out);
    let Response::NodeDetail(node) = cluster.client().call(&Request::NodeShow { node: Some(name) }).await?
    else {
        anyhow::bail!("no node detail")
    };
    assert!(
        node.row.kept_out.is_some_and(|reason| reason.contains("it sent ") || reason.contains("it spoke "))
    );
    tokio::task::spawn_blocking(move || liar.network.shutdown()).await?;
    Ok(())
}

#[tokio::test]
async fn a_member_that_lies_is_named_and_put_out_and_the_job_ends_with_the_same_bits() -> anyhow::Result<()> {
    let job = JobFile { nodes_min: 2, checkpoint_every: 500, ..JobFile::mlp("lied-to", 1_000) };
    let session = Session::start(&JobSpec::parse(&job.toml())?, "cpu")?;
    let elements = session.layout().elements().min(PART_ELEMENTS);
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let cluster = Cluster::start_paced(KIT, 2, "2 ms").await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 5).await?;
    for lie in Lie::ALL {
        let found = tokio::time::timeout(PATIENCE, lie_and_be_found(&cluster, &id, lie, elements)).await;
        found
            .with_context(|| format!("{lie:?} was not found: {:?}", cluster.daemons[0].log()))?
            .with_context(|| format!("{lie:?}"))?;
    }
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.as_ref().context("a finished job has a result")?.digest, expected);
    Ok(())
}
