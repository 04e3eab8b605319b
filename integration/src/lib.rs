//! Cluster kit of real processes, integration tests, tidy tests and benches.
