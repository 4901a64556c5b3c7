"""Training images that are rotated, shifted, scaled and sheared about their middle."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.warp import Warp
from jaxcnn.host.settings import require


@dataclass(frozen=True)
class Rotate(Warp):
    """Rotate the image about its middle, and keep its size: torchvision's `RandomRotation`."""

    degrees: float = 15.0
    """The largest angle, to either side; what is drawn is counterclockwise."""

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return {"angle": _uniform(key, -self.degrees, self.degrees)}

    def matrix(self, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        return affine_matrix(shape, angle=-drawn["angle"])


@dataclass(frozen=True)
class Affine(Warp):
    """Shear the image, scale it, rotate it about its middle, and shift it: torchvision's `RandomAffine`."""

    degrees: float = 15.0
    """The largest angle, to either side; what is drawn is clockwise, unlike that of rotate. 0 leaves it out."""
    translate: tuple[float, float] = (0.0, 0.0)
    """The largest shifts to either side, as shares of the width and of the height; whole pixels are drawn."""
    scale: tuple[float, float] = (1.0, 1.0)
    """The smallest and the largest factor."""
    shear: tuple[float, float] = (0.0, 0.0)
    """The largest angles along the width and along the height, in degrees, to either side."""

    def check(self) -> None:
        super().check()
        require(
            all(0 <= share <= 1 for share in self.translate),
            f"affine's translate must be shares of the width and height in [0, 1], not {self.translate}",
        )
        require(
            0 < self.scale[0] <= self.scale[1],
            f"affine's scale must be a smallest and a largest factor above 0, not {self.scale}",
        )
        require(
            all(abs(angle) < 90 for angle in self.shear),
            f"affine's shear must be less than 90 degrees, not {self.shear}",
        )
        require(
            (self.degrees, *self.translate, *self.scale, *self.shear) != (0, 0, 0, 1, 1, 0, 0),
            "affine of 0 degrees changes nothing without translate, scale or shear",
        )

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        angle, shift, scale, shear = jax.random.split(key, 4)
        largest = jnp.array([self.translate[0] * shape[1], self.translate[1] * shape[0]], jnp.float32)
        most = jnp.array(self.shear, jnp.float32)
        return {
            "angle": _uniform(angle, -self.degrees, self.degrees),
            "shift": jnp.round(_uniform(shift, -1, 1, (2,)) * largest),
            "scale": _uniform(scale, *self.scale),
            "shear": _uniform(shear, -1, 1, (2,)) * most,
        }

    def matrix(self, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        return affine_matrix(shape, drawn["angle"], drawn["shift"], drawn["scale"], drawn["shear"])


def affine_matrix(
    shape: tuple[int, ...], angle: Array, shift: Array | None = None, scale: Array | float = 1.0,
    shear: Array | None = None,
) -> Array:  # fmt: skip
    """float32 (3, 3) for `ops.warp.warp`: an image of `shape`, (H, W, ...), sheared, scaled, rotated and shifted.

    Args:
      angle: in degrees, clockwise, about the middle of the image.
      shift: (2,), pixels to the right and down.
      scale: a factor.
      shear: (2,), angles in degrees along the width, by which what is below goes to the left, and then along the
        height, by which what is on the right goes up.
    """
    along = jnp.zeros(2, jnp.float32) if shear is None else jnp.tan(jnp.deg2rad(shear))
    further = jnp.zeros(2, jnp.float32) if shift is None else shift
    middle = jnp.array([shape[1] / 2, shape[0] / 2], jnp.float32)
    cos, sin = jnp.cos(jnp.deg2rad(angle)), jnp.sin(jnp.deg2rad(angle))
    # back from the result: by the rotation, by the shear along the height, and by that along the width
    across, down = jnp.stack([cos, sin]), jnp.stack([-sin, cos])
    down = down + along[1] * across
    across = across + along[0] * down
    rows = jnp.stack([across, down]) / scale
    start = middle - (rows * (middle + further)).sum(axis=1)
    return jnp.concatenate([jnp.concatenate([rows, start[:, None]], axis=1), jnp.array([[0.0, 0.0, 1.0]], jnp.float32)])


def _uniform(key: Array, low: float, high: float, shape: tuple[int, ...] = ()) -> Array:
    return jax.random.uniform(key, shape, jnp.float32, low, high)
