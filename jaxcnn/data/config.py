"""The settings of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxcnn.data.augment.augmentation import Augmentation
from jaxcnn.data.sizes import LARGEST_SIDE, train_sizes
from jaxcnn.host.settings import check_types, require

SMALLEST_STD = 1e-6  # of pixels in [0, 1]: it already makes 4,000 of one gray level; far less overflows


@dataclass(frozen=True)
class DataConfig:
    """Which images to learn from, and how they are shown to the network."""

    source: str = "digits"
    """digits | idx:DIR (MNIST's format) | folder:PATH (class folders, or a .zip, .tar, .tar.gz, .tar.xz, .tar.bz2 or
    .tar.zst of them) | tfds:NAME"""
    size: tuple[int, int] | None = None
    """Resize every image to this height and width. None takes images as they are; they must then agree."""
    train_sizes: tuple[str, ...] = ()
    """Sizes at which training images are seen instead, each after so many epochs: `0=96 10=128`, or one, `0=96x128`.
    They are tested at `size`. They are resized once they are augmented, but for the last `resized_crop` or
    `center_crop`, which gives them that size itself."""
    fit: Literal["crop", "pad", "squash"] = "crop"
    """What `size` does to an image of other proportions: crop keeps its middle, pad adds black on both sides, squash
    lets the proportions go. Images of the same proportions are only resized."""
    resize: int | None = None
    """With fit crop, the pixels of the shorter side before the middle is kept: 256 with a size of 224 224 gives what
    torchvision's presets show. None keeps as much as possible: the shorter side becomes that of `size`."""
    stream: bool = False
    """Read and decode images as they are needed, a few steps ahead, instead of all at first; it is what happens where
    memory does not hold them. A `resized_crop` that comes first in `augment` then cuts from the whole photograph."""
    channels: Literal[1, 3] | None = None
    """1 reads images as gray, 3 as RGB. None takes them as they are."""
    skip_damaged: bool = False
    """Go on without the images of a folder that are damaged or cannot be read, and say how many they are."""
    test_fraction: float = 0.2
    """The share of images held out where the source has no test split of its own."""
    split_seed: int = 0
    """Chooses which images are held out, for validation, as a fold or where the source has no test split, and which
    train_fraction keeps."""
    validation_fraction: float = 0.0
    """The share of the training images that is kept for validation, the same of every class: each epoch is judged by
    them, the best one is kept, and the test images are looked at once, at the end. With 0 each epoch is judged by the
    test images, and none is chosen."""
    folds: int = 0
    """Into how many folds the training images are cut, the same share of every class in each: `fold` is not learned
    from, and takes the place of the test images, which are not used. `jaxcnn train --folds 5` trains all five."""
    fold: int = 0
    """Which of the `folds` is tested, from 1 on."""
    train_fraction: float = 1.0
    """The share of the training images to learn from, the same of every class."""
    balanced: bool = False
    """Show every class as often in an epoch, whatever number of images it has; an epoch is as long as without."""
    repeats: int = 1
    """How often an epoch shows an image, each time changed otherwise by `augment`; it is as long as without, and so
    shows fewer images."""
    data_dir: str | None = None
    """Where TFDS keeps prepared data sets. None means TFDS's own default."""
    manual_dir: str | None = None
    """A folder with files already downloaded, for TFDS to prepare a data set from."""
    mean: tuple[float, ...] | None = None
    """Subtracted per channel, for pixels in [0, 1]. None takes the mean of the training images."""
    std: tuple[float, ...] | None = None
    """Divided by per channel, for pixels in [0, 1]. None takes the standard deviation of the training images."""
    augment: tuple[Augmentation, ...] = ()
    """How training images are changed at random, in order: crop=4 flip"""

    def __post_init__(self) -> None:
        check_types(self, "data.")
        require(
            0 < self.test_fraction < 1,
            f"data.test_fraction must be between 0 and 1, not {self.test_fraction}",
        )
        require(self.repeats >= 1, f"data.repeats must be at least 1, not {self.repeats}")
        require(
            self.repeats == 1 or not self.balanced, "data.balanced repeats images by itself: data.repeats must be 1"
        )
        require(self.split_seed >= 0, f"data.split_seed must be 0 or more, not {self.split_seed}")
        require(
            0 <= self.validation_fraction < 1,
            f"data.validation_fraction must be in [0, 1), not {self.validation_fraction}",
        )
        require(self.folds == 0 or self.folds >= 2, f"data.folds must be at least 2, or 0 for none, not {self.folds}")
        require(
            self.folds or not self.fold,
            f"data.fold {self.fold} is one of data.folds: give their number",
        )
        require(
            not self.folds or 1 <= self.fold <= self.folds,
            f"data.fold must be from 1 to {self.folds}, the data.folds, not {self.fold}",
        )
        require(0 < self.train_fraction <= 1, f"data.train_fraction must be in (0, 1], not {self.train_fraction}")
        require(
            self.size is None or (min(self.size) > 0 and max(self.size) <= LARGEST_SIDE),
            f"data.size must be a height and width of 1 to {LARGEST_SIDE} pixels, not {self.size}",
        )
        require(
            not (self.stream and self.skip_damaged), "data.skip_damaged reads all images first: not with data.stream"
        )
        train_sizes(self.train_sizes)
        require(
            self.resize is None or (self.size is not None and self.fit == "crop"),
            f"data.resize {self.resize} is for a data.size to be cropped from: give that, and data.fit crop",
        )
        require(
            self.resize is None or self.size is None or max(self.size) <= self.resize <= LARGEST_SIDE,
            f"data.resize must be from the longer side of data.size {self.size} to {LARGEST_SIDE}, not {self.resize}",
        )
        require(
            self.mean is None or (self.mean and all(0 <= mean <= 1 for mean in self.mean)),
            f"data.mean is that of pixels in [0, 1], so not {self.mean}: divide one of pixels up to 255 by 255",
        )
        require(
            self.std is None or (self.std and all(SMALLEST_STD <= std <= 1 for std in self.std)),
            f"data.std is that of pixels in [0, 1], from {SMALLEST_STD} to 1, so not {self.std}",
        )
