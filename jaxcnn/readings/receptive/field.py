"""The textbook's receptive field: size, jump and start, the same for all units of a layer."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxcnn import ops, spec
from jaxcnn.layout import Shape, leaf_layout, pad_pairs, pool_window
from jaxcnn.readings.receptive.follow import Followed, follow
from jaxcnn.spec import Leaf, Spec


class Field(NamedTuple):
    """Where the units of a layer look, along one dimension of the image (Dumoulin and Visin 2016).

    `size` pixels wide (infinite after global pooling: the whole image, whatever its size); neighboring units are
    `jump` pixels apart (0 where there is a single unit); the center of the first one stands at `start`, pixel 0
    reaching from 0 to 1. Where units differ, after adaptive pooling or upsampling, the widest size and mean places.
    """

    size: float = 1
    jump: float = 1
    start: float = 0.5

    def interval(self, unit: int) -> tuple[int, int]:
        """The first and one past the last pixel that unit `unit` sees; may reach into the padding.

        Raises ValueError where the field is the whole image.
        """
        if math.isinf(self.size):
            raise ValueError("this field is the whole image, whatever its size: ask receptive_field for a unit's box")
        center = self.start + unit * self.jump
        return math.floor(center - self.size / 2), math.floor(center + self.size / 2)


def fields(net: Spec, shape: Shape) -> Followed:
    """The `Field` of every named node and every leaf along every dimension of the image; "" is the output."""
    return follow(net, shape, (Field(),) * (len(shape) - 1), _after, _union)


def _union(several: tuple[Field, ...]) -> Field:
    grid = max(several, key=lambda field: field.jump)  # a branch of a single unit has jump 0
    if any(math.isinf(field.size) for field in several):
        return grid._replace(size=math.inf)
    lowest = min(field.start - field.size / 2 for field in several)
    highest = max(field.start + field.size / 2 for field in several)
    return Field(highest - lowest, grid.jump, (lowest + highest) / 2)


def _after(leaf: Leaf, shape: Shape, along: tuple[Field, ...]) -> tuple[Field, ...]:
    sizes = shape[:-1]
    if isinstance(leaf, spec.KeepsPlaces) or (not sizes and isinstance(leaf, spec.Flatten | spec.Pad)):
        return along
    match leaf:
        case spec.Flatten() | spec.GlobalPool():
            return tuple(_whole(field, n) for field, n in zip(along, sizes, strict=True))
        case spec.Conv():
            placed = ops.slide("Conv", sizes, leaf.kernel, leaf.stride, leaf.padding, leaf.dilation)
        case spec.Pool():
            placed = pool_window(leaf, shape)
        case spec.ConvTranspose():
            options = (leaf.stride, leaf.padding, leaf.output_padding, leaf.dilation)
            placed = ops.transposed_window(sizes, leaf.kernel, *options)
        case spec.AdaptivePool():
            outputs = leaf_layout(leaf, shape).output
            return tuple(_binned(*each) for each in zip(along, sizes, outputs[:-1], strict=True))
        case spec.Pad():
            befores = [before for before, _ in pad_pairs(leaf, len(sizes))]
            return tuple(f._replace(start=f.start - before * f.jump) for f, before in zip(along, befores, strict=True))
        case spec.Upsample():
            factors = ops.per_dimension(leaf.scale, len(sizes), "scale")
            beside = [leaf.method == "bilinear" and factor > 1 for factor in factors]
            return tuple(
                Field(f.size + f.jump * more, f.jump / factor, f.start + (1 / factor - 1) / 2 * f.jump)
                for f, factor, more in zip(along, factors, beside, strict=True)
            )
        case _:
            spec.unknown(leaf)
    moved = []
    for field, window, stride, (before, _), dilation in zip(along, *placed[1:], strict=True):
        size, jump, start = field
        reach = dilation * (window - 1)
        if isinstance(leaf, spec.ConvTranspose):
            start += (before - reach / 2) / stride * jump
            moved.append(Field(size + reach // stride * jump, jump / stride, start))
        else:
            moved.append(Field(size + reach * jump, jump * stride, start + (reach / 2 - before) * jump))
    return tuple(moved)


def _whole(field: Field, units: int) -> Field:
    return Field(math.inf, 0, field.start + (units - 1) / 2 * field.jump)


def _binned(field: Field, units: int, bins: int) -> Field:
    if bins == 1:
        return _whole(field, units)
    size, jump, start = field
    widest = max(-(-(i + 1) * units // bins) - i * units // bins for i in range(bins))
    return Field(size + (widest - 1) * jump, jump * units / bins, start + (units / bins - 1) / 2 * jump)
