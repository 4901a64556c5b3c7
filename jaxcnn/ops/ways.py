"""Several ways to compute each product of a convolution, and the table of rules that chooses among them.

Every way of a product takes the same arguments and returns the same numbers, up to rounding: the ledger
(`jaxcnn verify`) runs each of them over all shapes it applies to. A rule says for which shapes a way is taken on a CPU;
the first that applies wins. GPU and TPU take the canonical convolution. (What is traced where the default backend is a
CPU keeps the CPU's choice: set JAXCNN_NATIVE=0 to export it to another platform.)

The first way is a C++ program (`native`), for images of one or two dimensions in float32 or float64. The others serve
where it does not: without a compiler, in bfloat16, in three dimensions. They are built of canonical NHWC/HWIO
convolutions, matrix products and fused loops, because XLA:CPU runs a convolution of any other layout inside `scan` in a
naive loop (jax#12868).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.ops import canonical, depthwise, native
from jaxcnn.ops import groups as grouped
from jaxcnn.ops.checks import wide
from jaxcnn.ops.overlap import overlaps, places, widen
from jaxcnn.ops.window import Window


class Shape(NamedTuple):
    """What a rule may look at."""

    placed: Window
    fan_in: int  # input channels of a group
    fan_out: int  # output channels of a group
    groups: int
    dtype: str


class Way(NamedTuple):
    """One way to compute a product, and for which shapes it can and should be taken on a CPU."""

    name: str
    compute: Callable[[Array, Array, Window, int], Array]
    applies: Callable[[Shape], bool]


def _wide_sums(compute: Callable[[Array, Array, Window, int], Array]) -> Callable[[Array, Array, Window, int], Array]:
    """A way that adds in the dtype of its arguments, told to add in float32 at least, as XLA's convolutions do."""

    def run(one: Array, other: Array, placed: Window, groups: int) -> Array:
        dtype = wide(one.dtype)
        return compute(one.astype(dtype), other.astype(dtype), placed, groups).astype(one.dtype)

    return run


# a program in C++: see `native`


def _is_native(shape: Shape) -> bool:
    """Dense ones take half the time (3x3 of 64 channels at 32x32: 24 ms, not 50), depthwise kernel gradients a fifth.

    Not depthwise ones that make several channels of one: few outputs of a group fill few lanes of a vector.
    """
    multiplied = _is_depthwise(shape) and shape.fan_out > 1
    return len(shape.placed.window) <= 2 and shape.dtype in native.DTYPES and not multiplied and native.available()


# a kernel of one place: matrix products over all places


def _is_point(shape: Shape) -> bool:
    return math.prod(shape.placed.window) == 1 and shape.groups == 1 and not any(map(any, shape.placed.pairs))


def _seen(x: Array, placed: Window) -> Array:
    if math.prod(placed.stride) == 1:
        return x
    return lax.slice(x, [0] * x.ndim, x.shape, (1, *placed.stride, 1))


def point_forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return _seen(x, placed) @ kernel.reshape(kernel.shape[-2:])


