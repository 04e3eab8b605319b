//! GPT-2's parameters, under Hugging Face's names. Weights of its blocks lie as `[inputs, outputs]`.

use super::{DEVIATION, Initial, ParameterDeclaration, parameter, residual_deviation};
use crate::spec::Gpt2Spec;

pub(super) fn declarations(spec: &Gpt2Spec) -> Vec<ParameterDeclaration> {
    let (width, inner) = (spec.n_embd, spec.n_inner);
    let (normal, ones, zeros) = (Initial::Normal(DEVIATION), Initial::Constant(1.0), Initial::Constant(0.0));
    let residual = Initial::Normal(residual_deviation(spec.n_layer));
    let mut all = vec![
        parameter("transformer.wte.weight".to_owned(), &[spec.vocab_size, width], normal),
        parameter("transformer.wpe.weight".to_owned(), &[spec.n_positions, width], normal),
    ];
    let norm = |all: &mut Vec<_>, name: &str| {
        all.push(parameter(format!("{name}.weight"), &[width], ones));
        all.push(parameter(format!("{name}.bias"), &[width], zeros));
    };
    for layer in 0..spec.n_layer {
        let name = |part: &str| format!("transformer.h.{layer}.{part}");
        norm(&mut all, &name("ln_1"));
        for (part, inputs, outputs, initial) in [
            ("attn.c_attn", width, 3 * width, normal),
            ("attn.c_proj", width, width, residual),
            ("mlp.c_fc", width, inner, normal),
            ("mlp.c_proj", inner, width, residual),
        ] {
            all.push(parameter(name(&format!("{part}.weight")), &[inputs, outputs], initial));
            all.push(parameter(name(&format!("{part}.bias")), &[outputs], zeros));
        }
        norm(&mut all, &name("ln_2"));
    }
    norm(&mut all, "transformer.ln_f");
    all
}

/// Numbers that a sequence holds, see the Llama family's.
pub(super) fn activation_elements(spec: &Gpt2Spec, context: usize) -> u64 {
    let block = 9 * spec.n_embd + spec.n_head + 2 * spec.n_inner;
    ((spec.n_layer + 1) * block + spec.n_inner + 2 * spec.n_embd) as u64 * context as u64
}
