"""Weights and images that every implementation can compute for itself, from names and shapes alone."""

from __future__ import annotations

import hashlib
import math
import zlib

import numpy as np

Array = np.ndarray


def _random(name: str) -> np.random.RandomState:
    # RandomState's numbers are frozen for good; those of default_rng may change with NumPy's version.
    return np.random.RandomState(zlib.crc32(name.encode()))


def image(shape: tuple[int, ...]) -> Array:
    """One image, (1, H, W, C)."""
    return _random(f"image {shape}").normal(size=(1, *shape)).astype(np.float32)


def weight(name: str, shape: tuple[int, ...], fan_in: int, window: int) -> Array:
    """The array of a parameter called `name`, by the last part of it.

    Scales and variances are spread around 1 and biases and means around 0, so that each of them matters. Kernels are
    normal; those of one place have half the variance of the others, which keeps float32 good enough: with He's variance
    everywhere PyTorch in float32 is up to 7e-5 of the logits' deviation away from PyTorch in float64.
    """
    random, kind = _random(name), name.rpartition(".")[2]
    if kind in ("running_var", "moving_variance", "gamma") or (kind == "weight" and len(shape) == 1):
        values = random.uniform(0.5, 1.5, shape)
    elif kind == "layer_scale":
        values = random.uniform(0.1, 0.3, shape)
    elif len(shape) > 1:
        values = random.normal(0, math.sqrt((2 if window > 1 else 1) / fan_in), shape)
    else:
        values = random.normal(0, 0.1, shape)
    return values.astype(np.float32)


# Factors of the kernels where values grow from block to block until float32 has few digits of the logits left: without
# them PyTorch in float32 is up to 7e-2 of the logits' deviation away from PyTorch in float64.
SHRUNK = {"efficientnet_v2_s": 0.7, "efficientnet_v2_m": 0.7, "efficientnet_v2_l": 0.7}


def torch_weights(shapes: dict[str, tuple[int, ...]], network: str) -> dict[str, Array]:
    """The state dict of these names and shapes, without the counters of BatchNorm."""
    factor = np.float32(SHRUNK.get(network, 1))
    return {
        name: weight(name, shape, math.prod(shape[1:]), math.prod(shape[2:])) * (factor if len(shape) > 1 else 1)
        for name, shape in shapes.items()
        if not name.endswith("num_batches_tracked")
    }


def state_digest(shapes: dict[str, tuple[int, ...]]) -> str:
    """The beginning of the SHA-256 of a state dict's names and shapes, in any order.

    Ones at the end of a shape do not count, because a Linear may be a 1x1 convolution; counters of BatchNorm neither.
    """
    lines = []
    for name, shape in shapes.items():
        if not name.endswith("num_batches_tracked"):
            kept = [str(size) for size in shape]
            while kept and kept[-1] == "1":
                kept.pop()
            lines.append(f"{name} {'x'.join(kept)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()[:16]


def keras_weights(variables: list[tuple[str, tuple[int, ...]]]) -> list[Array]:
    """The arrays of a Keras model's variables, (name, shape) in the order of `model.get_weights()`."""
    arrays = []
    for number, (name, shape) in enumerate(variables):
        fan_in = math.prod(shape[:2] if "depthwise" in name else shape[:-1])
        arrays.append(weight(f"{number}.{name}", shape, fan_in, math.prod(shape[:-2])))
    return arrays


# What the other sizes of some networks begin with, by peer; 64 for the rest.
LEAST = {
    "torchvision": {"inception_v3": 100, "alexnet": 80},
    "keras": {"inception_resnet_v2": 80, "inception_v3": 80, "xception": 75},
}


def sizes(name: str, default: tuple[int, int, int], peer: str) -> list[tuple[int, int, int]]:
    """A network's own size, and another one, not square, drawn by its name."""
    least, random = LEAST[peer].get(name, 64), _random(f"size of {name}")
    height, width = (least + int(random.randint(41)) for _ in range(2))
    return [default, (height, width + (height == width), default[2])]


def sample(values: Array) -> Array:
    """Of maps of images (N, H, W, ...) every fourth pixel, of others all; whole maps would fill the folder."""
    return values[:, ::4, ::4] if values.ndim > 2 and values.shape[1] > 16 else values


def digest(values: Array) -> str:
    """The SHA-256 of the bits of an array: what is equal to the last one."""
    return hashlib.sha256(np.ascontiguousarray(values, np.float64).tobytes()).hexdigest()


# Training: one network of each family, with the weight of its auxiliary losses.
TRAINED = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnext50_32x4d",
    "shufflenet_v2_x0_5", "squeezenet1_1", "vgg11_bn",
)  # fmt: skip
AUXILIARY = {"googlenet": 0.3, "inception_v3": 0.4}
LABELS = np.array([3, 141, 592])


def images(name: str) -> Array:
    """The batch of a training step."""
    size = {"inception_v3": 299, "alexnet": 65}.get(name, 64)
    return _random(f"images {name}").normal(size=(len(LABELS), size, size + 1, 3)).astype(np.float32)


def direction(name: str, shape: tuple[int, ...]) -> Array:
    """What a gradient is multiplied with, so that every part of it counts."""
    return _random(f"direction of {name}").normal(size=shape)
