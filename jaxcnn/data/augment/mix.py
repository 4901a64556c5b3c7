"""Mixtures of a training image with another one, and of their labels."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.host.settings import require


@dataclass(frozen=True)
class Mixing(Augmentation):
    """A change of an image by another one, the next in the epoch's order, whatever batch either is in.

    It comes last, on normalized images. The loss is `share` times that of the image's label and 1 - share times that
    of the other's, which for a cross-entropy is that of the mixed label. Of several in a config, one is drawn for each
    image.
    """

    alpha: float = 1.0
    """The share of the image that stays is drawn from Beta(alpha, alpha): below 1 mostly near 0 or 1."""

    def check(self) -> None:
        require(self.alpha > 0, f"{self.kind()}'s alpha must be positive, not {self.alpha}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        """With "share", the part of the image that stays."""
        raise NotImplementedError

    def mix(self, image: Array, other: Array, drawn: Drawn) -> Array:
        """The mixture of two images (H, W, C), floating point."""
        raise NotImplementedError

    def change(self, image: Array, drawn: Drawn) -> Array:
        raise TypeError(f"{self.kind()} changes an image by another one: call mix")

    def sample(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        drawn = super().sample(key, shape)
        if "applied" in drawn:
            drawn["share"] = jnp.where(drawn["applied"], drawn["share"], 1.0)
        return drawn

    def replay_pair(self, image: Array, other: Array, drawn: Drawn) -> Array:
        """The mixture that `sample` drew."""
        mixed = self.mix(image, other, drawn)
        return jnp.where(drawn["applied"], mixed, image) if "applied" in drawn else mixed


@dataclass(frozen=True)
class MixUp(Mixing):
    """share * image + (1 - share) * other (Zhang et al. 2018)."""

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return {"share": jax.random.beta(key, self.alpha, self.alpha)}

    def mix(self, image: Array, other: Array, drawn: Drawn) -> Array:
        share = drawn["share"].astype(image.dtype)
        return share * image + (1 - share) * other


@dataclass(frozen=True)
class CutMix(Mixing):
    """A rectangle of the other image, of the image's proportions, at a place drawn evenly (Yun et al. 2019).

    It is cut at the image's edge, and the share is that of the pixels that stay.
    """

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        for_share, for_place = jax.random.split(key)
        size = jnp.array(shape[:2])
        half = jnp.sqrt(1 - jax.random.beta(for_share, self.alpha, self.alpha)) / 2 * size
        middle = jnp.floor(jax.random.uniform(for_place, (2,)) * size)
        low = jnp.maximum(jnp.floor(middle - half), 0).astype(jnp.int32)
        high = jnp.minimum(jnp.floor(middle + half), size).astype(jnp.int32)
        cut = jnp.prod(high - low) / (shape[0] * shape[1])
        return {"low": low, "high": high, "share": 1 - cut}

    def mix(self, image: Array, other: Array, drawn: Drawn) -> Array:
        rows, columns = (jnp.arange(size) for size in image.shape[:2])
        (top, left), (bottom, right) = drawn["low"], drawn["high"]
        inside = ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))
        return jnp.where(inside[..., None], other, image)
