"""A disk that fails while a checkpoint is written, at each call in turn: nothing wrong is ever read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler")
def test_a_save_that_fails_at_any_call_leaves_the_checkpoint_before_it(tmp_path: Path):
    library = tmp_path / "faulty_disk.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "faulty_disk.c", "-ldl", "-lpthread"], check=True
    )
    environment = os.environ | {"LD_PRELOAD": str(library), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, HERE / "faulty_saves.py", tmp_path], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    calls = [int(re.search(r": (\d+) calls", line)[1]) for line in done.stdout.splitlines()]
    told = [int(re.search(r"'told': (\d+)", line)[1]) for line in done.stdout.splitlines()]
    assert len(calls) == 2 and min(calls) > 30 and min(told) > 20, done.stdout
