//! Checkpoints, chunks and the council log on disk.
