"""Weights of Keras: layers matched by name or by Keras's order, depthwise kernels reshaped."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from jax import Array

from jaxcnn import rewrite
from jaxcnn.layout import Params, Shape, example_shape, init
from jaxcnn.spec import Spec
from jaxcnn.weights.fit import as_numpy, as_parameter, refuse_unless_fitting
from jaxcnn.weights.keras_files import NORMALIZATION, Stored, read_keras
from jaxcnn.weights.keras_order import KerasLayer, keras_layers

Pair = tuple[KerasLayer | None, Stored | None]
"""A layer of the network and one of the file that belong together; None where the other has no partner."""


def from_keras(
    net: Spec,
    source: Iterable[Any] | str | os.PathLike[str],
    shape: Shape,
    *,
    head: Literal["load", "new"] = "load",
    rng: Array | None = None,
) -> tuple[Params, Params]:
    """The parameters and statistics of a network from the weights of a Keras model.

    A layer of the file and one of ours are the same where the file's name is our path with "_" for "."; the others are
    matched by Keras's own order of layers (see `keras_order`), within each kind where the file knows the kinds. A model
    in the model stands for its layers; a Normalization is left out, and what it does to images said on standard error.

    Args:
      net: the spec: a network of Keras's, or with `variant="keras"`.
      source: a file, .keras, .weights.h5 or .h5, read with h5py; or what `model.get_weights()` returned.
      shape: (H, W, C) of one example.
      head: "new" draws the classifier with `init` and `rng`, whatever the file has in its place.
      rng: the key of a new head; needed for it only.

    Returns:
      `(params, batch_stats)`, as `init` gives them.

    Raises:
      ValueError: layers that are missing, unexpected or of another shape: how many, and the first few in full; two
        layers that the file's order cannot tell apart; or a new head for a network without one (see `rewrite.head`).
      InputError: the file cannot be read.
    """
    if head not in ("load", "new"):
        raise ValueError(f"head is 'load' or 'new', not {head!r}")
    if head == "new" and rng is None:
        raise ValueError("a new head needs a key: from_keras(..., head='new', rng=jax.random.key(0))")
    shape = example_shape(shape)
    orders = [keras_layers(net, shape), keras_layers(net, shape, reverse_sums=True)]
    drawn = _layer_of(rewrite.head(net), orders[0]) if head == "new" else None
    about, pairings = _pairings(source, orders)
    pairs = _fitting(about, pairings, net, orders[0], drawn)
    new = init(net, rng, shape) if drawn is not None and rng is not None else ({}, {})
    trees: tuple[Params, Params] = ({}, {})
    for layer, stored in pairs:
        for index, variable in enumerate(layer.variables if layer else ()):
            which = 0 if variable.trainable else 1
            if layer and layer.name == drawn:
                value = new[which][variable.path][variable.ours]
            else:
                assert stored is not None  # or `_fitting` would have refused
                value = as_parameter(stored.arrays[index].reshape(variable.our_shape))
            trees[which].setdefault(variable.path, {})[variable.ours] = value
    return trees


def _pairings(
    source: Iterable[Any] | str | os.PathLike[str], orders: Sequence[Sequence[KerasLayer]]
) -> tuple[str, list[list[Pair]]]:
    """What was read, in words, and for each order of our layers how the file's belong to them."""
    if isinstance(source, str | os.PathLike):
        stored = read_keras(source)
        for layer in stored:
            if layer.kind == NORMALIZATION:
                mean, variance = (np.array2string(array.ravel()[:3], precision=4) for array in layer.arrays[:2])
                print(
                    f"jaxcnn: {os.fspath(source)}: left out its layer {layer.name or layer.kind}; the network wants "
                    f"images minus the mean {mean}, divided by the root of the variance {variance}",
                    file=sys.stderr,
                )
        stored = [layer for layer in stored if layer.kind != NORMALIZATION]
        return os.fspath(source), [_matched(order, stored) for order in orders]
    if not isinstance(source, Iterable):
        what = type(source).__name__
        raise ValueError(f"the weights are a file or the list that model.get_weights() returns, not {what}")
    arrays = [as_numpy(value, f"array {index}") for index, value in enumerate(source)]
    return "the list of arrays", [_cut(order, arrays) for order in orders]


