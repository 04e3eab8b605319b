//! Judging the other side's hello. Both sides judge by the same rule, so a pair agrees without another message.

use traind_protocol::ids::{NodeId, SwarmId};
use traind_protocol::wire::hello::{Hello, PROTOCOL_VERSION};

/// What follows from a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The speaker is one of ours.
    Accept,
    /// The speaker has no swarm yet; it will send another hello when it has one.
    Wait,
    /// We have no swarm yet: take this one, tell everyone, then accept.
    Adopt(SwarmId),
    /// Close the connection.
    Refuse(Refusal),
}

/// Why a hello is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It names another node than the one the connection was authenticated with.
    Impostor {
        /// The node that it names.
        claimed: NodeId,
    },
    /// It is of another protocol version.
    Version {
        /// Its version.
        theirs: u32,
    },
    /// It is of another swarm.
    Swarm {
        /// This node's.
        ours: SwarmId,
        /// The speaker's.
        theirs: SwarmId,
    },
}

/// Judges a hello that came over a connection authenticated as `authenticated`.
pub(crate) fn judge(ours: Option<SwarmId>, theirs: &Hello, authenticated: NodeId) -> Verdict {
    if theirs.node != authenticated {
        return Verdict::Refuse(Refusal::Impostor { claimed: theirs.node });
    }
    if theirs.version != PROTOCOL_VERSION {
        return Verdict::Refuse(Refusal::Version { theirs: theirs.version });
    }
    match (ours, theirs.swarm) {
        (_, None) => Verdict::Wait,
        (None, Some(swarm)) => Verdict::Adopt(swarm),
        (Some(ours), Some(theirs)) if ours == theirs => Verdict::Accept,
        (Some(ours), Some(theirs)) => Verdict::Refuse(Refusal::Swarm { ours, theirs }),
    }
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{Boot, SeatId};

    use super::*;

    const OURS: SwarmId = SwarmId([1; 32]);
    const THEIRS: SwarmId = SwarmId([2; 32]);
    const NODE: NodeId = NodeId([3; 32]);

    fn hello(swarm: Option<SwarmId>) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            swarm,
            node: NODE,
            boot: Boot(1),
            seat: SeatId(0),
            bulk_port: 1,
            numeric_class: String::new(),
        }
    }

    #[test]
    fn swarms_decide() {
        assert_eq!(judge(Some(OURS), &hello(Some(OURS)), NODE), Verdict::Accept);
        assert_eq!(judge(None, &hello(Some(THEIRS)), NODE), Verdict::Adopt(THEIRS));
        assert_eq!(judge(Some(OURS), &hello(None), NODE), Verdict::Wait);
        assert_eq!(judge(None, &hello(None), NODE), Verdict::Wait);
        assert_eq!(
            judge(Some(OURS), &hello(Some(THEIRS)), NODE),
            Verdict::Refuse(Refusal::Swarm { ours: OURS, theirs: THEIRS })
        );
    }

    #[test]
    fn impostors_and_other_versions_are_refused_whatever_their_swarm() {
        let other = NodeId([9; 32]);
        for ours in [None, Some(OURS)] {
            let verdict = judge(ours, &hello(Some(OURS)), other);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Impostor { claimed: NODE }));
            let newer = Hello { version: PROTOCOL_VERSION + 1, ..hello(Some(OURS)) };
            let theirs = PROTOCOL_VERSION + 1;
            assert_eq!(judge(ours, &newer, NODE), Verdict::Refuse(Refusal::Version { theirs }));
        }
    }
}
