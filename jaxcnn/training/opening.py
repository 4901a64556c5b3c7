"""Making the folder of a run ready: what is in it, who trains there, and what may be deleted. README.md tells more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from jaxcnn.host.errors import InputError
from jaxcnn.host.files import sync_folder
from jaxcnn.host.lock import Locked, lock
from jaxcnn.training.run_folder import Record, read_record, write_record

LOCK = ".lock"
DISCARDED = "discarded.json"  # the config.json of a run that is being replaced
# All that training writes. Anything else in the folder is the person's, and stays.
OURS = (
    *(LOCK, "config.json", DISCARDED, "checkpoints", "metrics.jsonl", "steps.jsonl", "result.json"),
    *("curves.png", "confusion_matrix.png", "tensorboard", "profile", "report.html", "diverged.json"),
)


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Raise InputError where training could only be refused, whatever the config: the folder is in another state than
    the options are for."""
    if resume and overwrite:
        raise InputError("--resume continues a run and --overwrite discards it: give one of them")
    names = _names(folder)
    begun, run = bool(names - {LOCK}), "config.json" in names
    half_replaced = DISCARDED in names and not run
    if half_replaced and not overwrite:
        raise InputError(f"the run in {folder} was being replaced when that was stopped: finish it with --overwrite")
    if resume and not begun:
        state = "holds no run" if folder.is_dir() else "does not exist"
        raise InputError(f"there is nothing to resume: {folder} {state}; begin it without --resume")
    if resume and not run:
        raise InputError(f"{folder} cannot be resumed without its config.json: put that back, or choose another --name")
    if resume or not begun or half_replaced:
        return
    foreign = sorted(names - set(OURS))
    if foreign and not _is_run(folder):
        raise InputError(
            f"{folder} is not the folder of a run, as it has {foreign[0]} and no config.json of a run: "
            "it is left alone; choose another --name"
        )
    if not overwrite:
        ways = "continue it with --resume, replace it with" if run else "it has no config.json; replace it with"
        raise InputError(f"{folder} exists: {ways} --overwrite, or choose another --name")


def _names(folder: Path) -> set[str]:
    """The names in a folder; those of files that were half written do not count. Raises InputError."""
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()
    except NotADirectoryError:
        raise InputError(f"{folder} cannot be a folder, as a file is in its place: choose another --name") from None
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte
        raise InputError(f"{str(folder)!r} cannot be the name of a folder: {error}") from error
    return names - {f"{name}.partial" for name in OURS}


def _is_run(folder: Path) -> bool:
    try:
        read_record(folder)
    except InputError:
        return False
    return True


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have the folder of a run for this process alone; it is made where there is none.

    Whoever only reads needs no such thing. Raises InputError where another process trains there.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock(folder / LOCK))
        except Locked as holder:
            raise InputError(f"{folder} is being trained by {holder}: wait for it, or choose another --name") from None
        except OSError as error:
            raise InputError(f"cannot write to the folder {folder}: {error.strerror or error}") from error
        yield


def open_run(folder: Path, record: Record, overwrite: bool) -> None:
    """Make a folder that is held ready for a new run; with `overwrite`, what training wrote there before is deleted.

    Raises InputError where it cannot be written. Whenever it ends, the folder holds the old run, or the new one, or
    something that `check_folder` takes for neither.
    """
    try:
        check_folder(folder, resume=False, overwrite=overwrite)
        names = _names(folder)
        if "config.json" in names:
            (folder / "config.json").replace(folder / DISCARDED)
            sync_folder(folder)
        for name in OURS:
            if name in names - {LOCK, DISCARDED, "config.json"}:
                _delete(folder / name)
        write_record(folder, record)
        (folder / DISCARDED).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror or error}") from error


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
