"""Small models of transformers here and back, with the same logits.

    cargo build --release -p traind-training --example hugging_face
    python3 check_transformers.py TARGET/release/examples/hugging_face

For a Llama (grouped heads, tied and not), a Qwen2, a Mistral with a window and a GPT-2, with random weights: transformers writes a
directory, this repository's code reads it and gives logits, writes a directory of its own, and from_pretrained reads that. Needs
torch and transformers. Exit code 0 if all logits agree.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import (AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config)

# Largest difference of a logit, relative to the largest logit.
TOLERANCE = 1e-5
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4]
SHAPE = {"vocab_size": 64, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 64}
CONFIGS = {
    "llama": LlamaConfig(**SHAPE, initializer_range=0.2),
    "llama, tied": LlamaConfig(**SHAPE, tie_word_embeddings=True, initializer_range=0.2),
    "qwen2": Qwen2Config(**SHAPE, initializer_range=0.2),
    "mistral": MistralConfig(**SHAPE, sliding_window=7, initializer_range=0.2),
    "gpt2": GPT2Config(vocab_size=64, n_positions=64, n_embd=48, n_layer=3, n_head=4, initializer_range=0.2),
}


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.tensor([TOKENS])).logits[0]


def difference(found, wanted):
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def main():
    program, worst = sys.argv[1], 0.0
    torch.manual_seed(1)
    for name, config in CONFIGS.items():
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, 1.0 if "norm" in parameter_name or "ln_" in parameter_name else 0.0, 0.2)
        wanted = logits(model)
        with tempfile.TemporaryDirectory() as folder:
            theirs, ours = Path(folder, "theirs"), Path(folder, "ours")
            model.save_pretrained(theirs)
            output = subprocess.run([program, theirs, ours, *map(str, TOKENS)], check=True, capture_output=True, text=True)
            read = difference(torch.tensor(json.loads(output.stdout)).view_as(wanted), wanted)
            back = AutoModelForCausalLM.from_pretrained(ours, attn_implementation="eager")
            written = difference(logits(back), wanted)
        print(f"{name}: read here {read:.1e}, written here and read by {type(back).__name__} {written:.1e}")
        worst = max(worst, read, written)
    print("all agree" if worst <= TOLERANCE else f"a logit differs by {worst:.1e}")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
