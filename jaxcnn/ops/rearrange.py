"""Operations that move or copy values: channel shuffle, upsampling."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.ops.checks import count, image, wide
from jaxcnn.ops.window import Size, per_dimension


def channel_shuffle(x: Array, groups: int) -> Array:
    """Channel j of group i becomes channel i of j: (groups, n) transposed.

    Zhang et al. 2018 (ShuffleNet). Raises ValueError unless the channels divide into the groups.
    """
    channels, groups = x.shape[-1], count("channel_shuffle", "groups", groups)
    if channels % groups:
        raise ValueError(f"channel_shuffle of {channels} channels needs groups that divide them, not {groups}")
    return x.reshape(*x.shape[:-1], groups, channels // groups).swapaxes(-1, -2).reshape(x.shape)


def upsample(x: Array, scale: Size, *, method: str = "nearest", align_corners: bool = False) -> Array:
    """Enlarge (N, *spatial, C) by whole factors, the same or one per dimension.

    "nearest" repeats every place. "bilinear" interpolates linearly in every spatial dimension, whatever their number,
    between the centres of places; beyond the outermost centres it repeats them. With `align_corners` the first and
    last places of input and output coincide instead (PyTorch's option). Raises ValueError for other methods and scales.
    """
    image("upsample", x)
    if method not in ("nearest", "bilinear"):
        raise ValueError(f"upsample's method {method!r} is not one of nearest, bilinear")
    if method == "nearest" and align_corners:
        raise ValueError("upsample: align_corners is for method 'bilinear'")
    factors = per_dimension(scale, x.ndim - 2, "upsample's scale")
    values = x.astype(wide(x.dtype))  # for its gradient too, which adds up what has been repeated
    for axis, factor in enumerate(factors, 1):
        if method == "nearest":
            values = jnp.repeat(values, factor, axis)
        else:
            values = _interpolate(values, axis, factor, align_corners)
    return values.astype(x.dtype)


def _interpolate(x, axis, factor, align_corners):
    n = x.shape[axis]
    places = np.arange(n * factor)
    at = places * (n - 1) / max(n * factor - 1, 1) if align_corners else (places + 0.5) / factor - 0.5
    at = np.clip(at, 0, n - 1)
    low, high = np.floor(at).astype(int), np.ceil(at).astype(int)  # the same where at is a place: no neighbor times 0
    weight = jnp.asarray(np.expand_dims(at - low, [i for i in range(x.ndim) if i != axis]), x.dtype)
    return jnp.take(x, low, axis) * (1 - weight) + jnp.take(x, high, axis) * weight
