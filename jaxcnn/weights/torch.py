"""PyTorch's state dicts: leaves renamed, kernels transposed, flattened images reordered."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jax import Array

from jaxcnn.layout import Params, Shape, example_shape, init, times
from jaxcnn.spec import Flatten, Leaf, Spec, steps
from jaxcnn.weights.fit import as_parameter, refuse_unless_fitting
from jaxcnn.weights.places import Place, place_of, places, squeezed
from jaxcnn.weights.torch_match import THE_WEIGHTS, arrays_for, heads, refuse_misfits


def from_torch(
    net: Spec,
    source: Mapping[str, Any] | str | os.PathLike[str],
    shape: Shape,
    *,
    head: Literal["load", "new"] = "load",
    rng: Array | None = None,
    ignore: tuple[str, ...] = (),
    key: str | None = None,
) -> tuple[Params, Params]:
    """The parameters and statistics of a network from a PyTorch state dict. PyTorch itself is not needed.

    Args:
      net: the spec; its paths are the names in the state dict.
      source: a dict of arrays or tensors, perhaps inside of others (see `state_dict.state_dict_of`), its names perhaps
        with a prefix such as "module." or "backbone."; or a file of one (see `files.read`).
      shape: (H, W, C) of one example.
      head: "new" draws the classifier with `init` and `rng`, whatever the state dict has in its place.
      rng: the key of a new head; needed for it only.
      ignore: beginnings of names to leave out, such as ("aux1.", "aux2.").
      key: where in the source the state dict is, such as "model_ema", or which part of it; None looks, takes averages
        over steps before what they are averages of, and says on standard error which of several it took.

    Returns:
      `(params, batch_stats)`, as `init` gives them. `num_batches_tracked` is left out.

    Raises:
      ValueError: names that are missing, unexpected or of another shape: how many, and the first few in full; a new
        head for a network without one (see `rewrite.head`); or no state dict in the source, or none at `key`.
      InputError: the file cannot be read.
    """
    if head not in ("load", "new"):
        raise ValueError(f"head is 'load' or 'new', not {head!r}")
    if head == "new" and rng is None:
        raise ValueError("a new head needs a key: from_torch(..., head='new', rng=jax.random.key(0))")
    shape = example_shape(shape)
    about = os.fspath(source) if isinstance(source, str | os.PathLike) else THE_WEIGHTS
    wanted = {place.key: place for place in places(net, shape)}
    given = arrays_for(net, wanted, about, source, key, ignore)
    drawn = heads(net, shape, given) if head == "new" else set()
    refuse_misfits(net, shape, wanted, about, given, drawn)
    fresh = init(net, rng, shape) if drawn and rng is not None else ({}, {})
    trees: tuple[Params, Params] = ({}, {})
    for name, place in wanted.items():
        which = 0 if place.trainable else 1
        array = fresh[which][place.path][place.name] if place.path in drawn else _ours(given[name], place)
        trees[which].setdefault(place.path, {})[place.name] = array
    return trees


def _ours(array: np.ndarray, place: Place) -> Array:
    """An array of a state dict as the one of ours that stands in its place."""
    kept = array.reshape(place.shape[: len(place.axes)]).transpose(np.argsort(place.axes))
    return as_parameter(kept if place.order is None else kept[place.order])


def to_torch(
    net: Spec, params: Params, batch_stats: Params, shape: Shape | None = None, like: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """The state dict of a network: what `from_torch` reads, and PyTorch's `load_state_dict` once they are tensors.

    Args:
      net: the spec.
      params, batch_stats: as `init` returns them.
      shape: (H, W, C) of one example; may be left out where no Flatten, trainable Scale or Bias needs it.
      like: a state dict whose shapes to take where they differ by trailing ones (a Linear that is our 1x1 convolution).

    Returns:
      `{name: array}`, in order of execution; `{name: torch.from_numpy(array)}` is what PyTorch takes.

    Raises:
      ValueError: parameters that are not this network's; or `shape` is needed.
    """
    held = {
        (path, name, tree is params): np.asarray(array)
        for tree in (params, batch_stats)
        for path, arrays in tree.items()
        for name, array in arrays.items()
    }
    if shape is not None:
        found = list(places(net, shape))
    elif any(_needs_shape(step.leaf) for step in steps(net)):
        raise ValueError(
            "this network has a Flatten, a trainable Scale or a Bias per place: give to_torch(..., shape=(H, W, C))"
        )
    else:
        found = [place_of(path, name, array.shape, trainable) for (path, name, trainable), array in held.items()]
    wanted = {(place.path, place.name, place.trainable): place for place in found}
    refuse_unless_fitting(
        "the parameters do",
        {".".join(key[:2]): place.ours for key, place in wanted.items() if key not in held},
        {".".join(key[:2]): array.shape for key, array in held.items() if key not in wanted},
        {
            ".".join(key[:2]): (held[key].shape, place.ours)
            for key, place in wanted.items()
            if key in held and held[key].shape != place.ours
        },
    )
    state = {}
    for key, place in wanted.items():
        array = held[key] if place.order is None else held[key][np.argsort(place.order)]
        alike = tuple(like[place.key].shape) if like and place.key in like else place.shape
        if squeezed(alike) != squeezed(place.shape):
            raise ValueError(f"{place.key} is {times(place.shape)}, which is not {times(alike)} as in `like`")
        state[place.key] = np.array(array.transpose(place.axes).reshape(alike), order="C")
    return state


def _needs_shape(leaf: Leaf) -> bool:
    return isinstance(leaf, Flatten) or getattr(leaf, "trainable", False) or getattr(leaf, "per_place", False)
