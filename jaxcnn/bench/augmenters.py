"""Augmentations by this library and by others: each row the same change, drawn anew for each image.

A maker takes the name of a row and uint8 images (N, H, W, 3), and returns the work to be timed; KeyError where the
library has no such thing. The images lie in memory as the library wants them before the time begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data.augment.affine import Affine, Rotate
from jaxcnn.data.augment.augmentation import Augmentation
from jaxcnn.data.augment.color import Grayscale, Jitter
from jaxcnn.data.augment.crop import Crop
from jaxcnn.data.augment.erase import Erase
from jaxcnn.data.augment.flip import Flip, FlipVertical
from jaxcnn.data.augment.perspective import Perspective
from jaxcnn.data.augment.resized_crop import CenterCrop, ResizedCrop

Work = Callable[[], Any]
DEGREES, SHIFT, SCALE, SHEAR = 15.0, 0.1, (0.8, 1.2), 10.0
DISTORTION, PADDING, SIDE, CUT = 0.5, 28, 224, 196
JITTER, HUE = 0.4, 0.1

OURS: dict[str, Augmentation] = {
    "perspective": Perspective(DISTORTION),
    "jiggle": Jitter(JITTER, JITTER, JITTER, HUE),
    "affine": Affine(DEGREES, (SHIFT, SHIFT), SCALE, (SHEAR, 0.0)),
    "vertical flip": FlipVertical(1.0),
    "horizontal flip": Flip(1.0),
    "rotate": Rotate(DEGREES),
    "crop": Crop(PADDING),
    "erasing": Erase(1.0, fill="zeros"),
    "grayscale": Grayscale(1.0),
    "resized crop": ResizedCrop(),
    "center crop": CenterCrop(CUT / SIDE, size=(CUT, CUT)),
}
"""The rows, and how this library does each."""


def by_jaxcnn(row: str, images: np.ndarray) -> Work:
    """Keys and images in one jitted call."""
    each, arrays = OURS[row], jnp.asarray(images)
    keys = jax.random.split(jax.random.key(0), len(images))
    run = jax.jit(jax.vmap(each))
    return lambda: jax.block_until_ready(run(keys, arrays))


def by_torchvision(row: str, images: np.ndarray) -> Work:
    """transforms.v2 on uint8 tensors, image by image: on a batch it would draw once for all."""
    import torch
    from torchvision.transforms import v2  # type: ignore[import-not-found]

    made = {
        "perspective": lambda: v2.RandomPerspective(DISTORTION, p=1),
        "jiggle": lambda: v2.ColorJitter(JITTER, JITTER, JITTER, HUE),
        "affine": lambda: v2.RandomAffine(DEGREES, (SHIFT, SHIFT), SCALE, SHEAR, v2.InterpolationMode.BILINEAR),
        "vertical flip": lambda: v2.RandomVerticalFlip(1),
        "horizontal flip": lambda: v2.RandomHorizontalFlip(1),
        "rotate": lambda: v2.RandomRotation(DEGREES, v2.InterpolationMode.BILINEAR),
        "crop": lambda: v2.RandomCrop(SIDE, PADDING),
        "erasing": lambda: v2.RandomErasing(1),
        "grayscale": lambda: v2.RandomGrayscale(1),
        "resized crop": lambda: v2.RandomResizedCrop(SIDE, antialias=True),
        "center crop": lambda: v2.CenterCrop(CUT),
    }[row]()
    tensors = list(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
    return lambda: torch.stack([made(tensor) for tensor in tensors])


def by_kornia(row: str, images: np.ndarray) -> Work:
    """A batch of float32 tensors at once."""
    import kornia.augmentation as k  # type: ignore[import-not-found]
    import torch

    made = {
        "perspective": lambda: k.RandomPerspective(DISTORTION, p=1),
        "jiggle": lambda: k.ColorJiggle(JITTER, JITTER, JITTER, HUE, p=1),
        "affine": lambda: k.RandomAffine(DEGREES, (SHIFT, SHIFT), SCALE, SHEAR, p=1),
        "vertical flip": lambda: k.RandomVerticalFlip(p=1),
        "horizontal flip": lambda: k.RandomHorizontalFlip(p=1),
        "rotate": lambda: k.RandomRotation(DEGREES, p=1),
        "crop": lambda: k.RandomCrop((SIDE, SIDE), PADDING, p=1),
        "erasing": lambda: k.RandomErasing(p=1),
        "grayscale": lambda: k.RandomGrayscale(p=1),
        "resized crop": lambda: k.RandomResizedCrop((SIDE, SIDE), cropping_mode="resample", p=1),
        "center crop": lambda: k.CenterCrop(CUT, p=1),
    }[row]()
    tensors = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255
    return lambda: made(tensors)


def by_albumentations(row: str, images: np.ndarray) -> Work:
    """OpenCV on uint8 arrays, image by image; its resized crop does not filter what it makes smaller."""
    import albumentations as a  # type: ignore[import-not-found]

    made = {
        "perspective": lambda: a.Perspective((DISTORTION / 10, DISTORTION / 2), p=1),
        "jiggle": lambda: a.ColorJitter(*[(1 - JITTER, 1 + JITTER)] * 3, (-HUE, HUE), p=1),
        "affine": lambda: a.Affine(SCALE, (-SHIFT, SHIFT), None, (-DEGREES, DEGREES), (-SHEAR, SHEAR), p=1),
        "vertical flip": lambda: a.VerticalFlip(p=1),
        "horizontal flip": lambda: a.HorizontalFlip(p=1),
        "rotate": lambda: a.Rotate(DEGREES, p=1),
        "crop": lambda: a.Compose([a.Pad(PADDING, p=1), a.RandomCrop(SIDE, SIDE, p=1)]),
        "erasing": lambda: a.Erasing(p=1),
        "grayscale": lambda: a.ToGray(p=1),
        "resized crop": lambda: a.RandomResizedCrop((SIDE, SIDE), p=1),
        "center crop": lambda: a.CenterCrop(CUT, CUT, p=1),
    }[row]()
    return lambda: np.stack([made(image=image)["image"] for image in images])


def by_augmax(row: str, images: np.ndarray) -> Work:
    """vmapped over the batch, jitted."""
    import augmax  # type: ignore[import-not-found]

    made = {
        "jiggle": lambda: augmax.ColorJitter(JITTER, JITTER, JITTER, HUE, p=1.0),
        "vertical flip": lambda: augmax.VerticalFlip(1.0),
        "horizontal flip": lambda: augmax.HorizontalFlip(1.0),
        "rotate": lambda: augmax.Rotate((-DEGREES, DEGREES)),
        "grayscale": lambda: augmax.RandomGrayscale(1.0),
        "resized crop": lambda: augmax.RandomSizedCrop(SIDE, SIDE),
        "center crop": lambda: augmax.CenterCrop(CUT),
    }[row]()
    run = jax.jit(jax.vmap(augmax.Chain(augmax.ByteToFloat(), made)))
    keys, arrays = jax.random.split(jax.random.key(0), len(images)), jnp.asarray(images)
    return lambda: jax.block_until_ready(run(keys, arrays))


def by_dm_pix(row: str, images: np.ndarray) -> Work:
    """float32, vmapped over the batch, jitted."""
    import dm_pix as pix  # type: ignore[import-not-found]

    def jiggle(key: jax.Array, image: jax.Array) -> jax.Array:
        for number, change in enumerate((pix.random_contrast, pix.random_saturation)):
            image = change(jax.random.fold_in(key, number), image, 1 - JITTER, 1 + JITTER)
        image = pix.random_brightness(jax.random.fold_in(key, 2), image, JITTER)
        return pix.random_hue(jax.random.fold_in(key, 3), image, HUE)

    def rotate(key: jax.Array, image: jax.Array) -> jax.Array:
        angle = math.radians(DEGREES) * jax.random.uniform(key, minval=-1.0)
        return pix.rotate(image, angle)

    change = {
        "jiggle": jiggle,
        "rotate": rotate,
        "vertical flip": lambda key, image: pix.random_flip_up_down(key, image, probability=1.0),
        "horizontal flip": lambda key, image: pix.random_flip_left_right(key, image, probability=1.0),
        "crop": lambda key, image: pix.random_crop(
            key, jnp.pad(image, [(PADDING, PADDING)] * 2 + [(0, 0)]), image.shape
        ),
        "grayscale": lambda key, image: pix.rgb_to_grayscale(image, keep_dims=True),
        "center crop": lambda key, image: pix.center_crop(image, CUT, CUT),
    }[row]
    run = jax.jit(jax.vmap(change))
    keys = jax.random.split(jax.random.key(0), len(images))
    arrays = jnp.asarray(images, jnp.float32) / 255
    return lambda: jax.block_until_ready(run(keys, arrays))


MAKERS: dict[str, Callable[[str, np.ndarray], Work]] = {
    "jaxcnn": by_jaxcnn,
    "torchvision": by_torchvision,
    "kornia": by_kornia,
    "albumentations": by_albumentations,
    "augmax": by_augmax,
    "dm_pix": by_dm_pix,
}
"""How each library does a row."""
