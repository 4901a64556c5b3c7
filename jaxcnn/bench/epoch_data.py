"""Images for whole epochs: noise, in the IDX files that training reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxcnn.config import Crop, DataConfig, Flip

TRAIN, TEST = 12_800, 2_560  # in CIFAR-10's proportion
MEAN, STD, PADDING = 0.5, 0.25, 4
FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}  # fmt: skip


def write(folder: Path, shape: tuple[int, ...], classes: int = 10) -> None:
    """Gray noise of `shape`, (H, W, C), with labels, as IDX files; training shows it in as many channels as it has."""
    numbers = np.random.default_rng(0)
    for size, (images, labels) in zip((TRAIN, TEST), FILES.values(), strict=True):
        pixels = numbers.integers(0, 256, (size, *shape[:2]), np.uint8)
        (folder / images).write_bytes(_header(3, pixels.shape) + pixels.tobytes())
        (folder / labels).write_bytes(_header(1, (size,)) + numbers.integers(0, classes, size, np.uint8).tobytes())


def config(folder: Path, shape: tuple[int, ...]) -> DataConfig:
    """What training reads them by, augmented by crops and flips."""
    channels = shape[-1]
    return DataConfig(
        f"idx:{folder}", size=(shape[0], shape[1]), channels=3 if channels == 3 else None,
        mean=(MEAN,) * channels, std=(STD,) * channels, augment=(Crop(PADDING), Flip()),
    )  # fmt: skip


def _header(rank: int, sizes: tuple[int, ...]) -> bytes:
    return bytes([0, 0, 8, rank]) + b"".join(size.to_bytes(4, "big") for size in sizes)
