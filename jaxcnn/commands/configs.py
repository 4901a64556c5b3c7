"""The configs: Python files that each hold one TrainConfig, called `config`."""

from __future__ import annotations

import difflib
import runpy
from pathlib import Path

import jaxcnn
from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded


def packaged() -> dict[str, Path]:
    """The configs that come with jaxcnn, by name: a wheel has them in the package, a checkout beside it."""
    package = Path(jaxcnn.__file__).parent
    folders = package / "configs", package.parent / "configs"
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.py"))}


def find_config(name: str) -> Path:
    """The file of a config: a path, or the name of one that comes with jaxcnn. Raises InputError for neither."""
    path = expanded(name)
    if path.is_file():
        return path
    known = packaged()
    if name in known:
        return known[name]
    beside = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() and path.suffix else []
    close = difflib.get_close_matches(name, [*beside, *known], n=1)
    there = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(beside) or known) or 'none'}"
    raise InputError(f"there is no config {name}; {there}")


def read_config(path: Path) -> TrainConfig:
    """The value called `config` in a Python file. Raises InputError where there is none that can be used."""
    try:
        config = runpy.run_path(str(path)).get("config")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except SystemExit as leaving:
        raise InputError(f"{path} cannot be read as a config: it ends the program, by exit({leaving.code})") from None
    except Exception as error:
        raise InputError(f"{path} cannot be read as a config: {type(error).__name__}: {error}") from error
    if not isinstance(config, TrainConfig):
        raise InputError(f"{path} must define `config = TrainConfig(...)` from jaxcnn.config")
    return config
