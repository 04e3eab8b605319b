//! The sync step under view changes: who computes, who sums, what is kept, who is told.
//!
//! A step takes the state after `step` applies to the one after `step + 1`. Members compute their leased
//! micro-batches, push the sums to the owners of the parts, owners fold each part once all of the view have told where
//! they stand, everybody applies the same results. There is no timer: a wait ends with a message, a new connection
//! ([`SyncInput::PathOpened`]) or a new view. The rules and why each is needed stand in docs/protocol.md.
//!
//! | file | what it decides |
//! |---|---|
//! | `machine` | the state and the dispatch of inputs |
//! | `enter` | what a new view changes: evicted, joiner, continuing |
//! | `receive` | fencing, and what each message does |
//! | `peers` | what is known of the others in this epoch, what was asked |
//! | `work` | own computations, what others wait for, the push of a lease |
//! | `deal` | who computes what is left of a step that a view interrupted |
//! | `pace` | how long things take here, and what follows |
//! | `received` | sums from others and the cover of a part |
//! | `fold` | when and from what a part is folded |
//! | `apply` | progress: pull, fold, apply |
//! | `handover` | how a joiner gets the state |
//! | `kept_state` | which state that is, and the results since |
//! | `following` | how it comes to the step of the others |
//! | `certifying` | which of the states that are offered counts |
//! | `halt` | what is fixed on entering a view, and where one that halts ends |
//! | `message`, `state_offer`, `codec` | what travels |
//! | `status` | what is waited for |

mod accusing;
mod allowance;
mod apply;
mod arrival;
mod certifying;
mod codec;
mod deal;
mod enter;
mod fold;
mod following;
mod halt;
mod handover;
mod held;
mod io;
mod kept_state;
mod machine;
mod message;
mod pace;
mod peers;
mod receive;
mod received;
mod sources;
mod state_offer;
mod status;
mod work;

#[cfg(test)]
mod tests;

pub use arrival::Arrival;
pub use codec::SyncLimits;
pub use handover::STATES_CONTRADICT;
pub use io::{AlarmKind, SyncInput, SyncOptions, SyncOutput};
pub use machine::SyncMachine;
pub use message::{Entry, SnapshotHead, Standing, SyncBody, SyncMessage};
pub use state_offer::{OFFER_CHUNKS_MAX, StateOffer};
pub use status::{SyncStatus, SyncWait};

use bytes::Bytes;

use crate::ids::Chain;

/// Domain of the chain hash: no other hash of this project can collide with one.
const CHAIN_DOMAIN: &str = "traind sync chain v1";

/// The chain of the state that `results`, one for each part, lead to from the state of `chain`.
#[must_use]
pub fn next_chain(chain: Chain, results: &[Bytes]) -> Chain {
    let mut hasher = blake3::Hasher::new_derive_key(CHAIN_DOMAIN);
    hasher.update(&chain.0);
    for result in results {
        hasher.update(blake3::hash(result).as_bytes());
    }
    Chain(*hasher.finalize().as_bytes())
}
