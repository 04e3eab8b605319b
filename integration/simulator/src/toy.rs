//! A model small enough to be trained a million times, averaged by the real `averaging` crate.
//!
//! Contributions and results carry, before their numbers, the micro-batches that went into them and the state each was
//! computed on, so that invariant D1 is checked exactly and not through sums.

use std::cell::RefCell;

use bytes::Bytes;
use traind_averaging::{
    Accumulator, Grid, PartLayout, Totals, check_contribution, check_result, decode_result,
};
use traind_protocol::ids::Chain;
use traind_protocol::numbers::Numbers;

use crate::random::Random;

/// One computation of one micro-batch: what a sum is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaf {
    /// Which micro-batch.
    pub(crate) microbatch: u32,
    /// Chain of the state it was computed on.
    pub(crate) base: Chain,
    /// Zero on like processors; on unlike ones each computation has a number and a value of its own.
    pub(crate) computation: u32,
}

const LEAF_BYTES: usize = 40;

/// A fold that took place.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    /// Steps applied before.
    pub(crate) step: u64,
    /// The part.
    pub(crate) part: u32,
    /// What went into it.
    pub(crate) leaves: Vec<Leaf>,
}

/// Parameters and grids of all parts. One grid of a single part stands for each part of the job, as real parts are
/// larger than what a million runs can afford.
#[derive(Clone, Debug)]
pub(crate) struct ToyModel {
    step: u64,
    parts: Vec<ToyPart>,
    folds: RefCell<Vec<Fold>>,
    /// Sums that came, by step and part, where a planted fault folds all of them.
    strays: RefCell<Option<Vec<(u64, u32, Bytes)>>>,
}

#[derive(Clone, Debug, PartialEq)]
struct ToyPart {
    grid: Grid,
    parameters: Vec<f32>,
}

impl PartialEq for ToyModel {
    fn eq(&self, other: &Self) -> bool {
        self.step == other.step && self.parts == other.parts
    }
}

impl ToyModel {
    /// The model at step 0. Part `p` has `p + 1` elements.
    #[must_use]
    pub(crate) fn new(parts: u32) -> Self {
        let part = |index: u32| {
            let elements = index as usize + 1;
            let layout = PartLayout::new(elements).expect("a part has elements");
            ToyPart { grid: Grid::new(&layout), parameters: vec![0.5; elements] }
        };
        let (folds, strays) = (RefCell::default(), RefCell::default());
        Self { step: 0, parts: (0..parts).map(part).collect(), folds, strays }
    }

    /// From now on a fold takes all sums that have come.
    pub(crate) fn sum_all_that_comes(&self) {
        self.strays.replace(Some(Vec::new()));
    }

    /// A sum has come.
    pub(crate) fn keep_sum(&self, step: u64, part: u32, sum: Bytes) {
        if let Some(strays) = self.strays.borrow_mut().as_mut() {
            strays.push((step, part, sum));
        }
    }

    /// What a fold takes: `contributions`, and where a fault is planted the others that came.
    fn with_strays(&self, part: u32, contributions: &[Bytes]) -> Vec<Bytes> {
        let mut all = contributions.to_vec();
        let base = contributions.iter().flat_map(|sum| leaves_of(sum)).map(|leaf| leaf.base).next();
        let strays = self.strays.borrow();
        for (step, of, sum) in strays.iter().flatten() {
            let fits = leaves_of(sum).first().map(|leaf| leaf.base) == base;
            if (*step, *of) == (self.step, part) && fits && !all.contains(sum) {
                all.push(sum.clone());
            }
        }
        all
    }

    /// The contributions of `microbatch` to all parts, on this state with chain `base`.
    #[must_use]
    pub(crate) fn compute(&self, base: Chain, microbatch: u32, computation: u32) -> Vec<Bytes> {
        let seed = base.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let mut random = Random::new(seed ^ (u64::from(microbatch) << 32 | u64::from(computation)));
        let leaf = Leaf { microbatch, base, computation };
        let contribution = |part: &ToyPart| {
            let noise = |parameter: &f32| parameter + (random.next() % 2000) as f32 / 1000.0 - 1.0;
            let gradient: Vec<f32> = part.parameters.iter().map(noise).collect();
            let sum = part
                .grid
                .quantise(0, &gradient, &Totals::of(1 + microbatch, 0.25))
                .expect("toy gradients are small");
            join(&[leaf], &sum)
        };
        self.parts.iter().map(contribution).collect()
    }

