"""Who is measured: the library itself, and those it is compared with that are installed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from jaxcnn.host.errors import InputError


@dataclass(frozen=True)
class Peer:
    """A contender's name in the tables, the package it needs, and what it is."""

    name: str
    package: str
    about: str

    @property
    def compiled(self) -> bool:
        """Whether torch.compile is part of it."""
        return self.name.startswith("torch-compile")

    @property
    def channels_last(self) -> bool:
        """Whether PyTorch's images lie in memory as NHWC."""
        return self.name.endswith("-nhwc")


ALL = (
    Peer("jaxcnn", "jax", "this library"),
    Peer("lax", "jax", "jax.lax and jax.numpy with their own gradients"),
    Peer("nnx", "flax", "Flax NNX modules"),
    Peer("keras", "keras", "Keras 3 on JAX"),
    Peer("torch", "torch", "PyTorch eager, default layout (NCHW)"),
    Peer("torch-nhwc", "torch", "PyTorch eager, channels_last"),
    Peer("torch-compile", "torch", "torch.compile, default layout"),
    Peer("torch-compile-nhwc", "torch", "torch.compile, channels_last"),
)
AUGMENTERS = (
    ALL[0],
    Peer("torchvision", "torchvision", "transforms v2 on uint8 tensors, one image at a time"),
    Peer("kornia", "kornia", "a batch of float32 tensors"),
    Peer("albumentations", "albumentations", "OpenCV on uint8 arrays, one image at a time"),
    Peer("augmax", "augmax", "vmapped and jitted, float32"),
    Peer("dm_pix", "dm_pix", "vmapped and jitted, float32"),
)
LOADERS = (
    ALL[0],
    Peer("torch", "torch", "DataLoader with worker processes"),
    Peer("grain", "grain", "Grain with reading threads"),
    Peer("opencv", "cv2", "its decoder"),
    Peer("simplejpeg", "simplejpeg", "its decoder, libjpeg-turbo"),
    Peer("torchvision", "torchvision", "its decoder"),
)
EXPLAINERS = (
    ALL[0],
    Peer("captum", "captum", "occlusion, Grad-CAM, integrated gradients"),
    Peer("grad-cam", "pytorch_grad_cam", "Grad-CAM"),
    Peer("foolbox", "foolbox", "attacks"),
    Peer("torch", "torch", "a loop in PyTorch, for what none of them has"),
)
NAMES = tuple(peer.name for peer in ALL)
PYTORCH = tuple(peer.name for peer in ALL if peer.package == "torch")


def installed(package: str) -> bool:
    return find_spec(package) is not None


def _obstacle(peer: Peer, platform: str) -> str:
    """Why a peer cannot be measured here, or nothing."""
    if not installed(peer.package):
        return f"{peer.package} is not installed"
    if peer.package == "torch" and platform != "cpu":
        import torch

        if platform != "gpu" or not torch.cuda.is_available():
            return f"this PyTorch has no {platform.upper()}"
    if peer.compiled and platform == "cpu" and not (shutil.which("g++") or shutil.which("c++")):
        return "torch.compile needs a C++ compiler, and there is none"
    return ""


def choose(
    wanted: Sequence[str] | None, platform: str, among: Sequence[Peer] = ALL
) -> tuple[list[Peer], list[str]]:  # fmt: skip
    """The peers to measure, this library first, and a sentence on each that is left out.

    `wanted=None` takes all that can be measured. Raises InputError for a name that there is not, and for one that
    cannot be measured here.
    """
    names = [peer.name for peer in among]
    if unknown := [name for name in wanted or () if name not in names]:
        raise InputError(f"there is no peer {', '.join(map(repr, unknown))}; there are: {', '.join(names)}")
    chosen, notes = [], []
    for peer in among:
        if wanted is not None and peer.name not in (*wanted, "jaxcnn"):
            continue
        if obstacle := _obstacle(peer, platform):
            if wanted is not None:
                raise InputError(f"{peer.name} cannot be measured: {obstacle}")
            notes.append(f"{peer.name} is left out: {obstacle}.")
        else:
            chosen.append(peer)
    return chosen, notes


def use_keras_on_jax() -> None:
    """Choose Keras' backend before it is imported. Raises InputError where it runs on another one already."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    import keras

    if keras.backend.backend() != "jax":
        raise InputError(f"Keras already runs on {keras.backend.backend()} in this process, not on jax")
