"""Networks with their published weights: by name, downloaded once, or from a file of either kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jax import Array

from jaxcnn import zoo
from jaxcnn.host.errors import InputError
from jaxcnn.layout import Params, Shape, walk
from jaxcnn.spec import Spec
from jaxcnn.weights.download import cache_folder, download
from jaxcnn.weights.formats import OF_KERAS, existing, format_of
from jaxcnn.weights.hugging_face import is_weights_folder
from jaxcnn.weights.keras import from_keras
from jaxcnn.weights.keras_files import KERAS_ENDINGS, require_h5py
from jaxcnn.weights.preprocessing import Preprocessing, imagenet_classes, keras_preprocessing
from jaxcnn.weights.published import PUBLISHED, Published
from jaxcnn.weights.torch import from_torch

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


class Pretrained(NamedTuple):
    """A network with weights, and what they want of an image."""

    net: Spec
    params: Params
    batch_stats: Params
    preprocessing: Preprocessing


def pretrained(
    name: str,
    weights: str | os.PathLike[str] = "imagenet",
    *,
    classes: int | None = None,
    shape: Shape | None = None,
    rng: Array | None = None,
    cache: str | os.PathLike[str] | None = None,
    key: str | None = None,
    **options: Any,
) -> Pretrained:
    """A network of the zoo with its published weights.

    Args:
      name: as `create` takes it.
      weights: "imagenet", or "imagenet_v2" where torchvision trained longer: downloaded into `cache` once; or a file
        of PyTorch's or Keras's weights, or a folder of the Hugging Face Hub.
      classes: of a new classifier, drawn with `rng`; None keeps the published one.
      shape: (H, W, C) of one example; the network's own by default.
      rng: the key of a new classifier.
      cache: the folder of downloaded files; $XDG_CACHE_HOME/jaxcnn/weights by default.
      key: which state dict of a file that has several; see `from_torch`.
      options: those of the network.

    Returns:
      `(net, params, batch_stats, preprocessing)`; `preprocessing.classes` are the names of the published classes,
      if any and if the classifier is theirs.

    Raises:
      ValueError: no such network or option, or the weights do not fit it.
      InputError: there are no such weights, or they cannot be downloaded or read.
    """
    if classes is not None and rng is None:
        raise ValueError("a new classifier needs a key: pretrained(..., classes=10, rng=jax.random.key(0))")
    net = zoo.create(name, **options, **({} if classes is None else {"classes": classes}))
    shape = shape or (zoo.NETWORKS[name].input if name in zoo.NETWORKS else None)
    if shape is None:
        raise ValueError(f"{name} is your own network: give its shape=(H, W, C)")
    preprocessing = preprocessing_of(name, weights, shape, options)
    if classes is not None:
        preprocessing = replace(preprocessing, classes=())
    file = weights_file(name, weights, cache, options)
    params, batch_stats = load_weights(net, file, shape, head="load" if classes is None else "new", rng=rng, key=key)
    return Pretrained(net, params, batch_stats, preprocessing)


def load_weights(
    net: Spec, file: str | os.PathLike[str], shape: Shape, *, head: Literal["load", "new"] = "load",
    rng: Array | None = None, key: str | None = None,
) -> tuple[Params, Params]:  # fmt: skip
    """The parameters and statistics in a file of PyTorch's or Keras's weights, which its content tells apart.

    Auxiliary heads in the file are left out where the network has none. Arguments, result and errors are otherwise
    those of `from_torch` and `from_keras`.
    """
    if not is_weights_folder(file) and format_of(existing(file)) in OF_KERAS:
        if key is not None:
            raise ValueError(f"{os.fspath(file)} is a file of Keras's weights, which has no key={key!r}")
        return from_keras(net, file, shape, head=head, rng=rng)
    paths = [row.path for row in walk(net, shape)]
    ignore = tuple(start for start in AUXILIARY if not any(path.startswith(start) for path in paths))
    return from_torch(net, file, shape, head=head, rng=rng, ignore=ignore, key=key)


def weights_file(
    name: str, weights: str | os.PathLike[str] = "imagenet", cache: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    """The file of a network's weights: a path as it is, a published name downloaded; `pretrained` says more.

    $JAXCNN_WEIGHTS_MIRROR is the URL of a folder to download from instead of the publishers'.

    Raises InputError: there are no such weights, they are of another variant of the network than that in `options`,
    what reads them is not installed, or they cannot be downloaded.
    """
    found = PUBLISHED.get((name, str(weights)))
    _check_variant(name, weights, found, options or {})
    if found is None:
        if Path(weights).suffix or os.path.exists(weights) or len(Path(weights).parts) > 1:
            return Path(weights)
        here = sorted(published for other, published in PUBLISHED if other == name)
        others = "" if here else f" (there are for: {', '.join(sorted({other for other, _ in PUBLISHED}))})"
        raise InputError(
            f"there are no published weights {str(weights)!r} of {name}; give {', '.join([*here, 'a file'])}{others}"
        )
    base = os.environ.get("JAXCNN_WEIGHTS_MIRROR")
    if base and "://" not in base:
        raise InputError(f"$JAXCNN_WEIGHTS_MIRROR must be a URL, such as http://host/folder, not {base!r}")
    file = found.url.rpartition("/")[2]
    url = f"{base.rstrip('/')}/{file}" if base else found.url
    if file.endswith(KERAS_ENDINGS):
        require_h5py(url)  # rather now than when it has come
    say = partial(print, file=sys.stderr)
    return download(url, Path(cache or cache_folder()) / file, found.digest, found.largest, say)


def _check_variant(
    name: str, weights: str | os.PathLike[str], found: Published | None, options: Mapping[str, Any]
) -> None:
    """Refuse weights of the other library's variant: some fit by their shapes, and give other outputs."""
    if name not in zoo.NETWORKS or "variant" not in signature(zoo.NETWORKS[name].build).parameters:
        return
    ours = options.get("variant", "torchvision")
    of_keras = os.fspath(weights if found is None else found.url).lower().endswith(KERAS_ENDINGS)
    theirs = "keras" if of_keras else "torchvision" if found else ours  # a file of arrays may be of either
    if theirs != ours:
        raise InputError(
            f"the weights {os.fspath(weights)} of {name} are of variant {theirs!r}, not {ours!r}: "
            "give that variant, or other weights"
        )


def preprocessing_of(
    name: str, weights: str | os.PathLike[str], shape: Shape, options: Mapping[str, Any] | None = None
) -> Preprocessing:
    """What a network's weights want of an image: as published, or as the peer does it, for inputs of `shape`.

    For a network without published weights: ImageNet's mean and deviation, resized to the shape.
    """
    size, peer = shape[0], zoo.NETWORKS[name].peer if name in zoo.NETWORKS else ""
    found = PUBLISHED.get((name, str(weights))) or PUBLISHED.get((name, "imagenet"))
    if (options or {}).get("variant") == "keras" or (peer == "keras" and found is None):
        plain = name.startswith(("resnet", "vgg")) and not name.endswith("v2")
        wanted = keras_preprocessing("caffe" if plain else "torch" if name.startswith("densenet") else "tf", size)
    elif found is None:
        return Preprocessing(0, size)
    else:
        wanted = found.preprocessing
    resize = round(wanted.resize * size / wanted.crop)
    return replace(wanted, resize=resize, crop=size, classes=imagenet_classes())
