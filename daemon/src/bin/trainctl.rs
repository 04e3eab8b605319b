//! Placeholder until the composition root lands.
fn main() {}
