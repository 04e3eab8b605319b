//! The actix shell: actors over the pure machines.
