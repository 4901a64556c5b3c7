"""Convolutions, pools and sums over a batch by a C++ program, in float32 or float64 on a CPU.

It is compiled for this very processor when it is first needed (see `build`). Where that cannot be, `available()` is
false, and other ways are taken. Images have one or two dimensions.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import warnings
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.ops.native import build
from jaxcnn.ops.native.either import computed
from jaxcnn.ops.native.switch import switch, switched
from jaxcnn.ops.window import Window

__all__ = ["computed", "switch", "switched"]
DTYPES = ("float32", "float64")
HANDLERS = (
    *("forward", "input_gradient", "kernel_gradient"), *("moments", "sums", "norm"),
    *("maximum", "first_maximum", "to_maximum", "mean", "spread"),
    *("warp", "resized_crop"), *("recolor", "mean_color", "blur"), "random_bits",
)  # fmt: skip


def available() -> bool:
    """Whether there is such a program: on a CPU with a C++ compiler, unless $JAXCNN_NATIVE is 0.

    Raises:
      RuntimeError: there is none, and $JAXCNN_NATIVE is `require`; or the variable was changed (see `switch`).
    """
    why = reason()
    if why is not None and switch() == "require":
        raise RuntimeError(f"JAXCNN_NATIVE is `require`, but the C++ program cannot compute: {why}")
    return why is None


def reason() -> str | None:
    """Why the program does not compute here; None if it does."""
    if switch() == "0":
        return "JAXCNN_NATIVE is 0"
    if jax.default_backend() != "cpu":
        return f"it is for CPUs, and jax computes on a {jax.default_backend().upper()}"
    found = _program()
    return found if isinstance(found, str) else None


@functools.cache
def _program() -> ctypes.CDLL | str:
    """The program, once XLA knows its handlers; or why there is none, which is warned of here."""
    try:
        found = build.library()
    except build.Unusable as error:
        if switch() != "require":
            said = f"jaxcnn computes without its C++ program, about half as fast: {error}"
            warnings.warn(f"{said}. JAXCNN_NATIVE=0 says that this is meant", stacklevel=2)
        return str(error)
    for name in HANDLERS:
        handler = jax.ffi.pycapsule(getattr(found, f"jaxcnn_{name}"))
        jax.ffi.register_ffi_target(f"jaxcnn_{name}", handler, platform="cpu")
    return found


@contextlib.contextmanager
def cut_for(threads: int) -> Iterator[None]:
    """Cut the work as if XLA had so many threads, for tests: the bits are the same."""
    program = _program()
    assert isinstance(program, ctypes.CDLL)
    program.jaxcnn_cut_for(ctypes.c_int64(threads))
    try:
        yield
    finally:
        program.jaxcnn_cut_for(ctypes.c_int64(0))


def takes(x: Array) -> bool:
    """Whether the program computes with images x (N, *spatial, C) here."""
    return x.ndim < 5 and str(x.dtype) in DTYPES and available()


def forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return _call("forward", (x.shape[0], *placed.output, kernel.shape[-1]), (1, 0, 1), x, kernel, placed, groups)


def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    shape = (gradient.shape[0], *placed.sizes, kernel.shape[-2] * groups)
    return _call("input_gradient", shape, (1, 0, 1), gradient, kernel, placed, groups)


def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    shape = (*placed.window, x.shape[-1] // groups, gradient.shape[-1])
    return _call("kernel_gradient", shape, (1, 1, 0), x, gradient, placed, groups)


def maximum(x: Array, placed: Window) -> Array:
    """The maximum of every window."""
    shape = (x.shape[0], *placed.output, x.shape[-1])
    return _pool("maximum", [x], shape, placed)[0]


def first_maximum(x: Array, placed: Window) -> tuple[Array, Array]:
    """The maximum of every window, and the number of the window's place (uint8) where it stands first."""
    shape = (x.shape[0], *placed.output, x.shape[-1])
    y, where = _pool("first_maximum", [x], shape, placed, more=[jnp.uint8])
    return y, where


