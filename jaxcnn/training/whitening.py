"""A first kernel whose channels are uncorrelated numbers of the training images."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxcnn.layout import Params, Shape, times, walk
from jaxcnn.spec import Conv, Spec

IMAGES = 5000  # that are looked at
EPS = 5e-4  # added to each variance, so that what hardly varies is not blown up


def whitened(
    net: Spec, params: Params, images: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]
) -> Params:  # fmt: skip
    """Parameters whose first kernel whitens the patches of images (Page 2018; Jordan 2024).

    Its channels are the patches' principal components, the strongest first, over the roots of their mean squares, and
    then the same with the other sign, for the activation that follows.

    Args:
      net: its first layer is a convolution.
      params: as `init` returns them.
      images: (N, H, W, C) uint8; of more than 5,000, so many evenly spaced ones are looked at.
      mean, std: how images are normalized, per channel, for pixels in [0, 1].

    Raises ValueError where the first layer is no convolution, or has more channels than twice a patch has numbers.
    """
    path, components = first_convolution(net, images.shape[1:])
    kernel = params[path]["kernel"]
    height, width = kernel.shape[:2]
    some = images[np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int)]
    pixels = (some / np.float32(255) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (height, width), (1, 2))  # (N, H, W, C, height, width)
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, height * width * pixels.shape[-1])
    squares, vectors = np.linalg.eigh(patches.T @ patches / np.float64(len(patches)))  # the weakest first
    strongest = (vectors / np.sqrt(squares + EPS))[:, ::-1][:, :components]
    both = np.concatenate([strongest, -strongest], axis=1).reshape(kernel.shape)
    return params | {path: params[path] | {"kernel": jnp.asarray(both, kernel.dtype)}}


def first_convolution(net: Spec, shape: Shape) -> tuple[str, int]:
    """The path of the layer that sees the images, of `shape`, and how many components it can hold.

    Raises ValueError where it cannot whiten them.
    """
    first = walk(net, shape)[0]
    if not isinstance(first.leaf, Conv) or first.leaf.groups != 1 or first.leaf.dilation not in (1, (1, 1)):
        raise ValueError(f"the first layer, {first.path!r}, is {first.leaf}, not a convolution without groups")
    kernel = first.layout.params["kernel"].shape
    numbers = int(np.prod(kernel[:-1]))
    if kernel[-1] % 2 or kernel[-1] > 2 * numbers:
        raise ValueError(
            f"the first layer, {first.path!r}, has {kernel[-1]} channels: its patches of {times(kernel[:-1])} have "
            f"{numbers} components, so that an even number up to {2 * numbers} is right"
        )
    return first.path, kernel[-1] // 2
