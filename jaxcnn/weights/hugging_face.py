"""A folder as the Hugging Face Hub keeps a model: its weights in one file, or in several that an index names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from jaxcnn.host.errors import InputError

_ONE = ("model.safetensors", "pytorch_model.bin")
_SEVERAL = tuple(f"{name}.index.json" for name in _ONE)


def is_weights_folder(path: str | os.PathLike[str]) -> bool:
    """Whether it is a folder of weights. A run's folder, which has a config.json too, is none."""
    folder = os.path.expanduser(path)
    return any(os.path.isfile(os.path.join(folder, name)) for name in (*_ONE, *_SEVERAL))


def files_in(folder: Path) -> list[Path]:
    """The files that together hold the weights of such a folder; safetensors before PyTorch's.

    Raises InputError: there are none, or the index is damaged or names a file that is not there.
    """
    for one, several in zip(_ONE, _SEVERAL, strict=True):
        if (folder / one).is_file():
            return [folder / one]
        if (folder / several).is_file():
            return [folder / name for name in _named(folder / several)]
    raise InputError(f"{folder} is a folder without weights: it has none of {', '.join((*_ONE, *_SEVERAL))}")


def _named(index: Path) -> list[str]:
    try:
        names = list(dict.fromkeys(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{index} is no index of files of weights: it has no weight_map of names") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(f"{index} names {str(name)[:100]!r}, which is no file beside it")
        if not (index.parent / name).is_file():
            raise InputError(f"{index} names {name}, which is not there")
    return names
