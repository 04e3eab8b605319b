//! Small values of this node alone, and addresses of peers it met.

use std::sync::Arc;

use crate::StoreError;
use crate::pieces;
use crate::records::Records;

/// Bytes of a key at most.
pub const LOCAL_KEY_BYTES_MAX: usize = 64;
/// Bytes of a local value at most: ids, short settings, and what a node takes along from a council that ended, which is as
/// long as a ledger.
pub const LOCAL_VALUE_BYTES_MAX: usize = 8 << 20;
/// Bytes of an address at most: a multiaddress over a relay is about 200.
pub const ADDRESS_BYTES_MAX: usize = 512;
/// Peers that are remembered: enough to find a swarm again, few enough to dial them all.
pub const PEERS_REMEMBERED_MAX: usize = 64;

const LOCAL: &[u8] = b"l";
/// Name of the tree of peers.
pub(crate) const PEERS: &str = "peers";

/// Durable values by name, and the peers met last.
pub(crate) struct LocalValues {
    records: Arc<Records>,
    /// Address to the big-endian number of its last meeting.
    peers: sled::Tree,
}

impl LocalValues {
    pub(crate) fn open(records: Arc<Records>) -> Result<Self, StoreError> {
        let peers = records.tree(PEERS)?;
        Ok(Self { records, peers })
    }

    pub(crate) fn put(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        StoreError::check_length("the key of a local value", key.as_bytes(), LOCAL_KEY_BYTES_MAX)?;
        StoreError::check_length("a local value", value, LOCAL_VALUE_BYTES_MAX)?;
        self.records.record(|records| {
            let mut batch = sled::Batch::default();
            pieces::remove(records, &mut batch, &local_key(key))?;
            pieces::insert(&mut batch, &local_key(key), value);
            Ok(batch)
        })
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        StoreError::check_length("the key of a local value", key.as_bytes(), LOCAL_KEY_BYTES_MAX)?;
        pieces::read(self.records.tree_of_records(), &local_key(key))
    }

    pub(crate) fn remember_peer(&self, address: &str) -> Result<(), StoreError> {
        StoreError::check_length("the address of a peer", address.as_bytes(), ADDRESS_BYTES_MAX)?;
        let met = self.peers_by_meeting()?;
        let now = met.last().map_or(0, |(number, _)| number + 1);
        let mut batch = sled::Batch::default();
        let others: Vec<_> = met.iter().filter(|(_, other)| other != address).collect();
        for (_, forgotten) in others.iter().take((others.len() + 1).saturating_sub(PEERS_REMEMBERED_MAX)) {
            batch.remove(forgotten.as_bytes());
        }
        batch.insert(address.as_bytes(), &now.to_be_bytes());
        self.peers.apply_batch(batch).map_err(StoreError::index("remember a peer"))?;
        self.records.flush()
    }

    pub(crate) fn forget_peer(&self, address: &str) -> Result<(), StoreError> {
        self.peers.remove(address.as_bytes()).map_err(StoreError::index("forget a peer"))?;
        self.records.flush()
    }

    pub(crate) fn remembered_peers(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.peers_by_meeting()?.into_iter().rev().map(|(_, address)| address).collect())
    }

    /// The peer met last comes last. What cannot be read is not worth an error: it is forgotten in time.
    fn peers_by_meeting(&self) -> Result<Vec<(u64, String)>, StoreError> {
        let mut met = Vec::new();
        for item in &self.peers {
            let (address, number) = item.map_err(StoreError::index("read the peers"))?;
            let number = <[u8; 8]>::try_from(&*number).map_or(0, u64::from_be_bytes);
            met.push((number, String::from_utf8_lossy(&address).into_owned()));
        }
        met.sort_unstable();
        Ok(met)
    }
}

/// With its length before it, so that no key is the prefix of another.
pub(crate) fn local_key(key: &str) -> Vec<u8> {
    const { assert!(LOCAL_KEY_BYTES_MAX <= u8::MAX as usize) };
    [LOCAL, &[key.len() as u8], key.as_bytes()].concat()
}
