//! The first message on every control stream, both ways. Nothing else is read before it was accepted (A1).

use serde::{Deserialize, Serialize};

use crate::ids::{Boot, NodeId, SeatId, SwarmId};

/// Version of the messages between nodes. Nodes of another version are refused by name.
pub const PROTOCOL_VERSION: u32 = 9;

/// Longest encoded [`Hello`], bytes: four addresses of at most 256 bytes and fixed fields.
pub const HELLO_BYTES_MAX: usize = 2048;

/// Who is speaking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the speaker.
    pub version: u32,
    /// The swarm it belongs to; `None` while it looks for one to join.
    pub swarm: Option<SwarmId>,
    /// The speaker; must be the key that the connection was authenticated with.
    pub node: NodeId,
    /// Its process.
    pub boot: Boot,
    /// Its seat in the council's group, if it was admitted before.
    pub seat: SeatId,
    /// TCP port of its bulk listener, on the address that this connection comes from or goes to.
    pub bulk_port: u16,
    /// Numeric class: build, matmul kernel, cache geometry, device. Digests compare within one class only.
    pub numeric_class: String,
}
