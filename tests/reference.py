"""The definitions in loops: float64 NumPy, written from the formulas, sharing no code with jaxcnn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def agree(actual: ArrayLike, expected: ArrayLike, tolerance: float = 1e-11) -> None:
    """Both arrays are equal up to rounding in float64.

    The sums in these tests have at most some hundred terms near 1, so rounding stays below 1e-13 of them; a
    gradient of a gradient loses one or two digits more.
    """
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=tolerance, atol=tolerance)


def agree_all(actual: Iterable[ArrayLike], expected: Iterable[ArrayLike]) -> None:
    for one, other in zip(actual, expected, strict=True):
        agree(one, other)


def random(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def central_difference(f: Callable[[Array], Any], at: Array, step: float) -> Array:
    """The gradient of a scalar function, one entry after the other."""
    slope = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        shift = np.zeros_like(at)
        shift[place] = step
        slope[place] = (float(f(at + shift)) - float(f(at - shift))) / (2 * step)
    return slope


def _sizes(sizes: Ints, window: Ints, stride: Ints, pairs: Pairs, dilation: Ints) -> Ints:
    """floor((W - K + 2P)/S) + 1, with the dilated window D(K-1)+1."""
    geometry = zip(sizes, window, stride, pairs, dilation, strict=True)
    return tuple((n + sum(pair) - (d * (k - 1) + 1)) // s + 1 for n, k, s, pair, d in geometry)


def _meetings(sizes, window, stride, pairs, dilation) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Output place p, window place u and the input place a = pS + uD - P where they meet, if it is inside."""
    for p in np.ndindex(*_sizes(sizes, window, stride, pairs, dilation)):
        for u in np.ndindex(*window):
            steps = zip(p, stride, u, dilation, pairs, strict=True)
            a = tuple(q * s + v * d - before for q, s, v, d, (before, _) in steps)
            if all(0 <= b < n for b, n in zip(a, sizes, strict=True)):
                yield p, u, a


