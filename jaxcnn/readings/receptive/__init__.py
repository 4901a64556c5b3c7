"""Where a unit of a network looks in the image: the receptive field, from the spec and followed through the graph.

There are two answers. A `Field` is the textbook's: size, jump and start, the same for all units of a layer, as if the
image had no borders. A box is exact: the smallest rectangle of pixels on which one unit's value depends.
Where branches meet, both are unions. All channels of a place count together: what a slice of channels or a group of
a convolution leaves out is not taken off.
"""

from __future__ import annotations

import difflib
import math
from typing import overload

from jaxcnn.layout import Shape
from jaxcnn.readings.receptive.box import boxes
from jaxcnn.readings.receptive.field import Field, fields
from jaxcnn.spec import Spec

Box = list[tuple[int, int]]


@overload
def receptive_field(net: Spec, shape: Shape, *, axis: int = 0) -> dict[str, Field]: ...
@overload
def receptive_field(net: Spec, shape: Shape, path: str, unit: tuple[int, ...]) -> Box: ...
def receptive_field(
    net: Spec, shape: Shape, path: str | None = None, unit: tuple[int, ...] | None = None, *, axis: int = 0
) -> dict[str, Field] | Box:
    """The receptive fields of a network over images of `shape`, (H, W, C); or the box of one unit in the image.

    Args:
      net: the spec.
      shape: of one image, (H, W, C), or of any other number of spatial dimensions.
      path: the layer, as in `features`; "" is the output.
      unit: the unit's place in that layer, (row, column); () in a vector, which counts as a whole.
      axis: the dimension of the table, 0 for rows, 1 for columns.

    Returns:
      Without a path, {path: Field} for every named node, along one dimension. With a path and a unit, the unit's box
      [(top, bottom), (left, right)], cut at the image's border: its value depends on rows top to bottom - 1 and columns
      left to right - 1 only. A unit that sees nothing but padding has the box [(0, 0), (0, 0)].

    Raises:
      ValueError: a path, a unit or an axis that the network does not have, or an image that it cannot take.
    """
    if path is None:
        if not 0 <= axis < len(shape) - 1:
            raise ValueError(f"there is no axis {axis} in images of {len(shape) - 1} spatial dimensions")
        table = fields(net, shape).nodes
        return {name: along[axis] for name, along in table.items() if name}
    nodes = boxes(net, shape)
    if path not in nodes:
        close = difflib.get_close_matches(path, nodes, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(filter(None, nodes))}"
        raise ValueError(f"no layer is called {path!r}; {hint}")
    grid = tuple(map(len, nodes[path]))
    place = (0,) * len(grid) if unit == () and math.prod(grid) == 1 else unit
    if place is None or len(place) != len(grid) or not all(0 <= at < n for at, n in zip(place, grid, strict=True)):
        raise ValueError(f"a unit of layer {path!r} is a place in a grid of {grid}, counted from 0, not {unit}")
    ends = [along[at] for along, at in zip(nodes[path], place, strict=True)]
    if any(first >= end for first, end in ends):
        return [(0, 0)] * len(grid)
    return [(int(first), int(end)) for first, end in ends]


__all__ = ["Box", "Field", "fields", "receptive_field"]
