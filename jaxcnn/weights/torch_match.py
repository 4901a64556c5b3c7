"""Which array of a state dict is which of a network, and what to say where some are not."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from jaxcnn import rewrite
from jaxcnn.layout import Shape, walk
from jaxcnn.spec import Spec
from jaxcnn.weights.files import read
from jaxcnn.weights.fit import as_numpy, refuse_unless_fitting
from jaxcnn.weights.places import Place, fits, place_of
from jaxcnn.weights.state_dict import renamed, state_dict_of

Arrays = dict[str, np.ndarray]
Places = dict[str, Place]
THE_WEIGHTS = "the weights"


def arrays_for(
    net: Spec,
    wanted: Places,
    about: str,
    source: Mapping[str, Any] | str | os.PathLike[str],
    key: str | None = None,
    ignore: tuple[str, ...] = (),
) -> Arrays:
    """The arrays of a source, `about` in words, under the network's names; says what was taken where there is a choice.

    What is no array and not wanted is left out. Arguments and errors are otherwise those of `from_torch`.
    """
    if not isinstance(source, Mapping | str | os.PathLike):
        raise ValueError(f"the weights are a dict of arrays or the path of a file, not {type(source).__name__}")
    found = state_dict_of(source if isinstance(source, Mapping) else read(source), key)
    if found.others:
        taken, *others = (repr(place or "the top") for place in (found.key, *found.others))
        _say(f"{about}: took the state dict {taken}; key= or --weights-key takes another: {', '.join(others)}")
    named, prefix, beside = renamed(found.state, wanted, _head_of(net))
    if beside:
        _say(f"{about}: took what begins with {prefix!r}, left out {len(beside)} others ({', '.join(beside[:3])}, ...)")
    return {
        name: as_numpy(value, name)
        for name, value in named.items()
        if (name in wanted or hasattr(value, "shape")) and not name.startswith(ignore)
    }


def _head_of(net: Spec) -> str | None:
    try:
        return rewrite.head(net)
    except ValueError:
        return None


def heads(net: Spec, shape: Shape, given: Arrays) -> set[str]:
    """The paths of the classifier, and of auxiliary ones that have as many classes as it in both.

    Raises ValueError where the network has no classifier.
    """
    last = rewrite.head(net)
    rows = walk(net, shape)
    ours = rows[-1].layout.output[-1]  # only layers that keep the channels follow the classifier
    theirs = _classes(last, given)
    if theirs in (None, ours):
        return {last}
    others = {row.path for row in rows if "kernel" in row.layout.params and row.layout.output[-1] == ours}
    return {last} | {path for path in others if _classes(path, given) == theirs}


def _classes(path: str, given: Arrays) -> int | None:
    kernel = given.get(place_of(path, "kernel", (0, 0), True).key)
    return None if kernel is None or not kernel.ndim else len(kernel)


def refuse_misfits(net: Spec, shape: Shape, wanted: Places, about: str, given: Arrays, drawn: set[str]) -> None:
    """Raise one ValueError about all that does not fit, but for the layers at the paths `drawn`."""
    loaded = {name: place for name, place in wanted.items() if place.path not in drawn}
    of_drawn = tuple(f"{path}." for path in drawn)
    other_shape = {
        name: (given[name].shape, place.shape)
        for name, place in loaded.items()
        if name in given and not fits(given[name], place)
    }
    refuse_unless_fitting(
        f"{about} {'do' if about == THE_WEIGHTS else 'does'}",
        {name: place.shape for name, place in loaded.items() if name not in given},
        {name: array.shape for name, array in given.items() if name not in wanted and not name.startswith(of_drawn)},
        other_shape,
        "; head='new' loads all but the classifier" if _is_of_heads(net, shape, wanted, given, other_shape) else "",
    )


def _is_of_heads(net: Spec, shape: Shape, wanted: Places, given: Arrays, other_shape: Collection[str]) -> bool:
    """Whether nothing but the number of classes has another shape."""
    if not other_shape or _head_of(net) is None:
        return False
    of_classes = all(given[name].shape[1:] == wanted[name].shape[1:] for name in other_shape)
    return of_classes and {wanted[name].path for name in other_shape} <= heads(net, shape, given)


def _say(line: str) -> None:
    print(f"jaxcnn: {line}", file=sys.stderr)
