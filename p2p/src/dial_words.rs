//! Failed dials in the words of people: what happened, and what is likely behind it.

use std::io::{self, ErrorKind};

use libp2p::Multiaddr;
use libp2p::core::transport::TransportError;
use libp2p::swarm::DialError;

use crate::address;
use crate::limits::DIAL_ERROR_BYTES_MAX;
use crate::node_id::node_of;

/// Why `address` was not reached.
pub(crate) fn dial_words(error: &DialError, address: &Multiaddr) -> String {
    let mut words = match error {
        DialError::LocalPeerId { .. } => "this node itself answers there".to_owned(),
        DialError::WrongPeerId { obtained, .. } => match node_of(obtained) {
            Some(node) => format!("another node answers there: {} ({})", node.friendly_name(), node.short()),
            None => "something that is no traind node answers there".to_owned(),
        },
        DialError::Denied { .. } => {
            "too many connections are being set up here; it is tried again".to_owned()
        }
        DialError::Aborted | DialError::NoAddresses | DialError::DialPeerConditionFalse(_) => {
            "the attempt was given up before it began".to_owned()
        }
        DialError::Transport(attempts) => {
            let bare = |attempt: &Multiaddr| {
                address::split(attempt).map_or_else(|_| attempt.clone(), |(bare, _)| bare)
            };
            let own = attempts.iter().find(|(attempt, _)| bare(attempt) == *address).or(attempts.first());
            match own {
                Some((_, TransportError::Other(error))) => io_words(error),
                Some((_, TransportError::MultiaddrNotSupported(_))) => {
                    "addresses of this kind cannot be dialled".to_owned()
                }
                None => "no address was tried".to_owned(),
            }
        }
    };
    if words.len() > DIAL_ERROR_BYTES_MAX {
        let end = (0..=DIAL_ERROR_BYTES_MAX).rev().find(|&end| words.is_char_boundary(end));
        words.truncate(end.unwrap_or(0));
    }
    words
}

fn io_words(error: &io::Error) -> String {
    let text = root_of(error).unwrap_or(error).to_string();
    let words = match kind_of(error, &text) {
        ErrorKind::ConnectionRefused => {
            "connection refused: the host answers, but nothing listens on that port (is traind running there?)"
        }
        ErrorKind::TimedOut => "no answer in time: the host is down, or a firewall drops what is sent there",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "no way to that host: it is down, or in a network that this host has no route to"
        }
        ErrorKind::NetworkDown => "this host's own network is down",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof => {
            "the connection was closed during the handshake: something else than traind may listen there"
        }
        ErrorKind::AddrNotAvailable => "this host has no port left to connect from",
        ErrorKind::PermissionDenied => "a firewall of this host forbids it",
        _ => return text,
    };
    words.to_owned()
}

/// libp2p hides what the system said behind errors that show its words and deny to have it.
fn kind_of(error: &io::Error, text: &str) -> ErrorKind {
    let said = root_of(error).map(io::Error::kind).filter(|kind| *kind != ErrorKind::Other);
    let number = text.split_once("(os error ").and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
    let shown = || number.map(|number| io::Error::from_raw_os_error(number).kind());
    let timed_out = || text.starts_with("Timeout").then_some(ErrorKind::TimedOut);
    said.or_else(shown).or_else(timed_out).unwrap_or(ErrorKind::Other)
}

/// The error of the system below all others, if there is one.
pub(crate) fn root_of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let all = std::iter::successors(Some(error), |&error| below(error));
    all.filter_map(|error| error.downcast_ref::<io::Error>()).filter(|error| error.get_ref().is_none()).last()
}

/// What is below an error. An [`io::Error`] does not name the one it wraps as its source, but that one's.
fn below<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;
    use libp2p::identity::Keypair;

    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
    }

    fn transport(port: u16, error: io::Error) -> DialError {
        let peer = Keypair::ed25519_from_bytes([3; 32]).unwrap().public().to_peer_id();
        let address = address(port).with(libp2p::multiaddr::Protocol::P2p(peer));
        DialError::Transport(vec![(address, TransportError::Other(error))])
    }

    #[test]
    fn the_cause_is_found_below_what_libraries_say() {
        let wrapped = io::Error::other(io::Error::other(io::Error::from_raw_os_error(111)));
        for error in [io::Error::from_raw_os_error(111), wrapped] {
            let words = dial_words(&transport(1, error), &address(1));
            assert!(words.starts_with("connection refused"), "{words}");
        }
        let shown =
            dial_words(&transport(1, io::Error::other("Connection refused (os error 111)")), &address(1));
        assert!(shown.starts_with("connection refused"), "{shown}");
        for error in [io::ErrorKind::TimedOut.into(), io::Error::other("Timeout has been reached")] {
            let timed_out = dial_words(&transport(1, error), &address(1));
            assert!(timed_out.contains("firewall"), "{timed_out}");
        }
        let unknown = dial_words(&transport(1, io::Error::other("odd")), &address(1));
        assert_eq!(unknown, "odd");
    }

    #[test]
    fn each_address_gets_its_own_cause() {
        let DialError::Transport(mut attempts) = transport(1, io::Error::from_raw_os_error(111)) else {
            unreachable!()
        };
        let DialError::Transport(other) = transport(2, io::Error::from_raw_os_error(113)) else {
            unreachable!()
        };
        attempts.extend(other);
        let error = DialError::Transport(attempts);
        assert!(dial_words(&error, &address(1)).starts_with("connection refused"));
        assert!(dial_words(&error, &address(2)).starts_with("no way to that host"));
    }

    #[test]
    fn another_node_is_named_and_long_words_are_cut() {
        let obtained = Keypair::ed25519_from_bytes([3; 32]).unwrap().public().to_peer_id();
        let error = DialError::WrongPeerId { obtained, address: address(1) };
        let name = node_of(&obtained).unwrap().friendly_name();
        assert!(dial_words(&error, &address(1)).contains(&name));
        let error = DialError::WrongPeerId { obtained: PeerId::random(), address: address(1) };
        assert!(dial_words(&error, &address(1)).contains("no traind node"));
        let long = transport(1, io::Error::other("ü".repeat(DIAL_ERROR_BYTES_MAX)));
        assert!(dial_words(&long, &address(1)).len() <= DIAL_ERROR_BYTES_MAX);
    }
}