class Convolution(NamedTuple):
    """One setting of a convolution; `pairs` is what `padding` means, worked out by hand."""

    name: str
    sizes: Ints
    window: Ints
    stride: Ints
    padding: Any
    pairs: Pairs
    dilation: Ints = (1, 1)
    groups: int = 1
    channels: int = 2
    width: int = 3

    @property
    def options(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    @property
    def output(self) -> Ints:
        return _sizes(self.sizes, self.window, self.stride, self.pairs, self.dilation)

    def inputs(self) -> tuple[Array, Array, Array]:
        """Two random images, a kernel, and a gradient of the loss with respect to the output."""
        return (
            random(1, 2, *self.sizes, self.channels),
            random(2, *self.window, self.channels // self.groups, self.width),
            random(3, 2, *self.output, self.width),
        )

    def _products(self):
        """(p, u, a, input channels, output channels) of every product of x with the kernel."""
        fan_in, width = self.channels // self.groups, self.width // self.groups
        for p, u, a in _meetings(self.sizes, self.window, self.stride, self.pairs, self.dilation):
            for group in range(self.groups):
                i, o = (slice(group * n, (group + 1) * n) for n in (fan_in, width))
                yield p, u, a, i, o

    def correlate(self, x: Array, kernel: Array) -> Array:
        """y[n, p, o] = sum over u, i of x[n, pS + uD - P, i] h[u, i, o]."""
        y = np.zeros((len(x), *self.output, self.width))
        for p, u, a, i, o in self._products():
            y[:, *p, o] += x[:, *a, i] @ kernel[*u, :, o]
        return y

    def input_gradient(self, kernel: Array, gradient: Array) -> Array:
        """Each product x[a] h[u] of the forward sum hands h[u] g[p] back to x[a]."""
        dx = np.zeros((len(gradient), *self.sizes, self.channels))
        for p, u, a, i, o in self._products():
            dx[:, *a, i] += gradient[:, *p, o] @ kernel[*u, :, o].T
        return dx

    def kernel_gradient(self, x: Array, gradient: Array) -> Array:
        """Each product x[a] h[u] of the forward sum hands x[a] g[p] back to h[u]."""
        dh = np.zeros((*self.window, self.channels // self.groups, self.width))
        for p, u, a, i, o in self._products():
            dh[*u, :, o] += x[:, *a, i].T @ gradient[:, *p, o]
        return dh


CONVOLUTIONS = [
    Convolution("1-D valid", (7,), (3,), (1,), "valid", ((0, 0),), (1,)),
    Convolution("1-D causal, dilated", (8,), (2,), (1,), "causal", ((3, 0),), (3,)),
    Convolution("1-D strided", (9,), (4,), (3,), 2, ((2, 2),), (1,)),
    Convolution("valid", (5, 4), (3, 2), (1, 1), "valid", ((0, 0), (0, 0))),
    Convolution("half", (5, 6), (3, 3), (1, 1), "half", ((1, 1), (1, 1))),
    Convolution("half, stride 2", (6, 7), (3, 3), (2, 2), "half", ((1, 1), (1, 1))),
    Convolution("full", (4, 5), (3, 2), (1, 1), "full", ((2, 2), (1, 1))),
    Convolution("same, stride 2", (5, 6), (3, 3), (2, 2), "same", ((1, 1), (0, 1))),
    Convolution("same, even window", (5, 5), (2, 4), (1, 1), "same", ((0, 1), (1, 2))),
    Convolution("same, stride over window", (7, 9), (1, 2), (3, 4), "same", ((0, 0), (0, 1))),
    Convolution("causal", (5, 4), (3, 2), (1, 1), "causal", ((2, 0), (1, 0))),
    Convolution("an integer per dimension", (5, 6), (3, 3), (1, 1), (0, 2), ((0, 0), (2, 2))),
    Convolution("asymmetric pairs", (5, 6), (3, 2), (2, 1), ((0, 2), (1, 0)), ((0, 2), (1, 0))),
    Convolution("padding wider than the window", (4, 4), (2, 2), (1, 1), 3, ((3, 3), (3, 3))),
    Convolution("1x1, stride 2", (5, 6), (1, 1), (2, 2), 0, ((0, 0), (0, 0))),
    Convolution("1x1, padded", (4, 3), (1, 1), (1, 1), 1, ((1, 1), (1, 1))),
    Convolution("1x1, two groups, strided", (5, 4), (1, 1), (2, 1), 0, ((0, 0), (0, 0)), (1, 1), 2, 4, 6),
    Convolution("stride leaves pixels unread", (8, 7), (2, 2), (3, 4), 0, ((0, 0), (0, 0))),
    Convolution("dilated", (7, 7), (3, 3), (1, 1), 0, ((0, 0), (0, 0)), (2, 2)),
    Convolution("dilated, strided, padded", (9, 8), (3, 2), (2, 3), (2, 1), ((2, 2), (1, 1)), (2, 3)),
    Convolution("two groups", (5, 5), (3, 3), (1, 1), 1, ((1, 1), (1, 1)), (1, 1), 2, 4, 6),
    Convolution("depthwise, stride 2", (6, 5), (3, 3), (2, 2), 1, ((1, 1), (1, 1)), (1, 1), 3, 3, 3),
    Convolution("depthwise, two kernels each", (5, 5), (2, 3), (1, 1), 0, ((0, 0), (0, 0)), (1, 1), 3, 3, 6),
    Convolution("groups, dilated, strided", (8, 7), (2, 3), (2, 2), 2, ((2, 2), (2, 2)), (3, 2), 2, 4, 2),
    Convolution("3-D valid", (4, 3, 5), (2, 3, 2), (1, 1, 1), "valid", ((0, 0),) * 3, (1, 1, 1)),
    Convolution("3-D half", (4, 3, 5), (2, 3, 1), (1, 1, 1), "half", ((0, 0), (1, 1), (0, 0)), (1, 1, 1)),
    Convolution("3-D groups", (5, 4, 4), (3, 2, 2), (2, 1, 2), 1, ((1, 1),) * 3, (1, 1, 1), 2, 2, 4),
]


def setting(name: str) -> Convolution:
    (found,) = (case for case in CONVOLUTIONS if case.name == name)
    return found


def max_pool(x: Array, gradient: Array, window: Ints, stride: Ints, pairs: Pairs) -> tuple[Array, Array]:
    """The maximum of every window, and the gradient sent to its first place row by row. NaN is greatest."""
    sizes, once = x.shape[1:-1], (1,) * len(window)
    y = np.full((len(x), *_sizes(sizes, window, stride, pairs, once), x.shape[-1]), -np.inf)
    first = np.full(y.shape, None)
    for p, _, a in _meetings(sizes, window, stride, pairs, once):
        for n, c in np.ndindex(len(x), x.shape[-1]):
            value, best = x[n, *a, c], y[n, *p, c]
            if value > best or (np.isnan(value) and not np.isnan(best)):
                y[n, *p, c], first[n, *p, c] = value, a
    dx = np.zeros_like(x)
    for n, *p, c in np.ndindex(*y.shape):
        dx[n, *first[n, *p, c], c] += gradient[n, *p, c]
    return y, dx


def avg_pool(
    x: Array, gradient: Array, window: Ints, stride: Ints, pairs: Pairs, count_include_pad: bool
) -> tuple[Array, Array]:
    """The mean of every window, and the gradient shared out in equal parts."""
    sizes, once = x.shape[1:-1], (1,) * len(window)
    meetings = list(_meetings(sizes, window, stride, pairs, once))
    y = np.zeros((len(x), *_sizes(sizes, window, stride, pairs, once), x.shape[-1]))
    divisor = np.zeros(y.shape[1:-1])
    for p, _, a in meetings:
        y[:, *p] += x[:, *a]
        divisor[p] += 1
    if count_include_pad:
        divisor[...] = np.prod(window)
    dx = np.zeros_like(x)
    for p, _, a in meetings:
        dx[:, *a] += gradient[:, *p] / divisor[p]
    return y / divisor[None, ..., None], dx


def batch_norm(x: Array, scale: Array, bias: Array, eps: float, keep: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Algorithm 1 of Ioffe and Szegedy, channel by channel; the examples in `keep` make the statistics."""
    y, means, variances = np.zeros_like(x), np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    for c in range(x.shape[-1]):
        values = x[keep][..., c].ravel()
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        y[..., c] = (x[..., c] - mean) / (squares / len(values) + eps) ** 0.5 * scale[c] + bias[c]
        means[c], variances[c] = mean, squares / (len(values) - 1)
    return y, means, variances
