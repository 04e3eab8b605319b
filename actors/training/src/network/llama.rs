//! The Llama family: Touvron et al., "LLaMA: open and efficient foundation language models" (2023). Qwen2 has biases at queries,
//! keys and values, Mistral a window; both are the same otherwise.

use std::sync::Arc;

use super::Builder;
use crate::{
    layers::{Embedding, Heads, Linear, Projections, Rotary, SelfAttention, SwiGlu},
    numbers::Real,
    spec::LlamaSpec,
};

pub(super) fn build<T: Real>(builder: &mut Builder<'_, T>, spec: &LlamaSpec) {
    let width = spec.hidden_size;
    let embedding = builder.place("model.embed_tokens.weight");
    let is_tied = spec.tie_word_embeddings;
    builder.add(Embedding { width, weight: embedding.clone(), positions: None, is_tied });
    builder.add_dropout(spec.dropout);
    builder.end_segment();
    let rotary = Arc::new(Rotary::new(spec.head_dim, spec.rope_theta));
    for layer in 0..spec.num_hidden_layers {
        block(builder, spec, &format!("model.layers.{layer}"), &rotary);
    }
    let norm = builder.rms_norm("model.norm", width, spec.rms_norm_eps);
    builder.add(norm);
    builder.end_segment();
    if is_tied {
        let (outputs, weight) = (spec.vocab_size, embedding);
        builder.head(Linear { inputs: width, outputs, weight, bias: None, is_transposed: false }, true);
    } else {
        let head = builder.linear("lm_head", width, spec.vocab_size, false);
        builder.head(head, false);
    }
}

fn block<T: Real>(builder: &mut Builder<'_, T>, spec: &LlamaSpec, name: &str, rotary: &Arc<Rotary<T>>) {
    let (width, dimension) = (spec.hidden_size, spec.head_dim);
    let (heads, key_heads) = (spec.num_attention_heads, spec.num_key_value_heads);
    let norm = builder.rms_norm(&format!("{name}.input_layernorm"), width, spec.rms_norm_eps);
    let mut project = |part: &str, heads: usize| {
        let name = format!("{name}.self_attn.{part}_proj");
        builder.linear(&name, width, heads * dimension, spec.attention_bias)
    };
    let projections = [project("q", heads), project("k", key_heads), project("v", key_heads)];
    let output = builder.linear(&format!("{name}.self_attn.o_proj"), heads * dimension, width, false);
    let attention = SelfAttention {
        heads: Heads { heads, key_heads, dimension, window: spec.sliding_window },
        projections: Projections::Apart(projections),
        output,
        rotary: Some(rotary.clone()),
    };
    builder.add_residual(vec![Box::new(norm), Box::new(attention)], spec.dropout);
    let norm = builder.rms_norm(&format!("{name}.post_attention_layernorm"), width, spec.rms_norm_eps);
    let inner = spec.intermediate_size;
    let feed_forward = SwiGlu {
        gate: builder.linear(&format!("{name}.mlp.gate_proj"), width, inner, false),
        up: builder.linear(&format!("{name}.mlp.up_proj"), width, inner, false),
        down: builder.linear(&format!("{name}.mlp.down_proj"), inner, width, false),
    };
    builder.add_residual(vec![Box::new(norm), Box::new(feed_forward)], spec.dropout);
    builder.end_segment();
}
