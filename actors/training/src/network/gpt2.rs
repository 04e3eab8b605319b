//! GPT-2: Radford et al., "Language models are unsupervised multitask learners" (2019). Its weights lie as `[inputs, outputs]`,
//! and the last projection is the embedding.

use super::Builder;
use crate::{
    layers::{Activations, Embedding, Heads, Layer, Linear, Projections, SelfAttention},
    numbers::Real,
    spec::Gpt2Spec,
};

pub(super) fn build<T: Real>(builder: &mut Builder<'_, T>, spec: &Gpt2Spec) {
    let width = spec.n_embd;
    let weight = builder.place("transformer.wte.weight");
    let positions = Some(builder.place("transformer.wpe.weight"));
    builder.add(Embedding { width, weight: weight.clone(), positions, is_tied: true });
    builder.add_dropout(spec.dropout);
    builder.end_segment();
    for layer in 0..spec.n_layer {
        block(builder, spec, &format!("transformer.h.{layer}"));
    }
    let norm = builder.layer_norm("transformer.ln_f", width, spec.layer_norm_epsilon);
    builder.add(norm);
    builder.end_segment();
    let head = Linear { inputs: width, outputs: spec.vocab_size, weight, bias: None, is_transposed: false };
    builder.head(head, true);
}

fn block<T: Real>(builder: &mut Builder<'_, T>, spec: &Gpt2Spec, name: &str) {
    let (width, inner) = (spec.n_embd, spec.n_inner);
    let (heads, dimension) = (spec.n_head, spec.n_embd / spec.n_head);
    let transposed = |builder: &mut Builder<'_, T>, part: &str, inputs, outputs| {
        let linear = builder.linear(&format!("{name}.{part}"), inputs, outputs, true);
        Linear { is_transposed: true, ..linear }
    };
    let norm = builder.layer_norm(&format!("{name}.ln_1"), width, spec.layer_norm_epsilon);
    let attention = SelfAttention {
        heads: Heads { heads, key_heads: heads, dimension, window: 0 },
        projections: Projections::Together(transposed(builder, "attn.c_attn", width, 3 * width)),
        output: transposed(builder, "attn.c_proj", width, width),
        rotary: None,
    };
    builder.add_residual(vec![Box::new(norm), Box::new(attention)], spec.dropout);
    let norm = builder.layer_norm(&format!("{name}.ln_2"), width, spec.layer_norm_epsilon);
    let wide = transposed(builder, "mlp.c_fc", width, inner);
    let narrow = transposed(builder, "mlp.c_proj", inner, width);
    let activation = Activations(spec.activation_function.elementwise());
    let layers: Vec<Box<dyn Layer<T>>> =
        vec![Box::new(norm), Box::new(wide), Box::new(activation), Box::new(narrow)];
    builder.add_residual(layers, spec.dropout);
    builder.end_segment();
}
