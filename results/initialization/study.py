"""How parameters begin: ours, PyTorch's and TensorFlow's rule beside each other on four networks.

    python results/initialization/study.py --fashion idx:FOLDER > results/initialization/README.md

FOLDER holds Fashion-MNIST's four IDX files. Every run differs in its kernels and biases alone: the order of the images,
their augmentation and the optimizer are the seed's.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

import jaxcnn
from jaxcnn.config import SGD, Adam, Cosine, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, GlobalPool, Graph, Identity, Spec, add, seq
from jaxcnn.training import fit

SEEDS = range(3)


def plain(classes: int = 10) -> Graph:
    """Eight convolutions without normalization."""
    layers: dict[str, Spec] = {}
    for index, (width, stride) in enumerate([(16, 1), (16, 2), (32, 1), (32, 2), (64, 1), (64, 2), (64, 1), (64, 1)]):
        layers |= {f"conv{index}": Conv(width, 3, stride), f"relu{index}": Act()}
    return seq(**layers, mean=GlobalPool(), fc=Dense(classes))


def tiny_resnet(classes: int = 10, width: int = 8) -> Graph:
    """README's own network, of half its width."""

    def block(width: int) -> Graph:
        body = seq(conv1=Conv(width), bn1=BatchNorm(), relu=Act(), conv2=Conv(width), bn2=BatchNorm())
        return add(body, Identity(), then=Act())

    stem = seq(conv=Conv(width, 5, 2), bn=BatchNorm(), relu=Act())
    wider = seq(conv=Conv(2 * width, 3, 2), bn=BatchNorm(), relu=Act())
    return seq(
        stem=stem, block1=block(width), wider=wider, block2=block(2 * width), mean=GlobalPool(), fc=Dense(classes)
    )


def mlp(classes: int = 10) -> Graph:
    """The deck's network of one hidden layer."""
    return seq(flatten=Flatten(), hidden=Dense(128), relu=Act(), fc=Dense(classes))


def drawn(rule: str, shape: tuple[int, ...], fan_in: int, bias: bool, random: np.random.Generator) -> np.ndarray:
    """Kernel or bias by a framework's rule for layers that one gives no rule of one's own."""
    if rule == "PyTorch":  # kaiming_uniform_(a=sqrt(5)) is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), for biases too
        bound = 1 / math.sqrt(fan_in)
    elif bias:  # zeros
        bound = 0.0
    else:  # TensorFlow: glorot_uniform
        bound = math.sqrt(6 / (fan_in + fan_in // shape[-2] * shape[-1]))
    return random.uniform(-bound, bound, shape).astype(np.float32)


def weights(net: Spec, rule: str, seed: int, file: Path) -> None:
    """Write what a run begins with."""
    params, stats = jaxcnn.init(net, jax.random.key(seed), (28, 28, 1))
    random = np.random.default_rng(seed)
    for arrays in params.values():
        if rule != "jaxcnn" and "kernel" in arrays:
            shape = arrays["kernel"].shape
            for name in arrays:
                arrays[name] = drawn(rule, arrays[name].shape, math.prod(shape[:-1]), name == "bias", random)
    np.savez(file, **jaxcnn.to_torch(net, params, stats, (28, 28, 1)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fashion", required=True, help="idx:FOLDER of Fashion-MNIST")
    fashion = DataConfig(parser.parse_args().fashion)
    digits, me = TrainConfig(epochs=10), f"{Path(__file__).stem}:"
    adam = OptimizerConfig(Adam(), lr=1e-3, schedule=Cosine())
    tasks = {
        "lenet5, digits, 10 epochs": digits,
        "eight plain convolutions, digits, 10 epochs": replace(digits, network=f"{me}plain"),
        "README's residual network at width 8, digits, 10 epochs": replace(digits, network=f"{me}tiny_resnet"),
        "the same, by SGD of rate 0.1": replace(
            digits, network=f"{me}tiny_resnet", optimizer=OptimizerConfig(SGD(momentum=0.9), lr=0.1)
        ),
        "mlp, Fashion-MNIST, 3 epochs": TrainConfig(
            network=f"{me}mlp", data=fashion, optimizer=adam, epochs=3, batch_size=128
        ),
    }
    networks = [jaxcnn.create("lenet5", classes=10), plain(), tiny_resnet(), tiny_resnet(), mlp()]
    rules = ["jaxcnn", "PyTorch", "TensorFlow"]
    print("| test accuracy, % | " + " | ".join(rules) + " |\n|---|" + "--:|" * len(rules))
    with tempfile.TemporaryDirectory() as folder:
        for net, (title, config) in zip(networks, tasks.items(), strict=True):
            cells = []
            for rule in rules:
                reached = []
                for seed in SEEDS:
                    file = Path(folder, f"{rule}{seed}.npz")
                    weights(net, rule, seed, file)
                    run = replace(config, name="run", weights=str(file), seed=seed)
                    with contextlib.redirect_stdout(open(os.devnull, "w")):
                        result = fit(run, results=folder, overwrite=True)
                    reached.append(100 * result["test_accuracy"])
                cells.append(f"{statistics.mean(reached):.2f} ± {statistics.stdev(reached):.2f}")
            print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