def point_input(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    dx = gradient @ kernel.reshape(kernel.shape[-2:]).T
    if math.prod(placed.stride) == 1:
        return dx
    steps = zip(placed.sizes, placed.stride, placed.output, strict=True)
    between = ((0, n - 1 - (out - 1) * s, s - 1) for n, s, out in steps)
    return lax.pad(dx, jnp.zeros((), dx.dtype), ((0, 0, 0), *between, (0, 0, 0)))


def point_kernel(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    dh = _seen(x, placed).reshape(-1, x.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])
    return dh.reshape(*placed.window, *dh.shape)


# one group per channel: see `depthwise`


def _is_depthwise(shape: Shape) -> bool:
    return shape.groups > 1 and shape.fan_in == 1


# the kernel gradient a few examples at a time


def _is_large(shape: Shape) -> bool:
    """Smaller ones lose (LeNet-5's second: 2.4 ms, not 1.5); 3x3 kernels from 64 channels up win 1.2 to 2.2 times."""
    return shape.groups == 1 and math.prod(shape.placed.window) * shape.fan_in * shape.fan_out >= 4096


def _in_parts(product: Callable[..., Array], x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """The sum over eight parts of the batch: what the product reads again and again then stays in the cache."""
    parts = 8
    if len(x) < 32 or len(x) % parts:
        return product(x, gradient, placed, groups)

    def add(total, part):
        return total + product(part[0], part[1], placed, groups), None

    cut = [array.reshape(parts, -1, *array.shape[1:]) for array in (x, gradient)]
    zero = jnp.zeros((*placed.window, x.shape[-1] // groups, gradient.shape[-1]), x.dtype)
    return lax.scan(add, zero, cut)[0]


examples_kernel = partial(_in_parts, canonical.kernel_gradient)
depthwise_kernel = partial(_in_parts, depthwise.kernel_gradient)  # at 56x56 another 1.8 to 2.9 times faster for it


# a few groups side by side: see `groups`


def _in_blocks(shape: Shape) -> bool:
    return shape.groups > 1


def blocks_forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return grouped.by_block(forward, x, kernel, placed, groups)


def blocks_input(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return grouped.by_block(input_gradient, gradient, kernel, placed, groups)


def blocks_kernel(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    return grouped.kernel_gradient(kernel_gradient, x, gradient, placed, groups)


# few channels: the same convolution with channels of zeros, which XLA:CPU computes several times faster


def _is_narrow(shape: Shape) -> bool:
    """Few inputs make few outputs: as with 32 outputs (LeNet-5's convolutions: 1.2 ms instead of 9.6, 0.2 of 2.1)."""
    few = shape.fan_in == 1 or (shape.fan_in <= 8 and math.prod(shape.placed.window) >= 25)
    return shape.groups == 1 and shape.fan_out < 32 and few


def _is_color(shape: Shape) -> bool:
    """Three channels to 32: as with four (1.8 ms instead of 5.4 at 32x32, 9.0 of 18.6 at 112x112; but not to 64)."""
    return shape.groups == 1 and (shape.fan_in, shape.fan_out) == (3, 32)


def _with_zeros(array: Array, axis: int, channels: int) -> Array:
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, channels - array.shape[axis])
    return jnp.pad(array, widths)


def narrow_forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return canonical.forward(x, _with_zeros(kernel, -1, 32), placed, 1)[..., : kernel.shape[-1]]


def color_forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return canonical.forward(_with_zeros(x, -1, 4), _with_zeros(kernel, -2, 4), placed, 1)


# few input channels: what every window sends back, added up where it belongs


def _few_inputs(shape: Shape) -> bool:
    places_seen = math.prod(shape.placed.window)
    once = all(step == 1 for step in shape.placed.stride)
    return shape.groups == 1 and shape.fan_in <= 6 and once and 1 < places_seen * shape.fan_in <= 160


def columns_input(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """One matrix product makes all K*I values that a window sends back; they are added up, one dimension at a time."""
    *window, fan_in, width = kernel.shape
    sent = gradient @ kernel.reshape(-1, width).T
    sent = sent.reshape(*gradient.shape[:-1], *window, fan_in)
    zero = jnp.zeros((), sent.dtype)
    dimensions = list(zip(*placed, placed.output, strict=True))
    for axis, (n, k, _, (before, _), d, out) in reversed(list(enumerate(dimensions, 1))):
        shares = []
        for u in range(k):
            widths = [(0, 0, 0)] * (sent.ndim - 1)
            widths[axis] = (u * d - before, n - (u * d - before) - out, 0)
            shares.append(lax.pad(sent[..., u, :], zero, widths))
        sent = sum(shares[1:], start=shares[0])
    return sent


# a stride: the phases of the input gradient are convolutions of their own


def _is_strided(shape: Shape) -> bool:
    steps = zip(shape.placed.window, shape.placed.stride, strict=True)
    return shape.groups == 1 and all(k >= 2 * s > 2 for k, s in steps)


def phases_input(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """One convolution of the gradient makes all phases as channels (Shi et al. 2016), then put side by side."""
    *window, fan_in, width = kernel.shape
    shifts, tables = zip(*overlaps(placed), strict=True)
    reach = [max(q) for q in zip(*shifts, strict=True)]
    numbers = np.full((*(q + 1 for q in reach), *placed.stride), -1)
    for shift, table in zip(shifts, tables, strict=True):
        numbers[tuple(r - q for r, q in zip(reach, shift, strict=True))] = table
    rows = jnp.concatenate([kernel.reshape(-1, fan_in, width), jnp.zeros((1, fan_in, width), kernel.dtype)])
    by_phase = rows[numbers]  # (*shifts, *stride, I, O)
    phases = math.prod(placed.stride)
    by_phase = by_phase.reshape(*(q + 1 for q in reach), phases * fan_in, width).swapaxes(-1, -2)
    widened = widen(gradient, placed, 0)
    once = (1,) * len(window)
    received = canonical.lax_conv(widened, by_phase, once, ((0, 0),) * len(window), once, 1)
    # (N, B, B, S, S, I) -> (N, B, S, B, S, I)
    examples, *count, _ = received.shape
    received = received.reshape(examples, *count, *placed.stride, fan_in)
    order = itertools.chain(*((1 + axis, 1 + axis + len(count)) for axis in range(len(count))))
    return places(received.transpose(0, *order, 2 * len(count) + 1), placed)


def _shape(channels: int, width: int, placed: Window, groups: int, dtype) -> Shape:
    return Shape(placed, channels // groups, width // groups, groups, str(dtype))


FORWARD = [
    Way("C++", native.forward, _is_native),
    Way("matrix product", point_forward, _is_point),
    Way("shifted multiply-adds", _wide_sums(depthwise.forward), _is_depthwise),
    Way("blocks of groups", blocks_forward, _in_blocks),
    Way("32 outputs", narrow_forward, _is_narrow),
    Way("a fourth channel", color_forward, _is_color),
]
INPUT_GRADIENT = [
    Way("C++", native.input_gradient, _is_native),
    Way("matrix product", point_input, _is_point),
    Way("shifted multiply-adds", _wide_sums(depthwise.input_gradient), _is_depthwise),
    Way("blocks of groups", blocks_input, _in_blocks),
    Way("columns", _wide_sums(columns_input), _few_inputs),
    Way("phases", phases_input, _is_strided),
]
KERNEL_GRADIENT = [
    Way("C++", native.kernel_gradient, _is_native),
    Way("matrix product", point_kernel, _is_point),
    Way("joint reduction", _wide_sums(depthwise_kernel), _is_depthwise),
    Way("blocks of groups", blocks_kernel, _in_blocks),
    Way("parts of the batch", _wide_sums(examples_kernel), _is_large),
]


def _choose(rules, default, one, other, placed, groups, shape):
    way = next((way for way in rules if way.applies(shape)), None)
    if way is None:
        return default(one, other, placed, groups)
    if jax.default_backend() == "cpu":  # nothing else to lower for: one branch less to trace and to compile
        return way.compute(one, other, placed, groups)
    run, elsewhere = (partial(compute, placed=placed, groups=groups) for compute in (way.compute, default))
    return lax.platform_dependent(one, other, cpu=run, default=elsewhere)


def forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """(N, *sizes, C) and (*window, C/groups, O) -> (N, *output, O)."""
    shape = _shape(x.shape[-1], kernel.shape[-1], placed, groups, x.dtype)
    return _choose(FORWARD, canonical.forward, x, kernel, placed, groups, shape)


def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """(N, *output, O) and (*window, C/groups, O) -> (N, *sizes, C)."""
    shape = _shape(kernel.shape[-2] * groups, kernel.shape[-1], placed, groups, gradient.dtype)
    return _choose(INPUT_GRADIENT, canonical.input_gradient, gradient, kernel, placed, groups, shape)


def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """(N, *sizes, C) and (N, *output, O) -> (*window, C/groups, O)."""
    shape = _shape(x.shape[-1], gradient.shape[-1], placed, groups, x.dtype)
    return _choose(KERNEL_GRADIENT, canonical.kernel_gradient, x, gradient, placed, groups, shape)
