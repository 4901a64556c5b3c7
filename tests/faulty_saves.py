"""Run under a preloaded faulty disk: a save that fails at its n-th call, for every n; prints what was seen.

After each, a sound checkpoint is there, of the step that is claimed and with that step's numbers, and the next save is
as if nothing had been.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import shutil
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.host.errors import Failed
from jaxcnn.training import checkpoint
from jaxcnn.training.writer import writer

disk = ctypes.CDLL(os.environ["LD_PRELOAD"])
disk.faulty_disarm.restype = ctypes.c_long
KINDS = {"full once": (errno.ENOSPC, 0), "dead from then on": (errno.EIO, 1)}  # the latter is also what a kill leaves


def trees(step: int) -> tuple[dict, dict]:
    numbers = jnp.arange(300, dtype=jnp.float32).reshape(20, 15) + 1000 * step
    return {"fc": {"kernel": numbers}}, {"step": jnp.asarray(step), "momentum": -numbers}


def check(folder: Path, least: int) -> int:
    """The step of the newest sound checkpoint, whose numbers are those of that step."""
    place, _ = checkpoint.newest([folder])
    assert place is not None, sorted(folder.rglob("*"))
    step = checkpoint.step_of(place)
    assert step >= least
    found = checkpoint.read(place, *trees(0))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(trees(step)), strict=True):
        np.testing.assert_array_equal(one, other)
    return step


def main(top: Path) -> None:
    warnings.simplefilter("ignore")
    begin, folder = top / "begin", top / "checkpoints"
    with writer(begin, 2) as kept:
        for step in 1, 2:
            kept.save(step, *trees(step))
    for kind, (code, always) in KINDS.items():
        outcomes = {"told": 0, "whole all the same": 0}
        for number in itertools.count(1):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(begin, folder)
            told = False
            try:
                with writer(folder, 2) as kept:
                    disk.faulty_arm(str(folder).encode(), ctypes.c_long(number), code, always)
                    try:
                        kept.save(3, *trees(3))
                        kept.wait_until_finished()
                    finally:
                        calls = disk.faulty_disarm()
            except Failed as error:
                told = True
                assert "could not be written" in str(error) and "is whole" in str(error), error
            step = check(folder, 2)
            assert told or step == 3, f"{kind} at {number}: nothing was said, and step {step} is the newest"
            with writer(folder, 2) as kept:
                kept.save(4, *trees(4))
            assert check(folder, 4) == 4 and len(checkpoint.places(folder)) == 2
            if calls < number:
                break
            outcomes["told" if told else "whole all the same"] += 1
        print(f"{kind}: {number - 1} calls, {outcomes}", flush=True)


main(Path(sys.argv[1]))
