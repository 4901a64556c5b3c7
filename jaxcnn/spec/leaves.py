"""The layers: frozen, hashable descriptions without arrays.

Images are NHWC (any number of spatial dimensions: the input's rank says which); kernels are HWIO.
"""

from __future__ import annotations

from typing import Literal

from jaxcnn.spec.word import word

Size = int | tuple[int, ...]
Padding = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]


@word
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


@word
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


@word
class Dense:
    """A matrix product over the last axis, to `width` features."""

    width: int
    bias: bool = True


@word
class BatchNorm:
    """Normalization by the batch's mean and variance per channel; by their running averages in evaluation.

    `momentum` is the weight of the *old* running value (PyTorch's `momentum` is one minus this). The running variance
    averages unbiased variances (PyTorch's rule) or biased ones (TensorFlow's). A `frozen` one normalizes by its running
    averages in training too, and keeps them. A batch of no examples leaves the running averages as they are. `parts`
    cuts the batch of training into so many, one behind the other, each of which is normalized by itself.
    """

    momentum: float = 0.9
    eps: float = 1e-5
    scale: bool = True
    unbiased: bool = True
    frozen: bool = False
    parts: int = 1


@word
class LayerNorm:
    """Normalization of every place over its channels, with a scale and a bias per channel."""

    eps: float = 1e-6


@word
class LocalResponseNorm:
    """Division by the activity of `size` neighboring channels: x / (k + alpha/size * their squares' sum)^beta."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@word
class Act:
    """A pointwise non-linearity, by its name in `ops.ACTIVATIONS`.

    A rectifier may send back something else than its gradient, to explain a network; it cannot be trained then.
    """

    name: str = "relu"
    backward: Literal["gradient", "guided", "deconvnet"] = "gradient"


@word
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


@word
class AdaptivePool:
    """The average or the maximum over the bins of a grid of `sizes`; None keeps a dimension."""

    sizes: int | tuple[int | None, ...]
    kind: Literal["max", "avg"] = "avg"


@word
class GlobalPool:
    """The average or the maximum over all places: (N, H, W, C) -> (N, C), or (N, 1, 1, C) with `keepdims`."""

    kind: Literal["max", "avg"] = "avg"
    keepdims: bool = False


@word
class Dropout:
    """Zero a fraction `rate` of the elements (of whole channels, with `spatial`) in training."""

    rate: float
    spatial: bool = False


@word
class StochasticDepth:
    """Zero whole examples with probability `rate` in training: to end the body of a residual block."""

    rate: float


@word
class Shuffle:
    """The channels of `groups` groups, interleaved."""

    groups: int


@word
class Upsample:
    """Enlarge by whole factors, by repetition or by linear interpolation."""

    scale: Size
    method: Literal["nearest", "bilinear"] = "nearest"
    align_corners: bool = False


@word
class Pad:
    """`value` around the image: so many places on each side, or (before, after) per dimension; negative ones cut."""

    padding: int | tuple[int, ...] | tuple[tuple[int, int], ...]
    value: float = 0.0


@word
class Channels:
    """The channels from `start` to before `stop` (None: to the last)."""

    start: int = 0
    stop: int | None = None


@word
class Scale:
    """Multiplication by `value`: a constant, or with `trainable` the start of one factor per channel."""

    value: float
    trainable: bool = False


@word
class Bias:
    """A trainable offset per channel; with `per_place` one for every place of every channel."""

    per_place: bool = False


@word
class RadialBasis:
    """Minus the squared distances of a vector to `width` fixed centers, which are not trained (LeCun et al. 1998)."""

    width: int


@word
class Flatten:
    """`(N, H, W, C) -> (N, H*W*C)`, channels fastest."""


@word
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
