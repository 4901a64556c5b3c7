"""The folder of a run may be a stranger's: what it names as its network is code, and is run for whoever says so."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from jaxcnn.config import Adam, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.training.loop import fit
from jaxcnn.training.plan import prepare
from jaxcnn.training.trained import trained

OWN = TrainConfig(
    name="own", network="a_plugin:net", data=DataConfig("digits"), optimizer=OptimizerConfig(Adam(), lr=1e-2), epochs=1,
    batch_size=720,
)  # fmt: skip
PLUGIN = """
from pathlib import Path
from jaxcnn.spec import Dense, Flatten, seq
(Path(__file__).parent / "it ran").touch()
def net(classes):
    return seq(Flatten(), fc=Dense(classes))
"""


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """The folder of a run of `a_plugin:net`, with the plugin beside it, not imported yet."""
    (tmp_path / "a_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    fit(OWN, results=tmp_path, console=Console(quiet=True))
    forget(tmp_path)
    yield tmp_path / "own"
    sys.modules.pop("a_plugin", None)


def forget(folder: Path) -> None:
    sys.modules.pop("a_plugin")
    (folder / "it ran").unlink()


def test_a_network_of_the_runs_own_is_imported_only_where_it_is_trusted(run):
    with pytest.raises(
        InputError,
        match=r"the network of .*own is a_plugin:net, code that .* would be run: name it by --network a_plugin:net",
    ):
        trained(run)
    assert "a_plugin" not in sys.modules and not (run.parent / "it ran").exists()
    assert trained(run, trust=True).params["fc"]["kernel"].shape == (64, 10)
    assert (run.parent / "it ran").exists()
    forget(run.parent)
    begun_with = replace(OWN, network="mlp", weights=str(run), head="new")
    with pytest.raises(InputError, match=r"own is a_plugin:net.*--network"):
        prepare(begun_with)
    assert not (run.parent / "it ran").exists()
    assert prepare(replace(OWN, weights=str(run))).start is not None  # the config has named the same network


def test_nothing_else_in_the_folder_of_a_run_is_run(run):
    """A name that no network has is no module either."""
    saved = json.loads((run / "config.json").read_text())
    for name in "a_plugin", "os:system", "a_plugin.net:x", "/a_plugin:net":
        saved["config"]["network"] = name
        (run / "config.json").write_text(json.dumps(saved))
        with pytest.raises(InputError, match="--network"):
            trained(run)
    assert not (run.parent / "it ran").exists()
