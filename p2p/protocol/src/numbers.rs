//! The arithmetic of a step, given to the sync machine as an argument: `actors` and the simulator implement it over
//! the `averaging` crate. Contributions and results are opaque bytes to this crate.

use bytes::Bytes;

/// Exact sums over micro-batches. All methods are pure functions of their arguments and of the applied results.
pub trait Numbers {
    /// Whether `bytes`, from a peer, is a well-formed contribution to `part` in the current state.
    fn is_contribution(&self, part: u32, bytes: &[u8]) -> bool;

    /// Whether `bytes`, from a peer, is a well-formed result of `part`.
    fn is_result(&self, part: u32, bytes: &[u8]) -> bool;

    /// The exact sum of contributions to `part` over disjoint sets of micro-batches, as one contribution.
    fn sum(&self, part: u32, contributions: &[Bytes]) -> Bytes;

    /// The result of `part` from contributions that cover every micro-batch exactly once. The same bytes whatever
    /// their grouping and order.
    fn fold(&self, part: u32, contributions: &[Bytes]) -> Bytes;

    /// All results of a step were applied: the grid moves on with them.
    fn advance(&mut self, results: &[Bytes]);

    /// Whether the job ends with the present state, before the last of its steps: a pure function of the applied results,
    /// so that all members find the same end.
    fn has_ended(&self) -> bool {
        false
    }

    /// A state from a peer replaces ours. `false` if it is malformed; then nothing has changed.
    fn restore(&mut self, state: &[u8]) -> bool;
}
