//! [`NodeId`] and libp2p's `PeerId` name the same Ed25519 key.

use libp2p::PeerId;
use libp2p::identity::{PublicKey, ed25519};
use traind_protocol::ids::NodeId;

/// Multihash code of a peer id that carries the public key itself.
const IDENTITY_HASH: u64 = 0;

/// The node behind a peer id; `None` if its key is not Ed25519.
pub(crate) fn node_of(peer: &PeerId) -> Option<NodeId> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    node_of_key(PublicKey::try_decode_protobuf(hash.digest()).ok()?)
}

/// The node behind a public key; `None` if it is not Ed25519.
pub(crate) fn node_of_key(key: PublicKey) -> Option<NodeId> {
    Some(NodeId(key.try_into_ed25519().ok()?.to_bytes()))
}

/// The peer id of a node; `None` if the bytes are no Ed25519 public key.
pub(crate) fn peer_of(node: NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&node.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    #[test]
    fn node_and_peer_name_the_same_key() {
        let key = Keypair::ed25519_from_bytes([7u8; 32]).unwrap().public();
        let peer = key.to_peer_id();
        let node = node_of(&peer).unwrap();
        assert_eq!(node.0, key.try_into_ed25519().unwrap().to_bytes());
        assert_eq!(peer_of(node), Some(peer));
    }

    #[test]
    fn a_hashed_peer_id_is_no_node() {
        assert_eq!(node_of(&PeerId::random()), None);
    }
}
