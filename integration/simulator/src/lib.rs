//! One seed drives the pure crates through faults and checks every invariant.
