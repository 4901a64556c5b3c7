"""AugMix: an image mixed with several changed ones of itself."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.policy import Magnitudes, Move, Operation, Policy, drawn_among, magnitudes
from jaxcnn.host.settings import require

LEVELS, DEEPEST = 10, 3


@dataclass(frozen=True)
class AugMix(Policy):
    """A weighted mean of the image and of the ends of several chains of operations: AugMix (Hendrycks et al. 2020).

    Magnitudes and the operations, brightness, color, contrast and sharpness among them, are torchvision's; so is
    bilinear interpolation. There is no mask and there are no boxes of the mean, as its parts are moved in several ways.
    """

    severity: int = 3
    """The magnitude of each operation is one of so many, the least ones of ten."""
    width: int = 3
    """How many chains."""
    depth: int | None = None
    """How many operations a chain has; by default one, two or three."""
    alpha: float = 1.0
    """Of the Dirichlet distribution of the chains' weights, and of the Beta distribution of the image's own."""

    def check(self) -> None:
        require(1 <= self.severity <= LEVELS, f"augmix's severity must be from 1 to {LEVELS}, not {self.severity}")
        require(self.width >= 1, f"augmix's width must be 1 or more, not {self.width}")
        require(self.depth is None or self.depth >= 1, f"augmix's depth must be 1 or more, not {self.depth}")
        require(self.alpha > 0, f"augmix's alpha must be positive, not {self.alpha}")

    def move(self) -> Move:
        return Move(interpolation="bilinear")

    def magnitudes(self, shape: tuple[int, ...]) -> Magnitudes:
        farthest = (shape[0] / 3, shape[1] / 3)
        return magnitudes(LEVELS, shear=0.3, translate=farthest, rotate=30, enhance=0.9, bits=(4, 0))

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        depths, which, weights, own = jax.random.split(key, 4)
        longest = self.depth or DEEPEST
        drawn = drawn_among(which, self.magnitudes(shape), (self.width, longest), 0, self.severity - 1)
        depth = jax.random.randint(depths, (self.width, 1), self.depth or 1, longest + 1)
        share = jax.random.beta(own, self.alpha, self.alpha, dtype=jnp.float32)
        chains = jax.random.dirichlet(weights, jnp.full(self.width, self.alpha, jnp.float32), dtype=jnp.float32)
        return {
            "operation": jnp.where(jnp.arange(longest)[None] < depth, drawn["operation"], Operation.IDENTITY),
            "magnitude": drawn["magnitude"],
            "weights": jnp.concatenate([share[None], (1 - share) * chains]),
        }

    def change(self, image: Array, drawn: Drawn) -> Array:
        mixed = drawn["weights"][0] * image.astype(jnp.float32)
        for k in range(self.width):
            chain = {name: drawn[name][k] for name in ("operation", "magnitude")}
            mixed = mixed + drawn["weights"][k + 1] * super().change(image, chain).astype(jnp.float32)
        return (jnp.round(mixed) if image.dtype == jnp.uint8 else mixed).astype(image.dtype)

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        raise ValueError("augmix moves an image in several ways at once: there is no mask of that")

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        raise ValueError("augmix moves an image in several ways at once: there are no boxes of that")
