//! Data sets and the order in which their samples are used.

mod digits;
mod sample_order;

pub(crate) use self::{digits::Digits, sample_order::SampleOrder};
