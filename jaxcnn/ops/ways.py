"""Several ways to compute each product of a convolution, and the table of rules that chooses among them.

Every way of a product takes the same arguments and returns the same numbers, up to rounding: the ledger
(`jaxcnn verify`) runs each of them over all shapes it applies to. A rule says for which shapes a way is taken on a CPU;
the first that applies wins. GPU and TPU take the canonical convolution. (What is traced in float32 where the default
backend is a CPU and there is no C++ program keeps the CPU's choice wherever it runs.)

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
from jaxcnn.ops.manual import alike
from jaxcnn.ops.overlap import places
from jaxcnn.ops.window import Dimension, Window, pad_constant


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
    between = ((0, n.size - 1 - (n.output - 1) * n.stride, n.stride - 1) for n in placed.dimensions)
    return lax.pad(dx, jnp.zeros((), dx.dtype), ((0, 0, 0), *between, (0, 0, 0)))


def point_kernel(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    dh = _seen(x, placed).reshape(-1, x.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])
    return dh.reshape(*placed.window, *dh.shape)


# one group per channel, or a few: see `depthwise`


def _is_depthwise(shape: Shape) -> bool:
    return shape.groups > 1 and shape.fan_in == 1


def _few_in(shape: Shape) -> bool:
    """32 groups of 4 channels take 5 ms so, 8 in blocks of 32 channels, 22 one by one (3x3 at 16x16, batch 32)."""
    return _is_depthwise(shape) or (shape.groups > 1 and shape.fan_in <= 4 and shape.fan_out <= 8)


def _few_out(shape: Shape) -> bool:
    return _is_depthwise(shape) or (shape.groups > 1 and shape.fan_out <= 4 and shape.fan_in <= 8)


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
    return lax.scan(add, alike(zero, x, gradient)[0], cut)[0]


examples_kernel = partial(_in_parts, canonical.kernel_gradient)
depthwise_kernel = partial(_in_parts, depthwise.kernel_gradient)  # at 56x56 another 1.8 to 2.9 times faster for it


# groups one by one, or a few side by side: see `groups`


def _in_groups(shape: Shape) -> bool:
    return shape.groups > 1


def groups_forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return grouped.one_by_one(forward, x, kernel, placed, groups)


def groups_input(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return grouped.one_by_one(input_gradient, gradient, kernel, placed, groups)


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
    for axis, line in reversed(list(enumerate(placed.dimensions, 1))):
        shares = []
        for u in range(line.window):
            first = u * line.dilation - line.before
            around = [(0, 0)] * (sent.ndim - 3)
            around[axis - 1] = (first, line.size - first - line.output)
            shares.append(pad_constant(sent[..., u, :], tuple(around), 0))
        sent = sum(shares[1:], start=shares[0])
    return sent


# a stride: the phases of the input gradient are convolutions of their own


def _is_strided(shape: Shape) -> bool:
    """Not for few channels; and not where stride and dilation share a factor: some phases would be seen by none."""
    lines = shape.placed.dimensions
    strided = all(n.window >= 2 * n.stride > 2 and math.gcd(n.stride, n.dilation) == 1 for n in lines)
    return shape.groups == 1 and shape.fan_in >= 8 and strided


class Phases(NamedTuple):
    """Phases of a line that the same windows see, `shifts` before them (see `overlap`)."""

    shifts: tuple[int, ...]
    phases: list[int]
    through: list[list[int]]  # the window's places, for each phase one for every shift


def _phases(line: Dimension) -> list[Phases]:
    alike: dict[tuple[int, ...], Phases] = {}
    for phase in range(line.stride):
        through = [u for u in range(line.window) if u * line.dilation % line.stride == phase]
        shifts = tuple(u * line.dilation // line.stride for u in through)
        same = alike.setdefault(shifts, Phases(shifts, [], []))
        same.phases.append(phase)
        same.through.append(through)
    return list(alike.values())


def phases_input(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """Convolutions of the gradient make all phases, as channels (Shi et al. 2016), which are then put side by side.

    One convolution for phases that the same windows see: none is multiplied by zeros.
    """
    rank = len(placed.window)
    lines = [_phases(line) for line in placed.dimensions]

    def received(chosen: tuple[Phases, ...]) -> Array:
        """(N, *blocks, *phases, I)."""
        rows, around = kernel, []
        for axis, (own, line) in enumerate(zip(chosen, placed.dimensions, strict=True)):
            rows = jnp.take(rows, np.array(own.through)[:, ::-1], axis=2 * axis)  # the last shift comes first
            blocks = -(-(line.before + line.size) // line.stride)
            around.append((own.shifts[-1], blocks - line.output - own.shifts[0]))
        # (P, shifts, P, shifts, I, O) -> (shifts, shifts, O, P, P, I)
        order = [*range(1, 2 * rank, 2), 2 * rank + 1, *range(0, 2 * rank, 2), 2 * rank]
        rows = rows.transpose(order).reshape(*(len(own.shifts) for own in chosen), kernel.shape[-1], -1)
        y = canonical.lax_conv(gradient, rows, (1,) * rank, tuple(around), placed.dilation, 1)
        return y.reshape(*y.shape[:-1], *(len(own.phases) for own in chosen), kernel.shape[-2])

    def joined(*chosen: Phases) -> Array:
        if len(chosen) == rank:
            return received(chosen)
        return jnp.concatenate([joined(*chosen, one) for one in lines[len(chosen)]], axis=1 + rank + len(chosen))

    y = joined()
    for axis, line in enumerate(lines, 1 + rank):
        found = [phase for own in line for phase in own.phases]
        y = y if found == sorted(found) else jnp.take(y, np.argsort(found), axis)
    order = itertools.chain(*((1 + axis, 1 + rank + axis) for axis in range(rank)))
    return places(y.transpose(0, *order, 2 * rank + 1), placed)  # (N, B, S, B, S, I)


def _shape(channels: int, width: int, placed: Window, groups: int, dtype) -> Shape:
    return Shape(placed, channels // groups, width // groups, groups, str(dtype))


FORWARD = [
    Way("C++", native.forward, _is_native),
    Way("matrix product", point_forward, _is_point),
    Way("shifted multiply-adds", _wide_sums(depthwise.forward), _few_in),
    Way("groups one by one", groups_forward, _in_groups),
    Way("32 outputs", narrow_forward, _is_narrow),
    Way("a fourth channel", color_forward, _is_color),
]
INPUT_GRADIENT = [
    Way("C++", native.input_gradient, _is_native),
    Way("matrix product", point_input, _is_point),
    Way("shifted multiply-adds", _wide_sums(depthwise.input_gradient), _few_out),
    Way("groups one by one", groups_input, _in_groups),
    Way("columns", _wide_sums(columns_input), _few_inputs),
    Way("phases", phases_input, _is_strided),
]
KERNEL_GRADIENT = [
    Way("C++", native.kernel_gradient, _is_native),
    Way("matrix product", point_kernel, _is_point),
    Way("joint reduction", _wide_sums(depthwise_kernel), _is_depthwise),
    Way("blocks of groups", blocks_kernel, _in_groups),
    Way("parts of the batch", _wide_sums(examples_kernel), _is_large),
]


def _choose(rules, default, one, other, placed, groups, shape):
    way = next((way for way in rules if way.applies(shape)), None)
    if way is None or way.name != "C++":
        # nobody computes in bfloat16 on a CPU for its speed: what is traced so there may be for elsewhere
        only_here = jax.default_backend() == "cpu" and shape.dtype in native.DTYPES
        return _run(way, default, one, other, placed, groups, only_here)
    given = {"placed": placed, "groups": groups}
    elsewhere = partial(_otherwise, rules=tuple(rules), default=default, shape=shape, **given)
    return native.computed(partial(way.compute, **given), elsewhere, one, other)


def _otherwise(one, other, rules, default, placed, groups, shape):
    """By the first way but the C++ program: for another platform, and for `jax.export`."""
    way = next((way for way in rules if way.name != "C++" and way.applies(shape)), None)
    return _run(way, default, one, other, placed, groups, only_here=False)


def _run(way, default, one, other, placed, groups, only_here):
    if way is None:
        return default(one, other, placed, groups)
    if only_here:  # nothing else to lower for: one branch less to trace and to compile
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
