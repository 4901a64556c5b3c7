"""What published weights want of an image: its size, its crop, its numbers; and the names of the classes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxcnn.data.images import read_image
from jaxcnn.data.resize import Interpolation, center, covers, resize
from jaxcnn.host.errors import InputError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """From a photograph to a network's input: resize the shorter side, crop the center, normalize.

    `resize` and `crop` are pixels; a `resize` of 0 resizes to the crop, whatever the proportions. `mean` and `std` are
    those of pixels between 0 and `high`, in the order of `channels`. `classes` are the names of the outputs.
    """

    resize: int = 256
    crop: int = 224
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    high: float = 1.0
    channels: str = "rgb"
    classes: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.resize and self.resize < self.crop:
            raise ValueError(f"resize {self.resize} is less than the crop of {self.crop}: it is 0, or at least as much")

    def __call__(self, image: str | os.PathLike[str] | np.ndarray) -> np.ndarray:
        """One image, a file or uint8 (H, W, 3), as float32 (crop, crop, 3). Raises InputError for what is no image."""
        return self.normalize(self.pixels(image))

    def pixels(self, image: str | os.PathLike[str] | np.ndarray) -> np.ndarray:
        """The same as the pixels that are normalized then, uint8 (crop, crop, 3), red first.

        A file is read as training reads it: upright, in color, 16 bits scaled to 8.
        """
        pixels = _opened(image)
        size = self.crop, self.crop
        whole = covers(pixels, (self.resize, self.resize)) if self.resize else size
        try:
            # Pillow averages what it shrinks (antialias), and half a pixel goes to the even side, as in torchvision.
            return center(resize(pixels, whole, self.interpolation), size)
        except InputError as error:
            where = "" if isinstance(image, np.ndarray) else f"{os.fspath(image)}: "
            raise InputError(f"{where}{error}") from None

    def normalize(self, image: np.ndarray) -> np.ndarray:
        """Pixels (..., 3) from 0 to 255, red first, as the float32 that the network takes."""
        pixels = image.astype(np.float32) / np.float32(255 / self.high)
        pixels = pixels[..., ::-1] if self.channels == "bgr" else pixels
        return (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)


def _opened(image: str | os.PathLike[str] | np.ndarray) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return read_image(image, channels=3)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"an image is uint8 (H, W, 3), not {image.dtype} of shape {image.shape}")
    return image


def keras_preprocessing(mode: str, size: int) -> Preprocessing:
    """What keras.applications does to pixels, by its name of it, after a crop of 7/8 of the image.

    Args:
      mode: "caffe" (blue first, minus the mean of each channel), "tf" (from -1 to 1) or "torch".
      size: the network's height and width.

    Raises ValueError for another mode.
    """
    resize = round(size / 0.875)
    match mode:
        case "caffe":
            mean = (103.939, 116.779, 123.68)
            return Preprocessing(resize, size, mean=mean, std=(1.0, 1.0, 1.0), high=255.0, channels="bgr")
        case "tf":
            return Preprocessing(resize, size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        case "torch":
            return Preprocessing(resize, size)
    raise ValueError(f"mode is 'caffe', 'tf' or 'torch', not {mode!r}")


def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of all published weights."""
    return tuple((Path(__file__).parent / "imagenet_classes.txt").read_text("utf-8").splitlines())
