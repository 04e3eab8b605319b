//! The rules of the house that a machine can check: arrows between crates, sizes of files and functions, words that
//! must not appear.

mod arrows;
mod sizes;
mod sources;
mod words;
