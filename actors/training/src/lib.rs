//! Models, data, optimisers and digests over candle. Knows no peers.
