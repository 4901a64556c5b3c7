"""Arrays inside `jax.shard_map`, whose types say along which axes of the mesh they vary."""

from __future__ import annotations

from typing import Any

import jax
from jax import Array, lax


def varying(kind: Any) -> frozenset[str]:
    """The axes along which arrays of a type, of `jax.typeof`, differ from device to device; none elsewhere."""
    found = getattr(kind, "mat", kind)  # its name since jax 0.10.2
    return getattr(found, "varying", None) or getattr(found, "vma", frozenset())


def alike(*arrays: Array) -> tuple[Array, ...]:
    """All arrays as varying along every axis along which one of them does.

    JAX's own functions do so by themselves, a primitive of one's own or a call of C++ does not. The transpose is a sum
    over the devices: so a kernel that all of them share has the gradient of all their examples.
    """
    own = [varying(jax.typeof(array)) for array in arrays]
    axes = frozenset[str]().union(*own)
    missing = [tuple(sorted(axes - along)) for along in own]
    return tuple(lax.pcast(x, apart, to="varying") if apart else x for x, apart in zip(arrays, missing, strict=True))
