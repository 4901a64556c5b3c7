"""The words in which an architecture is written: frozen, hashable dataclasses without arrays.

A *spec* is either a leaf (one layer) or a `Graph` of named nodes. It is a value: comparable, hashable, printable,
a static argument of `jax.jit`. What it computes, which shapes and parameters it has and how many operations it
takes are readings of it, found in `layout`, `forward` and `analysis`.

Images are NHWC (any number of spatial dimensions: the input's rank says which); kernels are HWIO.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Size = int | tuple[int, ...]
Padding = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Conv:
    """Cross-correlation with a kernel of `width` output channels. `ops.conv` says what each field means.

    `width=None` keeps the number of input channels; `groups=None` gives each channel its own kernel (depthwise).
    """

    width: int | None
    kernel: Size = 3
    stride: Size = 1
    padding: Padding = "half"
    dilation: Size = 1
    groups: int | None = 1
    bias: bool = False
    padding_mode: str | float = "zeros"


@dataclass(frozen=True)
class ConvTranspose:
    """The transpose of a convolution, to `width` output channels. `ops.conv_transpose` says what each field means."""

    width: int
    kernel: Size = 2
    stride: Size = 2
    padding: Padding = "valid"
    output_padding: Size = 0
    dilation: Size = 1
    groups: int = 1
    bias: bool = True


@dataclass(frozen=True)
class Dense:
    """A matrix product over the last axis, to `width` features."""

    width: int
    bias: bool = True


@dataclass(frozen=True)
class BatchNorm:
    """Normalization by the batch's mean and variance per channel; by their running averages in evaluation.

    `momentum` is the weight of the *old* running value (PyTorch's `momentum` is one minus this). The running variance
    averages unbiased variances (PyTorch's rule) or biased ones (TensorFlow's). A `frozen` one normalizes by its running
    averages in training too, and keeps them.
    """

    momentum: float = 0.9
    eps: float = 1e-5
    scale: bool = True
    unbiased: bool = True
    frozen: bool = False


@dataclass(frozen=True)
class LayerNorm:
    """Normalization of every place over its channels, with a scale and a bias per channel."""

    eps: float = 1e-6


@dataclass(frozen=True)
class LocalResponseNorm:
    """Division by the activity of `size` neighboring channels: x / (k + alpha/size * their squares' sum)^beta."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class Act:
    """A pointwise non-linearity, by its name in `ops.ACTIVATIONS`."""

    name: str = "relu"


@dataclass(frozen=True)
class Pool:
    """The maximum, the average or the p-norm over windows; `stride=None` means the window."""

    kind: Literal["max", "avg", "lp"]
    window: Size
    stride: Size | None = None
    padding: Padding = 0
    dilation: Size = 1
    ceil_mode: bool = False
    count_include_pad: bool = True
    p: float = 2.0


@dataclass(frozen=True)
class AdaptivePool:
    """The average or the maximum over the bins of a grid of `sizes`; None keeps a dimension."""

    sizes: int | tuple[int | None, ...]
    kind: Literal["max", "avg"] = "avg"


@dataclass(frozen=True)
class GlobalPool:
    """The average or the maximum over all places: (N, H, W, C) -> (N, C), or (N, 1, 1, C) with `keepdims`."""

    kind: Literal["max", "avg"] = "avg"
    keepdims: bool = False


@dataclass(frozen=True)
class Dropout:
    """Zero a fraction `rate` of the elements (of whole channels, with `spatial`) in training."""

    rate: float
    spatial: bool = False


@dataclass(frozen=True)
class StochasticDepth:
    """Zero whole examples with probability `rate` in training: to end the body of a residual block."""

    rate: float


@dataclass(frozen=True)
class Shuffle:
    """The channels of `groups` groups, interleaved."""

    groups: int


@dataclass(frozen=True)
class Upsample:
    """Enlarge by whole factors, by repetition or by linear interpolation."""

    scale: Size
    method: Literal["nearest", "bilinear"] = "nearest"
    align_corners: bool = False


@dataclass(frozen=True)
class Pad:
    """`value` around the image: so many places on each side, or (before, after) per dimension; negative ones cut."""

    padding: int | tuple[int, ...] | tuple[tuple[int, int], ...]
    value: float = 0.0


@dataclass(frozen=True)
class Channels:
    """The channels from `start` to before `stop` (None: to the last)."""

    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Scale:
    """Multiplication by `value`: a constant, or with `trainable` the start of one factor per channel."""

    value: float
    trainable: bool = False


@dataclass(frozen=True)
class Bias:
    """A trainable offset per channel; with `per_place` one for every place of every channel."""

    per_place: bool = False


@dataclass(frozen=True)
class RadialBasis:
    """Minus the squared distances of a vector to `width` fixed centers, which are not trained (LeCun et al. 1998)."""

    width: int


@dataclass(frozen=True)
class Flatten:
    """(N, H, W, C) -> (N, H*W*C), channels fastest."""


@dataclass(frozen=True)
class Identity:
    """The input, unchanged."""


Leaf = (
    Conv
    | ConvTranspose
    | Dense
    | BatchNorm
    | LayerNorm
    | LocalResponseNorm
    | Act
    | Pool
    | AdaptivePool
    | GlobalPool
    | Dropout
    | StochasticDepth
    | Shuffle
    | Upsample
    | Pad
    | Channels
    | Scale
    | Bias
    | RadialBasis
    | Flatten
    | Identity
)


@dataclass(frozen=True)
class Node:
    """One named step of a `Graph`: merge the values called `inputs`, then apply `spec`.

    `"in"` is the graph's own input. A name that begins with `_` is anonymous: it leaves no trace in paths.
    """

    name: str
    spec: Spec
    inputs: tuple[str, ...] = ("in",)
    merge: Literal["sum", "mul", "concat"] = "sum"


@dataclass(frozen=True)
class Graph:
    """Nodes in order of execution; the last one is the output. Raises ValueError if a name or an input is wrong."""

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError("a graph needs at least one node")
        known = {"in"}
        for node in self.nodes:
            if not node.name or "." in node.name or node.name in known:
                raise ValueError(
                    f"node name {node.name!r} must be new, not empty and without dots; known: {sorted(known)}"
                )
            if not node.inputs:
                raise ValueError(f"node {node.name!r} needs at least one input, for example 'in'")
            if missing := [name for name in node.inputs if name not in known]:
                raise ValueError(f"node {node.name!r} reads {missing}, but only {sorted(known)} come before it")
            known.add(node.name)
        paths = list(_parametric_paths(self))
        if repeated := sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f"two layers with parameters share the path {repeated}: name one of the branches")


Spec = Leaf | Graph
_PARAMETRIC = (Conv, ConvTranspose, Dense, BatchNorm, LayerNorm, Scale, Bias, RadialBasis)


def _parametric_paths(spec: Spec, path: str = "") -> Iterator[str]:
    if isinstance(spec, Graph):
        for node in spec.nodes:
            yield from _parametric_paths(node.spec, join_path(path, node.name))
    elif isinstance(spec, _PARAMETRIC) and not (isinstance(spec, Scale) and not spec.trainable):
        yield path


def join_path(path: str, name: str) -> str:
    """The path of a node called `name` inside `path`: dotted, and anonymous names leave no trace."""
    if name.startswith("_"):
        return path
    return f"{path}.{name}" if path else name


def seq(*specs: Spec, **named: Spec) -> Graph:
    """One spec after the other; positional ones are called 0, 1, 2, ... and come first."""
    names = [*map(str, range(len(specs))), *named]
    steps = zip(names, (*specs, *named.values()), ["in", *names][: len(names)], strict=True)
    return Graph(tuple(Node(name, spec, (source,)) for name, spec, source in steps))


def _branches(merge, specs, named, then: Spec) -> Graph:
    branches = {f"_{index}": spec for index, spec in enumerate(specs)} | named
    return Graph((*(Node(name, spec) for name, spec in branches.items()), Node("_out", then, tuple(branches), merge)))


def add(*specs: Spec, then: Spec = Identity(), **named: Spec) -> Graph:
    """The sum of several branches of one input, followed by `then`. Positional branches are anonymous."""
    return _branches("sum", specs, named, then)


def mul(*specs: Spec, then: Spec = Identity(), **named: Spec) -> Graph:
    """The product of several branches of one input (broadcasting single places), followed by `then`."""
    return _branches("mul", specs, named, then)


def concat(*specs: Spec, then: Spec = Identity(), **named: Spec) -> Graph:
    """Several branches of one input, side by side along the channels, followed by `then`."""
    return _branches("concat", specs, named, then)
