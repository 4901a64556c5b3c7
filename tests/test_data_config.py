"""What cannot be meant is refused when a config is made, before any data are read."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

import jaxcnn.data.config
from jaxcnn import data
from jaxcnn.data.config import SMALLEST_STD, DataConfig
from jaxcnn.data.pixels import normalize
from jaxcnn.host.errors import InputError


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": (100_000, 100_000)}, r"data\.size must be a height and width of 1 to 8192 pixels, not \(100000, "),
        ({"size": (32, 8193)}, r"data\.size .* not \(32, 8193\)"),
        ({"size": (0, 28)}, r"data\.size .* not \(0, 28\)"),
        ({"size": (28,)}, r"data\.size .* not \(28,\)"),
        ({"fit": "stretch"}, r"data\.fit must be one of crop, pad, squash, not 'stretch'"),
        ({"resize": 256}, r"data\.resize 256 is for a data\.size"),
        ({"resize": 256, "size": (224, 224), "fit": "pad"}, r"data\.resize 256 .* data\.fit crop"),
        ({"resize": 200, "size": (224, 192)}, r"data\.resize must be from .* \(224, 192\) to 8192, not 200"),
        ({"resize": 8193, "size": (224, 192)}, r"data\.resize .* not 8193"),
        ({"channels": 2}, r"data\.channels .* not 2"),
        ({"skip_damaged": "yes"}, r"data\.skip_damaged must be bool, not 'yes'"),
        ({"std": (1e-45,)}, r"data\.std .* from 1e-06 to 1, so not \(1e-45,\)"),
        ({"std": (0.0, 0.5)}, r"data\.std"),
        ({"std": (-0.5,)}, r"data\.std"),
        ({"std": (58.4,)}, r"data\.std is that of pixels in \[0, 1\]"),
        ({"std": (float("nan"),)}, r"data\.std must be finite"),
        ({"std": ()}, r"data\.std"),
        ({"mean": (123.7, 116.3, 103.5)}, r"data\.mean is that of pixels in \[0, 1\], .* by 255"),
        ({"mean": (1e300,)}, r"data\.mean"),
        ({"mean": ()}, r"data\.mean"),
        ({"split_seed": -1}, r"data\.split_seed must be 0 or more, not -1"),
    ],
)
def test_an_impossible_setting_is_named(options: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        DataConfig(**options)


def test_the_smallest_deviation_gives_finite_numbers():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for mean, std in ((0.0, SMALLEST_STD), (1.0, SMALLEST_STD), (0.5, 1.0)):
        assert np.isfinite(np.asarray(normalize(levels, (mean,), (std,)))).all()  # pyright: ignore[reportArgumentType]


def test_every_setting_has_its_help():
    text = Path(jaxcnn.data.config.__file__).read_text()
    for field in fields(DataConfig):
        definition = text.index(f"    {field.name}: ")
        assert text[definition:].split("\n")[1].startswith('    """'), field.name


def test_a_config_is_plain_json():
    assert json.loads(json.dumps(asdict(DataConfig(fit="pad"))))["fit"] == "pad"


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (DataConfig("folder:~nobody-of-that-name/x"), "there is no user nobody-of-that-name, whose folder"),
        (DataConfig("idx:~nobody-of-that-name"), "there is no user nobody-of-that-name"),
        (DataConfig("~nobody-of-that-name/x"), "unknown data source"),
        (DataConfig("tfds:mnist", data_dir="~nobody-of-that-name"), "there is no user nobody-of-that-name"),
        (DataConfig("folder:a\0b"), r"the path a\\x00b holds a NUL character"),
        (DataConfig("idx:a\0b"), r"the path a\\x00b holds a NUL character"),
        (DataConfig("folder:" + "a" * 300), "a cannot be read: File name too long"),
        (DataConfig("idx:" + "a" * 300), "a cannot be read: File name too long"),
        (DataConfig("a" * 300), "unknown data source"),
        (DataConfig("\0"), "unknown data source"),
    ],
)
def test_a_path_that_no_file_can_have_is_a_sentence(config: DataConfig, sentence: str):
    with pytest.raises(InputError, match=sentence):
        data.load(config)


def test_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for source, sentence in (("folder:~/pets", "/pets does not exist"), ("idx:~/m", "/m is not a folder")):
        with pytest.raises(InputError, match=f"^{tmp_path}{sentence}"):
            data.load(DataConfig(source))
