//! From connection to peer: streams, greetings, verdicts.

use std::sync::Arc;

use bytes::Bytes;
use libp2p::swarm::ConnectionId;
use tokio::sync::oneshot;
use traind_protocol::ids::{NodeId, SwarmId};
use traind_protocol::wire::encode;

use super::control_stream::StreamEvent;
use super::driver::Driver;
use super::link::Stage;
use crate::control::{Frame, Greeting, Incoming, LinkEnd, LinkEvent, Reader, Writer, queue};
use crate::event::{Event, LossEvidence};
use crate::handshake::{Refusal, Verdict, judge};
use crate::limits::REFUSED_HOLD_MS;

impl Driver {
    /// A stream opened on a connection.
    pub(super) fn on_stream(&mut self, connection: ConnectionId, event: StreamEvent) {
        match event {
            StreamEvent::Outbound(stream) => {
                let greeting = Bytes::from(encode(&Frame::Greeting(self.greeting())));
                let Some(link) = self.links.get_mut(&connection) else { return };
                let (control, queue) = queue();
                // The queue is new, so it has room.
                let _ = control.try_send(greeting);
                link.control = Some(control);
                let (pulse, meters) = (Arc::clone(&link.pulse), Arc::clone(&link.meters));
                let (shared, events) = (Arc::clone(&self.shared), self.link_sender.clone());
                let writer = Writer { stream, connection, queue, pulse, meters, shared, events };
                link.tasks.push(tokio::spawn(writer.run()).abort_handle());
                self.complete(connection);
            }
            StreamEvent::Inbound(stream) => {
                let Some(link) = self.links.get_mut(&connection) else { return };
                let (pulse, meters) = (Arc::clone(&link.pulse), Arc::clone(&link.meters));
                let (shared, events) = (Arc::clone(&self.shared), self.link_sender.clone());
                let reader = Reader { stream, connection, pulse, meters, shared, events };
                link.tasks.push(tokio::spawn(reader.run()).abort_handle());
            }
            StreamEvent::Failed => self.end_link(connection, LossEvidence::Closed),
        }
    }

    /// A task of a link, or a probe, has something to say. Of links that ended meanwhile nothing counts.
    pub(super) fn on_link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Greeted { connection, greeting, answer } => {
                self.on_greeting(connection, greeting, answer)
            }
            LinkEvent::Received { connection, incoming } => {
                let Some(link) = self.links.get(&connection) else { return };
                let (from, is_loopback) = (link.node, link.is_loopback());
                match incoming {
                    Incoming::Control(message) => self.outbox.push_back(Event::Control { from, message }),
                    Incoming::Peers(peers) => self.on_peers_told(peers, is_loopback),
                }
            }
            LinkEvent::Ended { connection, end } => {
                if let Some(link) = self.links.get(&connection) {
                    self.on_ended(link.node, &end);
                }
                self.end_link(connection, LossEvidence::Closed);
            }
            LinkEvent::Probed { node, connected, refused } => self.on_probed(node, connected, refused),
        }
    }

    /// A violation costs the connection, and redials from here for a while; one line in the log per peer.
    fn on_ended(&mut self, node: NodeId, end: &LinkEnd) {
        match end {
            LinkEnd::Closed(error) => tracing::debug!(peer = %node.short(), %error, "control stream ended"),
            LinkEnd::Violation(violation) => {
                if self.refusals.note(node, self.shared.clock.now()) {
                    tracing::warn!(peer = %node.short(), violation, "connection dropped");
                }
            }
        }
    }

    fn on_greeting(&mut self, connection: ConnectionId, greeting: Greeting, answer: oneshot::Sender<bool>) {
        let Some(node) = self.links.get(&connection).map(|link| link.node) else { return };
        match judge(self.local.swarm, &greeting.hello, node) {
            // A reader that is gone told so by itself.
            Verdict::Wait => drop(answer.send(false)),
            Verdict::Refuse(refusal) => self.refuse(connection, node, refusal),
            Verdict::Adopt(swarm) => {
                tracing::info!(%swarm, from = %node.short(), "swarm adopted");
                self.outbox.push_back(Event::SwarmAdopted { swarm });
                self.enter_swarm(swarm);
                self.accept(connection, greeting, answer);
            }
            Verdict::Accept => self.accept(connection, greeting, answer),
        }
    }

    /// From now on this is our swarm: everyone connected hears it, since some may wait for it.
    pub(super) fn enter_swarm(&mut self, swarm: SwarmId) {
        self.local.swarm = Some(swarm);
        if let Some(kademlia) = self.swarm.behaviour_mut().kademlia() {
            kademlia.enter(swarm);
        }
        let greeting = Bytes::from(encode(&Frame::Greeting(self.greeting())));
        for control in self.links.values().filter_map(|link| link.control.as_ref()) {
            // Its queue holds one greeting at most; if its writer is gone the link ends anyway.
            let _ = control.try_send(greeting.clone());
        }
    }

    fn accept(&mut self, connection: ConnectionId, greeting: Greeting, answer: oneshot::Sender<bool>) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.stage = Stage::Accepted { greeting, answer };
        self.refusals.forget(link.node);
        self.complete(connection);
    }

    /// Takes the link up if hellos went both ways.
    fn complete(&mut self, connection: ConnectionId) {
        let now = self.shared.clock.now();
        let Some(link) = self.links.get_mut(&connection) else { return };
        let Some(control) = &link.control else { return };
        match std::mem::replace(&mut link.stage, Stage::Up) {
            Stage::Accepted { greeting, answer } => {
                link.pulse.excuse(now);
                // The queue holds two greetings at most; a writer or reader that is gone tells so by itself.
                let _ = control.beat();
                self.on_link_up(connection, greeting);
                let _ = answer.send(true);
            }
            other => link.stage = other,
        }
    }

    /// Counts, remembers, logs once; the connection ends a little later, so that the other side reads our greeting.
    fn refuse(&mut self, connection: ConnectionId, node: NodeId, refusal: Refusal) {
        let now = self.shared.clock.now();
        let is_new = self.refusals.note(node, now);
        let meters = &self.shared.meters;
        match refusal {
            Refusal::Swarm { .. } => meters.hellos_refused_swarm.one(),
            Refusal::Version { .. } => meters.hellos_refused_version.one(),
            Refusal::Impostor { .. } => meters.hellos_refused_impostor.one(),
        }
        if is_new {
            match refusal {
                Refusal::Swarm { ours, theirs } => {
                    tracing::warn!(%ours, %theirs, peer = %node, "peer of another swarm refused");
                    self.outbox.push_back(Event::SwarmRefused { ours, theirs, node });
                }
                Refusal::Version { theirs } => {
                    tracing::warn!(theirs, peer = %node, "peer of another version refused")
                }
                Refusal::Impostor { claimed } => tracing::warn!(%claimed, peer = %node, "impostor refused"),
            }
        }
        if let Some(link) = self.links.get_mut(&connection) {
            link.stage = Stage::Refused { close_at: now.plus(REFUSED_HOLD_MS) };
        }
    }
}
