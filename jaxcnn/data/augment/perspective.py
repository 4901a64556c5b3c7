"""Training images seen from another side."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.warp import Warp, inverse
from jaxcnn.host.settings import require


@dataclass(frozen=True)
class Perspective(Warp):
    """Move every corner of the image inwards by a length of its own: torchvision's `RandomPerspective`."""

    distortion: float = 0.5
    """How far the corners move at most: 1 is the middle of the image."""
    probability: float = field(default=0.5, kw_only=True)
    """How often."""

    def check(self) -> None:
        super().check()
        require(0 <= self.distortion <= 1, f"perspective's distortion must be in [0, 1], not {self.distortion}")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        if min(shape[:2]) < 2:
            raise ValueError(f"perspective needs images of 2x2 pixels or more, not {shape[0]}x{shape[1]}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        furthest = [int(self.distortion * (side // 2)) + 1 for side in (shape[1], shape[0])]
        inwards = jax.random.randint(key, (4, 2), 0, jnp.array(furthest))
        right, bottom = shape[1] - 1, shape[0] - 1
        corners = jnp.array([(0, 0), (right, 0), (right, bottom), (0, bottom)])
        return {"corners": jnp.where(corners == 0, inwards, corners - inwards)}

    def matrix(self, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        """Corners count as places, as in torchvision: those of the image are 0 and width - 1, and height - 1."""
        from_square = _from_unit_square(drawn["corners"].astype(jnp.float32))
        across, down, depth = inverse(from_square)
        return jnp.stack([across * (shape[1] - 1), down * (shape[0] - 1), depth]) / depth[2]


def _from_unit_square(corners: Array) -> Array:
    """The homography of the unit square to four corners (4, 2), in the order of (0, 0), (1, 0), (1, 1), (0, 1).

    Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3.
    """
    start, right, far, below = corners
    to_right, to_below, apart = right - far, below - far, start - right + far - below
    area = _area(to_right, to_below)
    g, h = _area(apart, to_below) / area, _area(to_right, apart) / area
    columns = [right - start + g * right, below - start + h * below, start]
    depth = jnp.stack([g, h, jnp.ones_like(g)])
    return jnp.concatenate([jnp.stack(columns, axis=1), depth[None]])


def _area(one: Array, other: Array) -> Array:
    """Of the parallelogram of two vectors (2,), with a sign."""
    return one[0] * other[1] - one[1] * other[0]
