"""PyTorch's state dicts: leaves renamed, kernels transposed, flattened images reordered."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jax import Array

from jaxcnn import rewrite
from jaxcnn.layout import Params, Row, Shape, init, times, walk
from jaxcnn.spec import Flatten, Graph, Leaf, Spec
from jaxcnn.weights.files import read
from jaxcnn.weights.fit import as_numpy, as_parameter, refuse_unless_fitting
from jaxcnn.weights.places import Place, fits, place_of, places, squeezed

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
# torchvision's published DenseNets were saved when its names still had a dot before the number.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.")


def _heads(net: Spec, rows: Sequence[Row], given: Mapping[str, np.ndarray]) -> set[str]:
    """The paths of the classifier, and of auxiliary ones that have as many classes as it in both.

    Raises ValueError where the network has no classifier.
    """
    last = rewrite.head(net)
    classes = rows[-1].layout.output[-1]  # only layers that keep the channels follow the classifier
    theirs = given.get(place_of(last, "kernel", (0, 0), True).key)
    others = {
        row.path
        for row in rows
        if "kernel" in row.layout.params
        and row.layout.output[-1] == classes
        and (array := given.get(place_of(row.path, "kernel", (0, 0), True).key)) is not None
        and theirs is not None
        and len(array) == len(theirs) != classes
    }
    return {last} | others


def from_torch(
    net: Spec,
    source: Mapping[str, Any] | str | os.PathLike[str],
    shape: Shape,
    *,
    head: Literal["load", "new"] = "load",
    rng: Array | None = None,
    ignore: tuple[str, ...] = (),
) -> tuple[Params, Params]:
    """The parameters and statistics of a network from a PyTorch state dict.

    Args:
      net: the spec; its paths are the names in the state dict.
      source: a dict of arrays or tensors, perhaps inside another under "state_dict" or "model", its names perhaps all
        with the prefix "module."; or a file of one (see `files.read`): .safetensors, .npz, .pth, .pt, .th, .bin.
      shape: (H, W, C) of one example.
      head: "new" draws the classifier with `init` and `rng`, whatever the state dict has in its place.
      rng: the key of a new head; needed for it only.
      ignore: beginnings of names to leave out, such as ("aux1.", "aux2.").

    Returns:
      `(params, batch_stats)`, as `init` gives them. `num_batches_tracked` is left out.

    Raises:
      ValueError: names that are missing, unexpected or of another shape: how many, and the first few in full; or a
        new head for a network without one (see `rewrite.head`).
      InputError: the file cannot be read.
    """
    if head not in ("load", "new"):
        raise ValueError(f"head is 'load' or 'new', not {head!r}")
    if head == "new" and rng is None:
        raise ValueError("a new head needs a key: from_torch(..., head='new', rng=jax.random.key(0))")
    wanted = {place.key: place for place in places(net, shape)}
    given = {
        _new_name(name, wanted): as_numpy(value, name)
        for name, value in state_dict_of(source if isinstance(source, Mapping) else read(source)).items()
        if not name.endswith("num_batches_tracked") and not any(name.startswith(start) for start in ignore)
    }
    rows = walk(net, shape)
    drawn = _heads(net, rows, given) if head == "new" else set()
    loaded = {key: place for key, place in wanted.items() if place.path not in drawn}
    wrong = {
        k: (given[k].shape, place.shape) for k, place in loaded.items() if k in given and not fits(given[k], place)
    }
    only_classes = bool(wrong) and all(wrong[k][0][1:] == wrong[k][1][1:] for k in wrong)
    if only_classes:
        try:
            only_classes = {wanted[key].path for key in wrong} <= _heads(net, rows, given)
        except ValueError:  # no classifier
            only_classes = False
    refuse_unless_fitting(
        f"{os.fspath(source)} does" if isinstance(source, str | os.PathLike) else "the weights do",
        {key: place.shape for key, place in loaded.items() if key not in given},
        {name: array.shape for name, array in given.items() if name not in wanted},
        wrong,
        "; head='new' loads all but the classifier" if only_classes else "",
    )
    new = init(net, rng, shape) if drawn and rng is not None else ({}, {})
    trees: tuple[Params, Params] = ({}, {})
    for key, place in wanted.items():
        if place.path in drawn:
            array = new[not place.trainable][place.path][place.name]
        else:
            array = given[key].reshape(place.shape[: len(place.axes)]).transpose(np.argsort(place.axes))
            array = as_parameter(array if place.order is None else array[place.order])
        trees[not place.trainable].setdefault(place.path, {})[place.name] = array
    return trees


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
    elif any(map(_needs_shape, _leaves(net))):
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


def state_dict_of(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state dict inside what a training script saved: unwrapped, and without a prefix that all names share.

    Raises ValueError where there is none.
    """
    while inner := [source[key] for key in _WRAPPERS if isinstance(source.get(key), Mapping)]:
        source = inner[0]
    while any(_all_begin(source, shared := prefix) for prefix in _PREFIXES):
        source = {name.removeprefix(shared): value for name, value in source.items()}
    if not source or not all(isinstance(name, str) for name in source):
        raise ValueError(f"there is no state dict: {str(list(source))[:80]} are not names of arrays")
    return source


def _all_begin(source: Mapping[str, Any], prefix: str) -> bool:
    return bool(source) and all(isinstance(name, str) and name.startswith(prefix) for name in source)


def _new_name(name: str, wanted: Mapping[str, Place]) -> str:
    return name if name in wanted else _OLD_DENSENET.sub(r"\1\2.", name)


def _needs_shape(leaf: Leaf) -> bool:
    return isinstance(leaf, Flatten) or getattr(leaf, "trainable", False) or getattr(leaf, "per_place", False)


def _leaves(spec: Spec) -> Iterator[Leaf]:
    if isinstance(spec, Graph):
        for node in spec.nodes:
            yield from _leaves(node.spec)
    else:
        yield spec
