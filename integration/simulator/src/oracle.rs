//! What one processor alone would compute.

use bytes::Bytes;
use traind_protocol::ids::Chain;
use traind_protocol::numbers::Numbers;
use traind_protocol::sync::next_chain;

use crate::toy::ToyModel;

/// The chain and state of each step, computed as far as anybody asks.
#[derive(Debug)]
pub(crate) struct Oracle {
    parts: u32,
    microbatches: u32,
    states: Vec<(Chain, ToyModel)>,
}

impl Oracle {
    /// The oracle of a job.
    #[must_use]
    pub(crate) fn new(parts: u32, microbatches: u32, genesis: Chain) -> Self {
        Self { parts, microbatches, states: vec![(genesis, ToyModel::new(parts))] }
    }

    /// The state after `step` applies: every micro-batch computed once, folded here.
    ///
    /// # Panics
    /// Never: the state of step 0 is there from the beginning.
    pub(crate) fn state(&mut self, step: u64) -> &(Chain, ToyModel) {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        while self.states.len() <= step {
            let (chain, model) = self.states.last().expect("the state of step 0");
            let computed: Vec<Vec<Bytes>> =
                (0..self.microbatches).map(|index| model.compute(*chain, index, 0)).collect();
            let of_part = |part: u32| -> Vec<Bytes> {
                computed.iter().map(|contributions| contributions[part as usize].clone()).collect()
            };
            let results: Vec<Bytes> = (0..self.parts).map(|part| model.fold(part, &of_part(part))).collect();
            let mut next = model.clone();
            next.advance(&results);
            next.take_folds();
            let chain = next_chain(*chain, &results);
            self.states.push((chain, next));
        }
        &self.states[step]
    }
}
