"""Write torchvision.npz: what torchvision's networks compute, with the weights of `rule`.

    python -m tests.goldens.make_torchvision [NAME ...]

Needs PyTorch and torchvision. With names, the others in the file are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import jaxcnn
from jaxcnn.zoo import NETWORKS
from tests.goldens import rule

FILE = Path(__file__).with_name("torchvision.npz")
INNER = 8  # so many inner activations
OPERATORS = {"nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"} | {
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
}


def torchvision_models():
    """torchvision's models; its wheel looks for compiled operators, which no classifier needs."""
    library = torch.library.Library("torchvision", "DEF")
    for schema in OPERATORS.values():
        library.define(schema)
    from torchvision import models

    return models


def inner_paths(name: str, module: torch.nn.Module) -> list[str]:
    """Some paths that both implementations have, evenly spaced."""
    net = jaxcnn.create(name)
    ours = [row.path for row in jaxcnn.walk(net, NETWORKS[name].input)]
    theirs = dict(module.named_modules())
    common = [path for path in dict.fromkeys(ours) if path in theirs]
    return [common[i] for i in np.linspace(0, len(common) - 2, INNER).astype(int)]


def built(models, name: str) -> torch.nn.Module:
    options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name == "inception_v3":
        options["transform_input"] = False
    module = getattr(models, name)(weights=None, **options).eval()
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    weights = {key: torch.from_numpy(value) for key, value in rule.torch_weights(shapes, name).items()}
    state = module.state_dict()
    state.update(weights)  # in place: MNASNet wants to see the metadata
    module.load_state_dict(state)
    return module


def some(values: np.ndarray) -> np.ndarray:
    """Of values with the channels last: the first, the middle one, the last, the mean, the deviation."""
    flat = values.reshape(-1)
    return np.array([flat[0], flat[len(flat) // 2], flat[-1], values.mean(), values.std()], np.float32)


def goldens(models, name: str) -> dict[str, np.ndarray]:
    module = built(models, name)
    found: dict[str, np.ndarray] = {}

    def note(path: str):
        def hook(_module, _given, result):
            last = result.movedim(1, -1) if result.ndim == 4 and not channels_last(path) else result
            found[path] = some(last.numpy().copy())

        return hook

    def channels_last(path: str) -> bool:
        return name.startswith("convnext") and path.endswith(("block.2", "block.3", "block.4", "block.5"))

    for path in inner_paths(name, module):
        module.get_submodule(path).register_forward_hook(note(path))
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    results = {f"{name}/state": np.array(rule.state_digest(shapes))}
    with torch.no_grad():
        for number, size in enumerate(rule.sizes(name, NETWORKS[name].input, "torchvision")):
            x = torch.from_numpy(rule.image(size)).movedim(-1, 1).contiguous()
            results[f"{name}/logits{number}"] = module(x)[0].numpy()
            if number == 0:
                results |= {f"{name}/inner/{path}": values for path, values in found.items()}
    return results


def main(names: list[str]) -> None:
    models = torchvision_models()
    kept = dict(np.load(FILE)) if FILE.exists() and names else {}
    for name in names or [name for name, entry in NETWORKS.items() if entry.peer == "torchvision"]:
        kept = {key: value for key, value in kept.items() if not key.startswith(f"{name}/")}
        kept |= goldens(models, name)
        deviations = (float(kept[f"{name}/logits{number}"].std()) for number in (0, 1))
        print(name, *deviations, flush=True)
        np.savez_compressed(FILE, **kept)


if __name__ == "__main__":
    main(sys.argv[1:])
