"""Loads an exported model in PyTorch and compares its logits with those of this repository's code.

    cargo run --release -p traind-training --example logits -- DIRECTORY 32 > logits.json
    python3 check_export.py DIRECTORY logits.json

Needs torch and safetensors. Exit code 0 if every tensor loads by load_state_dict(strict=True) and all logits agree.
"""

import argparse
import gzip
import json
import sys
import tomllib
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional

# Largest difference of a logit, relative to the largest logit of its sample where that is above 1.
TOLERANCE = 1e-5
# Largest difference of an input value made from the raw file by what config.json says.
INPUT_TOLERANCE = 1e-6


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling on images of one channel and 32 rows and columns, border included."""

    def __init__(self, config):
        super().__init__()
        self.conv1 = nn.Conv2d(config["input_shape"][0], 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, config["classes"])

    def forward(self, images):
        hidden = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        hidden = functional.max_pool2d(functional.relu(self.conv2(hidden)), 2)
        hidden = functional.relu(self.fc1(hidden.flatten(1)))
        return self.fc3(functional.relu(self.fc2(hidden)))


class Perceptron(nn.Module):
    """Fully connected layers fc1, fc2, … with ReLU between them."""

    def __init__(self, config):
        super().__init__()
        channels, height, width = config["input_shape"]
        widths = [channels * height * width, *config["hidden"], config["classes"]]
        self.layers = len(widths) - 1
        for index in range(self.layers):
            self.add_module(f"fc{index + 1}", nn.Linear(widths[index], widths[index + 1]))

    def forward(self, images):
        hidden = images.flatten(1)
        for index in range(1, self.layers):
            hidden = functional.relu(self.get_submodule(f"fc{index}")(hidden))
        return self.get_submodule(f"fc{self.layers}")(hidden)


MODELS = {"traind-lenet": LeNet, "traind-mlp": Perceptron}


def load(directory):
    """The model with its parameters, and its description."""
    config = json.loads((directory / "config.json").read_text())
    path = directory / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if metadata.get("format") != "pt":
        raise SystemExit(f"{path}: metadata format is {metadata.get('format')!r} instead of 'pt'")
    if metadata["traind_step"] != str(config["traind"]["step"]):
        raise SystemExit(f"{path} and config.json are of different steps")
    model = MODELS[config["model_type"]](config)
    model.load_state_dict(tensors, strict=True)
    return model.eval(), config


def with_border(images, config):
    """The images as the model takes them."""
    border = config.get("border")
    if border is None:
        return images
    return functional.pad(images, [border["width"]] * 4, value=border["value"])


def raw_inputs(config, count):
    """The first test images of an IDX directory, normalised by what config.json says; None for other data."""
    data = tomllib.loads(config["traind"]["job_file"])["data"]
    if not isinstance(data, dict) or data["kind"] != "idx":
        return None
    for path in sorted(Path(data["path"]).glob("t10k-images*")):
        contents = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        header = 4 + 4 * contents[3]
        shape = (-1, *config["input_shape"])
        pixels = torch.frombuffer(bytearray(contents[header:]), dtype=torch.uint8).reshape(shape)[:count]
        rule = config["normalisation"]
        return ((pixels.double() / rule["divide_by"] - rule["mean"]) / rule["deviation"]).float()
    raise SystemExit(f"{data['path']} holds no t10k-images")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="an exported model")
    parser.add_argument("logits", type=argparse.FileType("r"), help="what the example `logits` printed, - for stdin")
    arguments = parser.parse_args()
    expected = json.load(arguments.logits)
    model, config = load(arguments.directory)

    inputs = torch.tensor(expected["inputs"], dtype=torch.float32).reshape(-1, *config["input_shape"])
    if len(inputs) == 0:
        raise SystemExit("no samples to compare")
    from_file = raw_inputs(config, len(inputs))
    input_difference = None if from_file is None else (from_file - inputs).abs().max().item()

    with torch.no_grad():
        found = model(with_border(inputs, config))
    logits = torch.tensor(expected["logits"], dtype=torch.float32)
    if found.shape != logits.shape:
        raise SystemExit(f"logits of shape {list(found.shape)} instead of {list(logits.shape)}")
    scale = logits.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    absolute = (found - logits).abs()
    difference = (absolute / scale).max().item()
    correct = (found.argmax(dim=1) == torch.tensor(expected["labels"])).sum().item()

    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{config['model_type']}: {parameters} parameters loaded strictly, step {config['traind']['step']}")
    print(f"{len(inputs)} samples, {correct} right; largest difference of a logit {absolute.max().item():.2e}, "
          f"relative to its sample's largest {difference:.2e}")
    if input_difference is not None:
        print(f"inputs made from the raw file by config.json: largest difference {input_difference:.2e}")
    agrees = difference <= TOLERANCE and (input_difference is None or input_difference <= INPUT_TOLERANCE)
    print("agree" if agrees else "DIFFER")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
