"""Augmentation on the device, inside the jitted step: one frozen value each, one file for each family.

What happens to one image is a function of (seed, epoch, the image's id): not of the batch that it falls into, nor of
the other augmentations. A new one is a dataclass in a file, and a row here.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.affine import Affine, Rotate
from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.data.augment.augmix import AugMix
from jaxcnn.data.augment.autoaugment import AutoAugment
from jaxcnn.data.augment.color import Grayscale, Jitter
from jaxcnn.data.augment.crop import Crop
from jaxcnn.data.augment.erase import Cutout, Erase
from jaxcnn.data.augment.filter import Blur
from jaxcnn.data.augment.flip import AlternatingFlip, Flip, FlipVertical
from jaxcnn.data.augment.mix import CutMix, Mixing, MixUp
from jaxcnn.data.augment.noise import Noise, SaltAndPepper
from jaxcnn.data.augment.perspective import Perspective
from jaxcnn.data.augment.randaugment import RandAugment, TrivialAugment
from jaxcnn.data.augment.resized_crop import CenterCrop, ResizedCrop, ending_in
from jaxcnn.data.augment.timm import TimmRandAugment
from jaxcnn.data.augment.tone import Autocontrast, Equalize, Invert, Posterize, Sharpness, Solarize
from jaxcnn.data.batches import Turn

AUGMENTATIONS = Augmentation.table(
    {
        "affine": Affine,
        "alternating_flip": AlternatingFlip,
        "augmix": AugMix,
        "autoaugment": AutoAugment,
        "autocontrast": Autocontrast,
        "blur": Blur,
        "center_crop": CenterCrop,
        "crop": Crop,
        "cutmix": CutMix,
        "cutout": Cutout,
        "equalize": Equalize,
        "erase": Erase,
        "flip": Flip,
        "flip_vertical": FlipVertical,
        "grayscale": Grayscale,
        "invert": Invert,
        "jitter": Jitter,
        "mixup": MixUp,
        "noise": Noise,
        "perspective": Perspective,
        "posterize": Posterize,
        "randaugment": RandAugment,
        "resized_crop": ResizedCrop,
        "rotate": Rotate,
        "salt_and_pepper": SaltAndPepper,
        "sharpness": Sharpness,
        "solarize": Solarize,
        "timm": TimmRandAugment,
        "trivialaugment": TrivialAugment,
    }
)


def augment(
    images: Array, ids: Array, rng: Array, augmentations: Sequence[Augmentation], turn: Turn | None = None
) -> Array:  # fmt: skip
    """Images (N, H, W, C), changed by one augmentation after the other.

    Args:
      images: (N, H, W, C), uint8, or floating point from 0 to 1.
      ids: (N,) integers, each image's place in its data set.
      rng: the epoch's key. An image's key is this one folded with its id; an augmentation's, that folded with its name.
      augmentations: in order.
      turn: which epoch it is, for augmentations that follow from it.
    """
    return replay(images, sample(images.shape[1:], ids, rng, augmentations, turn), augmentations)


def shape_after(shape: tuple[int, ...], augmentations: Sequence[Augmentation]) -> tuple[int, ...]:
    """The shape of images of `shape`, (H, W, C), after all augmentations. Raises ValueError where one cannot be."""
    for each in augmentations:
        each.check_shape(shape)
        shape = each.shape_after(shape)
    return shape


def at_size(size: tuple[int, int], augmentations: Sequence[Augmentation]) -> tuple[Augmentation, ...]:
    """The augmentations, with images of `size`, (height, width), at their end; those are mixed."""
    alone, mixtures = split_mixtures(augmentations)
    return (*ending_in(size, alone), *mixtures)


def split_mixtures(augmentations: Sequence[Augmentation]) -> tuple[tuple[Augmentation, ...], tuple[Mixing, ...]]:
    """The augmentations of one image, and the mixtures of two. Raises ValueError where a mixture does not come last."""
    mixtures = tuple(each for each in augmentations if isinstance(each, Mixing))
    alone = tuple(augmentations[: len(augmentations) - len(mixtures)])
    if any(isinstance(each, Mixing) for each in alone):
        raise ValueError(f"{mixtures[0].kind()} mixes images that are ready: it must come last")
    return alone, mixtures


def mix(images: Array, others: Array, ids: Array, rng: Array, mixtures: Sequence[Mixing]) -> tuple[Array, Array]:
    """Images mixed with others, each by one of `mixtures`, drawn by its id.

    Args:
      images, others: (N, H, W, C), floating point.
      ids: (N,) integers, the places of `images` in their data set.
      rng: the epoch's key.
      mixtures: one or more.

    Returns:
      The mixtures, and the share (N,) of each that is of the image itself.
    """
    keys = _keys(ids, rng, "mixture")
    drawn = [jax.vmap(lambda key, each=each: each.sample(key, images.shape[1:]))(keys) for each in mixtures]
    mixed = [jax.vmap(each.replay_pair)(images, others, numbers) for each, numbers in zip(mixtures, drawn, strict=True)]
    number = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(mixtures)))(_keys(ids, rng, "which mixture"))
    place = jnp.arange(len(ids))
    return jnp.stack(mixed)[number, place], jnp.stack([each["share"] for each in drawn])[number, place]


def _keys(ids: Array, rng: Array, name: str) -> Array:
    """For each image a key, which is folded with its id and with the name of what it is for."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, ids)
    return jax.vmap(jax.random.fold_in, (0, None))(keys, zlib.crc32(name.encode()))


