"""TensorFlow Datasets by name, read from array_record files, which needs no TensorFlow."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxcnn.data import Dataset, Split, divide, thinned
from jaxcnn.data.config import DataConfig
from jaxcnn.data.stack import stack
from jaxcnn.data.streamed import streamed
from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded


def load(name: str, config: DataConfig) -> Dataset:
    """Read a TFDS data set (`mnist`, `imagenet_resized/32x32`, ...), which TFDS first prepares where it must.

    The split `test` is the test split, else `validation` (also where the labels of `test` are kept secret),
    else `config.test_fraction` of `train` is held out. Preparing needs TensorFlow, and the network or the
    downloaded files in `config.manual_dir`. Raises InputError for what is unknown, missing or damaged.
    """
    with _quiet():
        builder = _builder(name, config)
        if not builder.is_prepared():
            _prepare(builder, name, config)
        image, label = _keys(builder, name)
        try:
            splits = _splits(builder, name, label, image if config.stream else None)
            images, labels = (_streamed if config.stream else _read)(splits, (image, label), config)
        except InputError:
            raise
        except Exception as error:  # array_record, protobuf and the decoder each raise their own
            raise InputError(f"tfds:{name} in {builder.data_dir} cannot be read: {_line(error)}") from error
    if labels.min() < 0:
        raise InputError(f"tfds:{name} has images without a label in its split train")
    classes = tuple(builder.info.features[label].names)
    if len(splits) == 1:
        return Dataset(config.source, classes, *divide(images, labels, config))
    cut = len(splits[0][1])
    train, test = Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:])
    return Dataset(config.source, classes, thinned(train, config), test)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TFDS's messages off the terminal, but for the progress bars of a long download."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it when it is first imported
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def _builder(name: str, config: DataConfig) -> Any:
    import tensorflow_datasets as tfds

    if not hasattr(tfds, "builder"):  # TFDS logs whatever goes wrong in its import, and stays empty
        raise InputError("tensorflow-datasets could not be imported, for the reason logged above: install it anew")
    folder = _expanded(config.data_dir)
    try:
        return tfds.builder(name, data_dir=folder, file_format="array_record")
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(name.partition("/")[0].partition(":")[0], known, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        where = folder or "its data_dir"
        raise InputError(f"TFDS knows no data set {name!r}, nor is it in {where}{hint}") from None
    except Exception as error:  # a wrong config, version, file format or syntax: each raises its own
        hint = "; give another --data.data_dir to prepare it as array_record" if "tfrecord" in str(error) else ""
        raise InputError(f"tfds:{name} cannot be opened: {_line(error)}{hint}") from error


def _expanded(folder: str | None) -> str | None:
    remote = folder and "://" in folder  # TFDS reads gs:// too, where ~ means nothing and // is no mistake
    return str(expanded(folder)) if folder and not remote else folder or None


def _prepare(builder: Any, name: str, config: DataConfig) -> None:
    import tensorflow_datasets as tfds

    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            f"tfds:{name} is not prepared in {builder.data_dir}: pip install 'jaxcnn[tfds]' prepares it,"
            " or point --data.data_dir to a copy prepared as array_record"
        )
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    folder = _expanded(config.manual_dir)
    if folder and not os.path.isdir(folder):
        raise InputError(f"data.manual_dir {folder} is not a folder")
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
    except Exception as error:  # the network, a checksum, a missing file, the disk: each raises its own
        raise InputError(
            f"TFDS could not download and prepare {name}: {_line(error)}; without a network,"
            " put the files it downloads in a folder and give --data.manual_dir"
        ) from error


def _keys(builder: Any, name: str) -> tuple[str, str]:
    """The names of the image and of its label: the supervised pair, or else the only ones of their kind."""
    from tensorflow_datasets import features as kinds

    features, pair = dict(builder.info.features), builder.info.supervised_keys or ()
    keys = []
    for kind in (kinds.Image, kinds.ClassLabel):
        found = [key for key, feature in features.items() if isinstance(feature, kind)]
        keys += [key for key in found if key in pair] or found
    if len(keys) != 2 or not isinstance(features[keys[1]], kinds.ClassLabel):
        raise InputError(
            f"tfds:{name} does not pair one image with one class label; it has {', '.join(sorted(features))}"
        )
    return keys[0], keys[1]


def _splits(builder: Any, name: str, label: str, encoded: str | None) -> list[tuple[str, Sequence[Any]]]:
    """(split, examples): train, and the test split unless train must serve for both; images `encoded` as they lie."""
    import tensorflow_datasets as tfds

    options = {"decoders": {encoded: tfds.decode.SkipDecoding()}} if encoded else {}
    names = [split for split, info in builder.info.splits.items() if info.num_examples]
    if "train" not in names:
        raise InputError(f"tfds:{name} has no split train: it has {', '.join(names) or 'none'}")
    train = builder.as_data_source(split="train", **options)
    for split in ("test", "validation"):
        if split in names and (source := builder.as_data_source(split=split, **options))[0][label] >= 0:
            return [("train", train), (split, source)]
    return [("train", train)]


class _Examples:
    """The encoded images of some splits, one after the other, by number."""

    def __init__(self, splits: list[tuple[str, Sequence[Any]]], image: str, sizes: list[int], source: str) -> None:
        self._splits, self._image, self._sizes, self._source = splits, image, sizes, source

    def _at(self, place: int) -> tuple[str, Sequence[Any], int]:
        for split, examples in self._splits:
            if place < len(examples):
                return split, examples, place
            place -= len(examples)
        raise IndexError(place)

    def name(self, place: int) -> str:
        split, _, within = self._at(place)
        return f"{self._source} {split}[{within}]"

    def size(self, place: int) -> int:
        return self._sizes[place]

    def read(self, place: int) -> bytes:
        _, examples, within = self._at(place)
        try:
            return examples[within][self._image]
        except Exception as error:  # array_record and protobuf each raise their own
            raise InputError(f"{self.name(place)} cannot be read: {_line(error)}") from error


def _streamed(
    splits: list[tuple[str, Sequence[Any]]], keys: tuple[str, str], config: DataConfig
) -> tuple[Any, np.ndarray]:
    """A `Streamed` of all images, and labels int32 (N,), split after split."""
    sizes, labels = [], []
    for _, source in splits:
        for example in _chunks(source):
            sizes.append(len(example[keys[0]]))
            labels.append(example[keys[1]])
    found = streamed(_Examples(splits, keys[0], sizes, config.source), len(sizes), config)
    return found, np.array(labels, np.int32)


def _read(
    splits: list[tuple[str, Sequence[Any]]], keys: tuple[str, str], config: DataConfig
) -> tuple[np.ndarray, np.ndarray]:
    """All images uint8 (N, H, W, C) and labels int32 (N,), split after split."""
    count = sum(len(source) for _, source in splits)
    labels = np.empty(count, np.int32)

    def examples() -> Iterator[tuple[int, str, np.ndarray]]:
        row = 0
        for split, source in splits:
            for place, example in enumerate(_chunks(source)):
                image, labels[row] = example[keys[0]], example[keys[1]]
                if image.dtype != np.uint8:
                    raise InputError(f"{config.source} has images of {image.dtype}; only uint8 is read")
                yield row, f"{config.source} {split}[{place}]", image
                row += 1

    return stack(count, examples(), config), labels


def _chunks(source: Any, size: int = 256) -> Iterator[dict[str, Any]]:
    """All examples; asking for many at once halves the time of reading small ones."""
    for start in range(0, len(source), size):
        yield from source.__getitems__(range(start, min(start + size, len(source))))


def _line(error: Exception) -> str:
    """The first line of an error, which may have many, or none."""
    return str(error).strip().partition("\n")[0].rstrip(":") or type(error).__name__
