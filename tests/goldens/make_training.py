"""Write training.npz: losses, gradients and running statistics of a step of torchvision's networks, in float64.

    python -m tests.goldens.make_training [NAME ...]

One network of each family, without dropout and stochastic depth, with the weights and images of `rule`. Of each
parameter's gradient there are two numbers: its norm, and its product with a direction that `rule` draws; of each
running statistic its mean and such a product.
Needs PyTorch and torchvision. With names, the others in the file are kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from tests.goldens import rule
from tests.goldens.make_torchvision import torchvision_models

FILE = Path(__file__).with_name("training.npz")


def built(models, name: str) -> torch.nn.Module:
    options = {}
    if name in rule.AUXILIARY:
        options = {"aux_logits": True, "init_weights": False, "transform_input": False}
    module = getattr(models, name)(weights=None, **options)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        if type(part).__name__ == "StochasticDepth":
            part.p = 0.0  # type: ignore[assignment]
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    weights = {key: torch.from_numpy(value) for key, value in rule.torch_weights(shapes, name).items()}
    state = module.state_dict()
    state.update(weights)  # in place: MNASNet wants to see the metadata
    module.load_state_dict(state)
    return module.double().train()


def goldens(models, name: str) -> dict[str, np.ndarray]:
    module = built(models, name)
    x = torch.from_numpy(rule.images(name)).double().movedim(-1, 1).contiguous()
    labels = torch.from_numpy(rule.LABELS)
    outputs = module(x)
    if name in rule.AUXILIARY:
        losses = [F.cross_entropy(output, labels) for output in outputs]
        loss = losses[0] + rule.AUXILIARY[name] * sum(losses[1:])
    else:
        loss = F.cross_entropy(outputs, labels)
    loss.backward()
    parameters = {key: parameter.grad for key, parameter in module.named_parameters()}
    buffers = {key: b for key, b in module.named_buffers() if key.endswith(("running_mean", "running_var"))}
    rows = [_measured(key, array, np.linalg.norm) for key, array in parameters.items()]
    rows += [_measured(key, array, np.mean) for key, array in buffers.items()]
    return {
        f"{name}/loss": loss.detach().numpy(),
        f"{name}/names": np.array(json.dumps([*parameters, *buffers])),
        f"{name}/numbers": np.array(rows),
    }


def _measured(key: str, array: torch.Tensor | None, size: Callable[[np.ndarray], np.floating]) -> list[float]:
    """A size of an array, and its product with the direction of its name."""
    assert array is not None, key
    values = array.numpy()
    return [float(size(values)), float((values * rule.direction(key, values.shape)).sum())]


def main(names: list[str]) -> None:
    models = torchvision_models()
    kept = dict(np.load(FILE)) if FILE.exists() and names else {}
    for name in names or rule.TRAINED:
        kept = {key: value for key, value in kept.items() if not key.startswith(f"{name}/")}
        kept |= goldens(models, name)
        print(name, float(kept[f"{name}/loss"]), flush=True)
        np.savez_compressed(FILE, **kept)


if __name__ == "__main__":
    main(sys.argv[1:])