def sample(
    shape: tuple[int, ...], ids: Array, rng: Array, augmentations: Sequence[Augmentation], turn: Turn | None = None
) -> tuple[Drawn, ...]:  # fmt: skip
    """What `augment` does to images of `shape`, (H, W, C): for each augmentation what it drew, arrays of (N, ...).

    Raises ValueError for an augmentation that follows from the epoch, without a `turn`.
    """
    seen: Counter[str] = Counter()
    drawn = []
    for each in augmentations:
        name = f"{each.kind()} {seen[each.kind()]}"  # the second of a kind draws other numbers than the first
        seen[each.kind()] += 1
        draw = jax.vmap(lambda key, each=each, shape=shape: each.sample(key, shape))
        if isinstance(each, AlternatingFlip):
            if turn is None:
                raise ValueError(f"{each.kind()} follows from the epoch: give its turn")
            drawn.append(each.in_turn(draw(_keys(ids, turn.key, name)), turn.epoch))
        else:
            drawn.append(draw(_keys(ids, rng, name)))
        shape = each.shape_after(shape)
    return tuple(drawn)


def replay(images: Array, drawn: Sequence[Drawn], augmentations: Sequence[Augmentation]) -> Array:
    """Images (N, H, W, C) with what `sample` drew done to them."""
    for each, numbers in zip(augmentations, drawn, strict=True):
        images = jax.vmap(each.replay)(images, numbers)
    return images


def replay_masks(masks: Array, drawn: Sequence[Drawn], augmentations: Sequence[Augmentation]) -> Array:
    """Masks (N, H, W), one number a pixel, moved as `replay` moves the images: each pixel is the nearest one's."""
    for each, numbers in zip(augmentations, drawn, strict=True):
        masks = jax.vmap(each.replay_mask)(masks, numbers)
    return masks


def replay_boxes(
    boxes: Array, shape: tuple[int, ...], drawn: Sequence[Drawn], augmentations: Sequence[Augmentation]
) -> Array:  # fmt: skip
    """Boxes (N, B, 4) of (top, left, bottom, right) in pixels, moved as `replay` moves images of `shape`, (H, W, C).

    A box that is moved out of the image has no area any more.
    """
    for each, numbers in zip(augmentations, drawn, strict=True):
        moved = partial(each.replay_boxes, shape=shape)
        boxes, shape = jax.vmap(moved)(boxes, numbers), each.shape_after(shape)
    return boxes


__all__ = [
    "AUGMENTATIONS",
    "Affine",
    "AlternatingFlip",
    "AugMix",
    "Augmentation",
    "AutoAugment",
    "Autocontrast",
    "Blur",
    "CenterCrop",
    "Crop",
    "CutMix",
    "Cutout",
    "Drawn",
    "Equalize",
    "Erase",
    "Flip",
    "FlipVertical",
    "Grayscale",
    "Invert",
    "Jitter",
    "MixUp",
    "Mixing",
    "Noise",
    "Perspective",
    "Posterize",
    "RandAugment",
    "ResizedCrop",
    "Rotate",
    "SaltAndPepper",
    "Sharpness",
    "Solarize",
    "TimmRandAugment",
    "TrivialAugment",
    "augment",
    "mix",
    "replay",
    "replay_boxes",
    "replay_masks",
    "sample",
    "shape_after",
    "split_mixtures",
]  # fmt: skip