    /// Everything that decides the future.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut bytes = self.step.to_le_bytes().to_vec();
        for part in &self.parts {
            bytes.extend(part.grid.to_bytes());
            bytes.extend(part.parameters.iter().flat_map(|parameter| parameter.to_le_bytes()));
        }
        bytes.into()
    }

    /// The folds since this was last asked.
    pub(crate) fn take_folds(&self) -> Vec<Fold> {
        self.folds.take()
    }

    fn accumulate(&self, part: u32, contributions: &[Bytes]) -> (Vec<Leaf>, Accumulator) {
        let mut sum = Accumulator::new(self.parts[part as usize].parameters.len());
        let mut leaves = Vec::new();
        for contribution in contributions {
            let (more, numbers) =
                split(contribution).expect("contributions are checked before they are used");
            leaves.extend(more);
            sum.add(numbers).expect("toy gradients are small");
        }
        leaves.sort_unstable();
        (leaves, sum)
    }
}

impl Numbers for ToyModel {
    fn is_contribution(&self, part: u32, bytes: &[u8]) -> bool {
        split(bytes).is_some_and(|(leaves, numbers)| {
            !leaves.is_empty()
                && check_contribution(self.parts[part as usize].grid.layout(), 0, numbers).is_ok()
        })
    }

    fn is_result(&self, part: u32, bytes: &[u8]) -> bool {
        let layout = self.parts[part as usize].grid.layout();
        split(bytes).is_some_and(|(_, numbers)| check_result(layout, 0, numbers).is_ok())
    }

    fn sum(&self, part: u32, contributions: &[Bytes]) -> Bytes {
        let (leaves, sum) = self.accumulate(part, contributions);
        join(&leaves, &sum.encode())
    }

    fn fold(&self, part: u32, contributions: &[Bytes]) -> Bytes {
        let (leaves, sum) = self.accumulate(part, &self.with_strays(part, contributions));
        let result = join(&leaves, &self.parts[part as usize].grid.mean(0, &sum));
        self.folds.borrow_mut().push(Fold { step: self.step, part, leaves });
        result
    }

    fn advance(&mut self, results: &[Bytes]) {
        for (part, result) in self.parts.iter_mut().zip(results) {
            let (_, numbers) = split(result).expect("results are checked before they are used");
            let mut mean = vec![0.0; part.parameters.len()];
            decode_result(numbers, &mut mean).expect("results are checked before they are used");
            part.grid.advance(0, numbers).expect("results are checked before they are used");
            for (parameter, mean) in part.parameters.iter_mut().zip(&mean) {
                *parameter -= 0.125 * mean;
            }
        }
        self.step += 1;
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let read = |mut rest: &[u8]| {
            let mut parts = Vec::new();
            let step = u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?);
            for part in &self.parts {
                let grid = Grid::from_bytes(part.grid.layout(), rest.split_off(..2)?).ok()?;
                let bytes = rest.split_off(..4 * part.parameters.len())?;
                let parameters = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
                parts.push(ToyPart { grid, parameters: parameters.collect() });
            }
            rest.is_empty().then_some((step, parts))
        };
        match read(state) {
            Some((step, parts)) => {
                self.step = step;
                self.parts = parts;
                true
            }
            None => false,
        }
    }
}

/// What went into a contribution or result.
#[must_use]
pub(crate) fn leaves_of(bytes: &[u8]) -> Vec<Leaf> {
    split(bytes).map(|(leaves, _)| leaves).unwrap_or_default()
}

fn join(leaves: &[Leaf], numbers: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(2 + leaves.len() * LEAF_BYTES + numbers.len());
    bytes.extend(u16::try_from(leaves.len()).unwrap_or(u16::MAX).to_le_bytes());
    for leaf in leaves {
        bytes.extend(leaf.microbatch.to_le_bytes());
        bytes.extend(leaf.computation.to_le_bytes());
        bytes.extend(leaf.base.0);
    }
    bytes.extend(numbers);
    bytes.into()
}

fn split(mut bytes: &[u8]) -> Option<(Vec<Leaf>, &[u8])> {
    let count = u16::from_le_bytes(*bytes.split_off(..2)?.first_chunk()?);
    let tags = bytes.split_off(..usize::from(count) * LEAF_BYTES)?;
    let leaf = |tag: &[u8; LEAF_BYTES]| {
        let microbatch = u32::from_le_bytes([tag[0], tag[1], tag[2], tag[3]]);
        let computation = u32::from_le_bytes([tag[4], tag[5], tag[6], tag[7]]);
        let mut base = Chain::default();
        base.0.copy_from_slice(&tag[8..]);
        Leaf { microbatch, base, computation }
    };
    Some((tags.as_chunks().0.iter().map(leaf).collect(), bytes))
}
