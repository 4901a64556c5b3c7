"""Several views of each test image, whose predictions are averaged."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.host.settings import check_types, require
from jaxcnn.layout import Shape, times


@dataclass(frozen=True)
class Views:
    """How each image is looked at: as it is, perhaps shifted, perhaps mirrored as well."""

    flip: bool = False
    """Also mirrored left to right."""
    shift: int = 0
    """Also shifted by so many pixels towards each of the four corners; what comes in repeats the edge."""

    def __post_init__(self) -> None:
        check_types(self, "views.")
        require(self.shift >= 0, f"shift must not be negative, not {self.shift}")

    @property
    def count(self) -> int:
        """How many views of an image there are."""
        return (1 + self.flip) * (5 if self.shift else 1)

    def check(self, shape: Shape) -> None:
        """Raise ValueError where images of `shape`, (H, W, C), have no such views."""
        if self.shift >= min(shape[:2]):
            raise ValueError(f"shift {self.shift} must be less than the images' {times(shape[:2])}")

    def __call__(self, images: Array) -> list[Array]:
        """The views of images (N, H, W, C), each of the same shape; the images themselves first."""
        height, width = images.shape[1:3]
        self.check(images.shape[1:])
        seen = [images]
        if self.shift:
            pair = (self.shift, self.shift)
            around = jnp.pad(images, ((0, 0), pair, pair, (0, 0)), mode="edge")
            corners = [(down, across) for down in (0, 2 * self.shift) for across in (0, 2 * self.shift)]
            seen += [around[:, down : down + height, across : across + width] for down, across in corners]
        return [*seen, *(view[:, :, ::-1] for view in seen)] if self.flip else seen


def together(logits: list[Array]) -> Array:
    """The logarithm of the mean of the probabilities that several logits (N, K) stand for."""
    return jax.nn.logsumexp(jax.nn.log_softmax(jnp.stack(logits)), axis=0) - jnp.log(len(logits))
