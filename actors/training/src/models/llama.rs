//! The Llama family's parameters, under Hugging Face's names.

use super::{DEVIATION, Initial, ParameterDeclaration, parameter, residual_deviation};
use crate::spec::LlamaSpec;

pub(super) fn declarations(spec: &LlamaSpec) -> Vec<ParameterDeclaration> {
    let (width, inner) = (spec.hidden_size, spec.intermediate_size);
    let (normal, ones) = (Initial::Normal(DEVIATION), Initial::Constant(1.0));
    let table = [spec.vocab_size, width];
    let mut all = vec![parameter("model.embed_tokens.weight".to_owned(), &table, normal)];
    for layer in 0..spec.num_hidden_layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let residual = Initial::Normal(residual_deviation(spec.num_hidden_layers));
        let (queries, keys) =
            (spec.num_attention_heads * spec.head_dim, spec.num_key_value_heads * spec.head_dim);
        all.push(parameter(name("input_layernorm"), &[width], ones));
        for (part, outputs) in [("q", queries), ("k", keys), ("v", keys)] {
            all.push(parameter(name(&format!("self_attn.{part}_proj")), &[outputs, width], normal));
            if spec.attention_bias {
                let name = format!("model.layers.{layer}.self_attn.{part}_proj.bias");
                all.push(parameter(name, &[outputs], Initial::Constant(0.0)));
            }
        }
        all.push(parameter(name("self_attn.o_proj"), &[width, queries], residual));
        all.push(parameter(name("post_attention_layernorm"), &[width], ones));
        all.push(parameter(name("mlp.gate_proj"), &[inner, width], normal));
        all.push(parameter(name("mlp.up_proj"), &[inner, width], normal));
        all.push(parameter(name("mlp.down_proj"), &[width, inner], residual));
    }
    all.push(parameter("model.norm.weight".to_owned(), &[width], ones));
    if !spec.tie_word_embeddings {
        all.push(parameter("lm_head.weight".to_owned(), &table, normal));
    }
    all
}

/// Numbers that a sequence holds: in each block its input, two normalised, queries, keys and values, their mixture, and twice
/// the inner width; once the temporaries of a block and a part of the logits.
pub(super) fn activation_elements(spec: &LlamaSpec, context: usize) -> u64 {
    let rows = (spec.num_attention_heads + 2 * spec.num_key_value_heads) * spec.head_dim;
    let mixed = spec.num_attention_heads * (spec.head_dim + 1);
    let block = 4 * spec.hidden_size + rows + mixed + 2 * spec.intermediate_size;
    ((spec.num_hidden_layers + 1) * block + spec.intermediate_size + 2 * spec.hidden_size) as u64
        * context as u64
}
