"""What many readings ask of a layer, said once.

A reading that needs one of these answers asks here; what is its own it says in a `match` over all leaves that ends in
`unknown`, so that the type checker names every reading which a new leaf must still answer.
"""

from __future__ import annotations

from typing import Never

from jaxcnn.spec.leaves import (
    Act,
    AdaptivePool,
    BatchNorm,
    Bias,
    Channels,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Identity,
    LayerNorm,
    Leaf,
    LocalResponseNorm,
    Pad,
    Pool,
    RadialBasis,
    Scale,
    Shuffle,
    StochasticDepth,
    Upsample,
)

# Every place of the output is made of the same place of the input alone: the image keeps its size.
KeepsPlaces = (
    Act | BatchNorm | Bias | Channels | Dense | Dropout | Identity | LayerNorm | LocalResponseNorm | RadialBasis
    | Scale | Shuffle | StochasticDepth
)  # fmt: skip

# Every channel of the output is made of the same channel of the input (and of what treats all channels alike): if the
# channels come in another order, with the layer's arrays in that order, so do its outputs.
KeepsChannels = (
    Act | AdaptivePool | BatchNorm | Bias | Dropout | GlobalPool | Identity | LayerNorm | Pad | Pool | Scale
    | StochasticDepth | Upsample
)  # fmt: skip


def has_arrays(leaf: Leaf) -> bool:
    """Whether a layer has parameters or statistics."""
    match leaf:
        case Conv() | ConvTranspose() | Dense() | BatchNorm() | LayerNorm() | Bias() | RadialBasis():
            return True
        case Scale(trainable=trainable):
            return trainable
        case (
            Act() | AdaptivePool() | Channels() | Dropout() | Flatten() | GlobalPool() | Identity()
            | LocalResponseNorm() | Pad() | Pool() | Shuffle() | StochasticDepth() | Upsample()
        ):  # fmt: skip
            return False
        case _:
            unknown(leaf)


def has_state(leaf: Leaf) -> bool:
    """Whether a layer has statistics that training changes: it computes differently in evaluation."""
    match leaf:
        case BatchNorm(frozen=frozen):
            return not frozen
        case (
            Act() | AdaptivePool() | Bias() | Channels() | Conv() | ConvTranspose() | Dense() | Dropout() | Flatten()
            | GlobalPool() | Identity() | LayerNorm() | LocalResponseNorm() | Pad() | Pool() | RadialBasis() | Scale()
            | Shuffle() | StochasticDepth() | Upsample()
        ):  # fmt: skip
            return False
        case _:
            unknown(leaf)


def is_random(leaf: Leaf) -> bool:
    """Whether a layer draws random numbers in training."""
    match leaf:
        case Dropout(rate=rate) | StochasticDepth(rate=rate):
            return rate > 0
        case (
            Act() | AdaptivePool() | BatchNorm() | Bias() | Channels() | Conv() | ConvTranspose() | Dense() | Flatten()
            | GlobalPool() | Identity() | LayerNorm() | LocalResponseNorm() | Pad() | Pool() | RadialBasis() | Scale()
            | Shuffle() | Upsample()
        ):  # fmt: skip
            return False
        case _:
            unknown(leaf)


def unknown(leaf: Never) -> Never:
    """For the end of a `match` over all leaves. Raises TypeError."""
    raise TypeError(f"{leaf!r} is not a layer of jaxcnn.spec, or one that this function does not know")
