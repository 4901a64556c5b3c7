"""The products of a convolution by a C++ program, for images of one or two dimensions in float32 or float64 on a CPU.

`conv.cc` is compiled for this very processor when it is first needed (see `build`). Where that cannot be,
`available()` is false, and `ways` takes other ways.
"""

from __future__ import annotations

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.ops.native.build import library
from jaxcnn.ops.window import Window

DTYPES = ("float32", "float64")
HANDLERS = ("forward", "input_gradient", "kernel_gradient", "moments", "sums")


def available() -> bool:
    """Whether there is such a program: on a CPU with a C++ compiler, unless $JAXCNN_NATIVE is 0."""
    return os.environ.get("JAXCNN_NATIVE", "1") != "0" and jax.default_backend() == "cpu" and _registered()


@functools.cache
def _registered() -> bool:
    found = library()
    if found is None:
        return False
    for name in HANDLERS:
        handler = jax.ffi.pycapsule(getattr(found, f"jaxcnn_{name}"))
        jax.ffi.register_ffi_target(f"jaxcnn_{name}", handler, platform="cpu")
    return True


def forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return _call("forward", (x.shape[0], *placed.output, kernel.shape[-1]), (1, 0, 1), x, kernel, placed, groups)


def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    shape = (gradient.shape[0], *placed.sizes, kernel.shape[-2] * groups)
    return _call("input_gradient", shape, (1, 0, 1), gradient, kernel, placed, groups)


def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    shape = (*placed.window, x.shape[-1] // groups, gradient.shape[-1])
    return _call("kernel_gradient", shape, (1, 1, 0), x, gradient, placed, groups)


def moments(x: Array, shift: Array) -> Array:
    """The sums of x - shift and of its square over the places of each example: (N, P, C) and (C,) -> (N, 2, C)."""
    return _sums("moments", x, x, shift)


def sums(gradient: Array, x: Array, shift: Array) -> Array:
    """The sums of the gradient, and of it times x - shift: twice (N, P, C) and (C,) -> (N, 2, C)."""
    return _sums("sums", gradient, x, shift)


def _sums(name, gradient, x, shift):
    result = jax.ShapeDtypeStruct((x.shape[0], 2, x.shape[-1]), x.dtype)
    return jax.ffi.ffi_call(f"jaxcnn_{name}", result, vmap_method="broadcast_all")(gradient, x, shift)


def _call(product, shape, spatial, one, other, placed, groups):
    """`spatial` is the first spatial axis of both arguments and of the result: images of a line get a row there."""
    if len(placed.window) == 1:
        row = Window((1,), (1,), (1,), ((0, 0),), (1,))
        placed = Window(*(first + rest for first, rest in zip(row, placed, strict=True)))
        one, other = jnp.expand_dims(one, spatial[0]), jnp.expand_dims(other, spatial[1])
        whole = (*shape[: spatial[2]], 1, *shape[spatial[2] :])
        return _call(product, whole, spatial, one, other, placed, groups).reshape(shape)
    numbers = {"stride": placed.stride, "before": [pair[0] for pair in placed.pairs], "dilation": placed.dilation}
    attributes = {name: np.asarray(values, np.int64) for name, values in numbers.items()}
    result = jax.ShapeDtypeStruct(shape, one.dtype)
    run = jax.ffi.ffi_call(f"jaxcnn_{product}", result, vmap_method="expand_dims")
    return run(one, other, **attributes, groups=np.int64(groups))