def _fitting(
    about: str, pairings: Sequence[list[Pair]], net: Spec, layers: Sequence[KerasLayer], drawn: str | None
) -> list[Pair]:
    """The pairs of the order that fits. Raises ValueError where none does, or two do and disagree."""
    fitting = [pairs for pairs in pairings if not any(_problems(pairs, drawn))]
    if not fitting:
        problems = min((_problems(pairs, drawn) for pairs in pairings), key=lambda groups: sum(map(len, groups)))
        refuse_unless_fitting(f"{about} does", *problems, _hint(net, layers, pairings))
    _refuse_ambiguous(about, fitting)
    return fitting[0]


def _layer_of(path: str, layers: Sequence[KerasLayer]) -> str:
    """The name of the layer that holds the arrays of `path`."""
    return next(layer.name for layer in layers if any(variable.path == path for variable in layer.variables))


def _hint(net: Spec, layers: Sequence[KerasLayer], pairings: Sequence[Sequence[Pair]]) -> str:
    """What would help where nothing but the classifier does not fit."""
    try:
        name = _layer_of(rewrite.head(net), layers)
    except ValueError:  # no classifier
        return ""
    fits = any(not any(_problems(pairs, name)) for pairs in pairings)
    return "; head='new' loads all but the classifier" if fits else ""


def _matched(layers: Sequence[KerasLayer], stored: Sequence[Stored]) -> list[Pair]:
    """Every layer with what belongs to it: by name, and the rest in order."""
    by_name = {found.name: found for found in stored if found.name}
    pairs: list[Pair] = [(layer, by_name[layer.name]) for layer in layers if layer.name in by_name]
    known = {layer.name for layer, _ in pairs if layer}
    ours = [layer for layer in layers if layer.name not in known]
    theirs = [found for found in stored if found.name not in known]
    for kind in dict.fromkeys(found.kind for found in theirs) if all(found.kind for found in theirs) else [""]:
        ours_of_kind = [layer for layer in ours if kind in ("", layer.kind)]
        pairs += itertools.zip_longest(ours_of_kind, [found for found in theirs if found.kind == kind])
    paired = {layer.name for layer, _ in pairs if layer}
    return pairs + [(layer, None) for layer in ours if layer.name not in paired]


def _cut(layers: Sequence[KerasLayer], arrays: Sequence[np.ndarray]) -> list[Pair]:
    """Every layer with as many of the arrays as it has; what is left over in the end has no layer."""
    pairs: list[Pair] = []
    rest = iter(enumerate(arrays))
    for layer in layers:
        taken = list(itertools.islice(rest, len(layer.variables)))
        name = f"array {taken[0][0]}" if taken else ""
        pairs.append((layer, Stored(name, layer.kind, tuple(array for _, array in taken)) if taken else None))
    return pairs + [(None, Stored(f"array {index}", "", (array,))) for index, array in rest]


def _problems(pairs: Sequence[Pair], drawn: str | None) -> tuple[dict, dict, dict]:
    """What is missing, unexpected and of another shape, as `refuse_unless_fitting` takes them."""
    missing, unexpected, other_shape = {}, {}, {}
    for layer, found in pairs:
        if layer and layer.name == drawn:
            continue
        variables, arrays = layer.variables if layer else (), found.arrays if found else ()
        beside = f" ({found.name} in the file)" if layer and found and found.name != layer.name else ""
        for index, (variable, array) in enumerate(itertools.zip_longest(variables, arrays)):
            if array is None:
                missing[f"{variable.path}.{variable.ours}{beside}"] = variable.our_shape
            elif variable is None:
                unexpected[f"{found.name if found else ''}/{index}"] = array.shape
            elif array.shape != variable.shape:
                other_shape[f"{variable.path}.{variable.ours}{beside}"] = array.shape, variable.shape
    return missing, unexpected, other_shape


def _refuse_ambiguous(about: str, fitting: Sequence[Sequence[Pair]]) -> None:
    """Where both orders of the terms of sums fit, they must give every layer the same arrays."""
    first, *others = ({layer.name: found for layer, found in pairs if layer and found} for pairs in fitting)
    for other in others:
        for name, found in first.items():
            if [id(array) for array in other[name].arrays] != [id(array) for array in found.arrays]:
                raise ValueError(
                    f"{about} has two layers that may be {name!r}, of one shape and as deep: give a file in which the "
                    'layers are called as our paths, with "_" for "."'
                )