def to_maximum(gradient: Array, where: Array, placed: Window) -> Array:
    """The gradient of the images, from that of `first_maximum`."""
    return _pool("to_maximum", [gradient, where], _images(gradient, placed), placed)[0]


def mean(x: Array, placed: Window, counts: Sequence[Sequence[int]]) -> Array:
    """The sum of every window over the product of its `counts` in each dimension."""
    shape = (x.shape[0], *placed.output, x.shape[-1])
    return _pool("mean", [x], shape, placed, counts)[0]


def spread(gradient: Array, placed: Window, counts: Sequence[Sequence[int]]) -> Array:
    """The gradient of the images, from that of `mean`."""
    return _pool("spread", [gradient], _images(gradient, placed), placed, counts)[0]


def moments(x: Array, shift: Array) -> Array:
    """The sums of x - shift and of its square over the places of each example: (N, P, C) and (C,) -> (N, 2, C)."""
    return _sums("moments", x, x, shift)


def sums(gradient: Array, x: Array, shift: Array) -> Array:
    """The sums of the gradient, and of it times x - shift: twice (N, P, C) and (C,) -> (N, 2, C)."""
    return _sums("sums", gradient, x, shift)


def _sums(name, gradient, x, shift):
    result = jax.ShapeDtypeStruct((x.shape[0], 2, x.shape[-1]), x.dtype)
    return jax.ffi.ffi_call(f"jaxcnn_{name}", result, vmap_method="broadcast_all")(gradient, x, shift)


def norm(arrays: Sequence[Array]) -> Array:
    """The Euclidean norm of all arrays together, of one dtype."""
    return computed(_norm, _plain_norm, *arrays)


def _norm(*arrays):
    result = jax.ShapeDtypeStruct((), arrays[0].dtype)
    return jax.ffi.ffi_call("jaxcnn_norm", result, vmap_method="sequential")(*arrays)


def _plain_norm(*arrays):
    return jnp.sqrt(jnp.stack([jnp.sum(jnp.square(array)) for array in arrays]).sum())


def _images(windows, placed):
    return (windows.shape[0], *placed.sizes, windows.shape[-1])


def _pool(name, arrays, shape, placed, counts=None, more=()):
    if len(placed.window) == 1:
        arrays = [jnp.expand_dims(array, 1) for array in arrays]
        counts = counts and [(1,), *counts]
        results = _pool(name, arrays, (shape[0], 1, *shape[1:]), _in_a_row(placed), counts, more)
        return [result.reshape(shape) for result in results]
    numbers = (*placed.window, *placed.stride, *(before for before, _ in placed.pairs), *placed.dilation)
    attributes = {"slide": np.asarray(numbers, np.int64)}
    if counts:
        attributes["counts"] = np.concatenate([np.asarray(line, np.int64) for line in counts])
    results = [jax.ShapeDtypeStruct(shape, dtype) for dtype in (arrays[0].dtype, *more)]
    return jax.ffi.ffi_call(f"jaxcnn_{name}", results, vmap_method="broadcast_all")(*arrays, **attributes)


def _in_a_row(placed):
    """A window over a line as one over an image of one row."""
    row = Window((1,), (1,), (1,), ((0, 0),), (1,))
    return Window(*(first + rest for first, rest in zip(row, placed, strict=True)))


def _call(product, shape, spatial, one, other, placed, groups):
    """`spatial` is the first spatial axis of both arguments and of the result: images of a line get a row there."""
    if len(placed.window) == 1:
        one, other = jnp.expand_dims(one, spatial[0]), jnp.expand_dims(other, spatial[1])
        whole = (*shape[: spatial[2]], 1, *shape[spatial[2] :])
        return _call(product, whole, spatial, one, other, _in_a_row(placed), groups).reshape(shape)
    numbers = {"stride": placed.stride, "before": [pair[0] for pair in placed.pairs], "dilation": placed.dilation}
    attributes = {name: np.asarray(values, np.int64) for name, values in numbers.items()}
    result = jax.ShapeDtypeStruct(shape, one.dtype)
    run = jax.ffi.ffi_call(f"jaxcnn_{product}", result, vmap_method="expand_dims")
    return run(one, other, **attributes, groups=np.int64(groups))
