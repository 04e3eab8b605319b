//! The scrub: reads all chunks of the store again, slowly, one after the other, for as long as the store lives.

use std::sync::Weak;
use std::time::Duration;

use traind_store::Store;

use crate::session::chain_of;

/// From one chunk to the next: at most 4 MiB a second, far below what any disk gives; a terabyte takes three days.
const CHUNK_INTERVAL: Duration = Duration::from_secs(1);
/// After the last chunk, and after an error: a small store needs no more.
const ROUND_INTERVAL: Duration = Duration::from_secs(60);

/// Works until the store is gone; it ends within an interval then.
pub(super) fn run(store: &Weak<Store>) {
    let mut cursor = None;
    loop {
        let pause = {
            let Some(store) = store.upgrade() else { return };
            match store.chunks().scrub_next(cursor) {
                Ok(Some(chunk)) => {
                    if let Some(damage) = chunk.damage {
                        tracing::error!(chunk = %chunk.id, %damage, "a chunk of the store is damaged");
                    }
                    cursor = Some(chunk.id);
                    CHUNK_INTERVAL
                }
                Ok(None) => {
                    cursor = None;
                    ROUND_INTERVAL
                }
                Err(error) => {
                    tracing::warn!(error = chain_of(&error), "the scrub could not read the store");
                    ROUND_INTERVAL
                }
            }
        };
        std::thread::sleep(pause);
    }
}
