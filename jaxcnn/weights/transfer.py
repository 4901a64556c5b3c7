"""Arrays of one network for another whose layers have the same paths."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array

from jaxcnn import rewrite
from jaxcnn.layout import Params, Shape, init, walk
from jaxcnn.spec import Spec
from jaxcnn.weights.fit import refuse_unless_fitting


def transferred(
    net: Spec, params: Params, batch_stats: Params, shape: Shape, *, head: Literal["load", "new"] = "load",
    rng: Array | None = None,
) -> tuple[Params, Params]:  # fmt: skip
    """The parameters and statistics of a network from those of another, by path.

    Args:
      net: the network to be given arrays.
      params, batch_stats: the arrays of the other one, `{path: {name: array}}`.
      shape: (H, W, C) of one example of `net`.
      head: "new" draws the layer that makes the class scores with `init` and `rng`, whatever the other one has there.
      rng: the key of a new head; needed for it only.

    Returns:
      `(params, batch_stats)`, copies, as `init` gives them.

    Raises:
      ValueError: paths that are missing, not wanted or of another shape: how many, and the first few in full; or a new
        head for a network without one.
    """
    new = rewrite.head(net) if head == "new" else None
    if new is not None and rng is None:
        raise ValueError("a new head is drawn: give rng, a key")
    rows = {row.path: row.layout for row in walk(net, shape)}
    wanted = {
        (index, path, name): parameter.shape
        for index in (0, 1)
        for path, layout in rows.items()
        for name, parameter in (layout.params, layout.stats)[index].items()
        if path != new
    }
    given = {
        (index, path, name): array
        for index, tree in enumerate((params, batch_stats))
        for path, layer in tree.items()
        for name, array in layer.items()
        if path != new
    }
    refuse_unless_fitting(
        "the arrays do",
        {".".join(key[1:]): shape for key, shape in wanted.items() if key not in given},
        {".".join(key[1:]): array.shape for key, array in given.items() if key not in wanted},
        {
            ".".join(key[1:]): (given[key].shape, shape)
            for key, shape in wanted.items()
            if key in given and given[key].shape != shape
        },
        '; head="new" draws the last layer' if new is None else "",
    )
    trees: tuple[Params, Params] = ({}, {})
    for index, path, name in wanted:
        trees[index].setdefault(path, {})[name] = jnp.array(given[index, path, name])
    if new is not None and rng is not None:
        trees[0][new] = init(net, rng, shape)[0][new]
    return trees
