//! Names of things that travel: nodes, lives, jobs, epochs, chains.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds on the driver's monotonic clock. Machines are told the time, they never read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// This instant plus `duration_ms`.
    #[must_use]
    pub fn plus(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }

    /// Milliseconds since `earlier`, zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The whole value in lower-case hexadecimal.
            #[must_use]
            pub fn to_hex(&self) -> String {
                self.0.iter().map(|byte| format!("{byte:02x}")).collect()
            }

            /// Reads what [`Self::to_hex`] wrote; `None` for any other length or character.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                if text.len() != 2 * $bytes || !text.is_ascii() {
                    return None;
                }
                let mut bytes = [0u8; $bytes];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
                }
                Some(Self(bytes))
            }

            /// The first eight hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_hex().chars().take(8).collect()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}", self.short())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}", self.to_hex())
            }
        }
    };
}

hex_id!(
    /// One daemon: its Ed25519 public key, 32 bytes.
    NodeId,
    32
);
hex_id!(
    /// All daemons that work together: BLAKE3 of the founding node's public key.
    SwarmId,
    32
);
hex_id!(
    /// One submitted job.
    JobId,
    8
);
hex_id!(
    /// Hash of the previous chain and all results of a step; names the state a data message builds on.
    Chain,
    32
);
hex_id!(
    /// BLAKE3 over everything that decides the future of a job's state.
    Digest,
    32
);
hex_id!(
    /// A chunk of a checkpoint, of a data set or of a joiner's state: the BLAKE3 of its content.
    ChunkId,
    32
);
hex_id!(
    /// A manifest, which names chunks in order: the BLAKE3 of its text.
    ManifestId,
    32
);
hex_id!(
    /// A state as its holders offer it to joiners: the BLAKE3 of where it stands and of the list of its chunks.
    StateId,
    32
);

impl NodeId {
    /// A name that people can say, the same on every node: an adjective and an animal.
    #[must_use]
    pub fn friendly_name(&self) -> String {
        let hash = blake3::hash(&self.0);
        let bytes = hash.as_bytes();
        let adjective = ADJECTIVES[usize::from(bytes[0]) % ADJECTIVES.len()];
        let animal = ANIMALS[usize::from(bytes[1]) % ANIMALS.len()];
        format!("{adjective}-{animal}-{:02x}", bytes[2])
    }
}

impl ChunkId {
    /// The name of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// A nonce per process start. A restarted process is another life of the same node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Boot(pub u64);

/// One process of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life {
    /// The node.
    pub node: NodeId,
    /// Its process.
    pub boot: Boot,
}

/// Most views of one job: the part of an [`Epoch`] that counts them. The part above it is the council's.
pub const EPOCH_COUNT_MAX: u64 = u32::MAX as u64;

/// Number of a view within a job. Epochs only grow, over incarnations too. Each council has a range of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The number of views of the job up to this one, without the part that tells councils apart.
    #[must_use]
    pub fn count(self) -> u64 {
        self.0 & EPOCH_COUNT_MAX
    }

    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A lineage of views of one job. Views of two incarnations are never compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u32);

/// A node's number in the council's consensus group: a ledger counter, never reused. Zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeatId(pub u64);

/// One council of a swarm, from its founding on. The first one is of generation zero and names no founder. Where a
/// majority is lost, a survivor founds the next one: later generations never meet messages of earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CouncilId {
    /// One more than that of any council its founder ever heard of.
    pub generation: u64,
    /// The node that founded it.
    pub founder: NodeId,
}

impl std::fmt::Display for CouncilId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.generation {
            0 => write!(formatter, "the first council"),
            generation => write!(formatter, "council {generation} of {}", self.founder.friendly_name()),
        }
    }
}

const ADJECTIVES: [&str; 32] = [
    "amber", "brave", "brisk", "calm", "clever", "coral", "crisp", "dapper", "eager", "early", "fleet",
    "gentle", "golden", "hardy", "honest", "jolly", "keen", "lively", "lucky", "mellow", "merry", "nimble",
    "patient", "plucky", "quiet", "rapid", "sturdy", "sunny", "swift", "tidy", "vivid", "witty",
];

const ANIMALS: [&str; 32] = [
    "badger", "beaver", "bison", "crane", "curlew", "dolphin", "eagle", "falcon", "ferret", "finch", "gecko",
    "heron", "ibex", "jackdaw", "kestrel", "lark", "lynx", "marten", "newt", "ocelot", "osprey", "otter",
    "panda", "plover", "puffin", "raven", "salmon", "seal", "stoat", "tapir", "wombat", "wren",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_round_trips_and_refuses_other_text() {
        let id = JobId([1, 2, 3, 4, 5, 6, 7, 0xff]);
        assert_eq!(JobId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(JobId::from_hex("0102"), None);
        assert_eq!(JobId::from_hex("zz02030405060708"), None);
    }
}
