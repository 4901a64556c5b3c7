"""What a network costs, computed from its spec: multiply-accumulates, parameters, memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxcnn import spec
from jaxcnn.layout import Parameter, Row, Shape, walk
from jaxcnn.readings.receptive import Field, fields
from jaxcnn.spec import Spec

FLOAT32 = 4  # bytes


def row_macs(row: Row) -> int:
    """The multiply-accumulates of one leaf for one example: products in convolutions and dense layers, no bias."""
    match row.leaf:
        case spec.Conv():
            return math.prod(row.layout.params["kernel"].shape) * math.prod(row.layout.output[:-1])
        case spec.ConvTranspose():
            return math.prod(row.layout.params["kernel"].shape) * math.prod(row.input[:-1])
        case spec.Dense():
            return math.prod(row.layout.params["kernel"].shape)
        case (
            spec.Act() | spec.AdaptivePool() | spec.BatchNorm() | spec.Bias() | spec.Channels() | spec.Dropout()
            | spec.Flatten() | spec.GlobalPool() | spec.Identity() | spec.LayerNorm() | spec.LocalResponseNorm()
            | spec.Pad() | spec.Pool() | spec.RadialBasis() | spec.Scale() | spec.Shuffle() | spec.StochasticDepth()
            | spec.Upsample()
        ):  # fmt: skip
            return 0
        case _:
            spec.unknown(row.leaf)


def macs(net: Spec, shape: Shape) -> int:
    """The multiply-accumulates of one forward pass over one example of `shape`, (H, W, C).

    They are the products in convolutions and dense layers, those with padding's zeros included, as papers count them.
    Additions of biases, normalizations, activations, pooling and the merging of branches do not count.
    """
    return sum(map(row_macs, walk(net, shape)))


class Layer(NamedTuple):
    """One row of a summary: a leaf, for one example.

    `parameters` are trained, `statistics` are not; `memory` is what its output takes in float32, in bytes, and 0 where
    a layer hands on its input. `fields` holds one `Field` per dimension of the image, none once no dimension is left.
    """

    path: str
    kind: str
    output: Shape
    parameters: int
    statistics: int
    macs: int
    memory: int
    fields: tuple[Field, ...]


def layers(net: Spec, shape: Shape) -> list[Layer]:
    """Every leaf of a network over examples of `shape`, (H, W, C), in order of execution."""
    followed = fields(net, shape)
    table = []
    for row, seen, merged in zip(walk(net, shape), followed.leaves, followed.merged, strict=True):
        output, params, stats = row.layout
        hands_on = isinstance(row.leaf, spec.Flatten) or (isinstance(row.leaf, spec.Identity) and not merged)
        memory = 0 if hands_on else FLOAT32 * math.prod(output)
        numbers = _count(params.values()), _count(stats.values()), row_macs(row), memory
        table.append(Layer(row.path, type(row.leaf).__name__, output, *numbers, seen if len(output) > 1 else ()))
    return table


def _count(parameters: Iterable[Parameter]) -> int:
    return sum(math.prod(parameter.shape) for parameter in parameters)


def totals(table: Sequence[Layer]) -> dict[str, int]:
    """The sums of a summary's columns; that of the memory is what training keeps of one example, if it keeps all."""
    return {
        name: sum(getattr(layer, name) for layer in table) for name in ("parameters", "statistics", "macs", "memory")
    }
