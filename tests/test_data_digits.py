"""The digits, the choice of a source, and the seeded split that every source shares."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxcnn import data
from jaxcnn.data.config import DataConfig
from jaxcnn.host.errors import InputError


def test_the_digits_are_the_1797_of_scikit_learn_scaled_to_255():
    digits = data.load(DataConfig(source="digits"))
    assert digits.classes == tuple("0123456789")
    assert digits.train.images.shape == (1438, 8, 8, 1)
    assert digits.test.images.shape == (359, 8, 8, 1)
    assert digits.train.images.dtype == np.uint8 and digits.train.labels.dtype == np.int32
    values, names = load_digits(return_X_y=True)
    train, test = data.hold_out(names, 0.2, 0)
    for split, places in ((digits.train, train), (digits.test, test)):
        np.testing.assert_array_equal(split.labels, names[places])
        # 255 / 16 of a pixel is at most half a step from its rounded value.
        scaled = values[places].reshape(-1, 8, 8) * 255 / 16
        assert np.abs(split.images[..., 0] - scaled).max() <= 0.5
    assert {digits.train.images.min(), digits.train.images.max()} == {0, 255}
    assert digits.name == "digits"


def test_size_and_channels_apply_to_the_digits():
    digits = data.load(DataConfig(source="digits", size=(28, 20), channels=3))
    assert digits.train.images.shape[1:] == (28, 20, 3)
    np.testing.assert_array_equal(digits.test.images[..., 0], digits.test.images[..., 2])
    assert digits.test.images.std() > 50  # still digits


def test_the_split_is_disjoint_complete_and_stratified():
    labels = np.random.default_rng(3).integers(0, 7, 1000)
    train, test = data.hold_out(labels, 0.3, 11)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(1000))
    for label in range(7):
        assert (labels[test] == label).sum() == round(0.3 * (labels == label).sum())


def test_the_split_is_the_same_on_every_machine():
    # The first raw draws of PCG64(0), which NumPy's stream promise fixes for good, in the order of 12 images.
    _, test = data.hold_out(np.arange(12) % 2, 0.5, 0)
    assert test.tolist() == [1, 2, 3, 6, 8, 11]
    draws = np.random.PCG64(0).random_raw(12)
    for label in (0, 1):
        members = np.arange(label, 12, 2)
        assert set(members[np.argsort(draws[members])][:3]) == set(test[test % 2 == label])


def test_the_seed_chooses_the_split():
    labels = np.arange(200) % 4
    again, other = data.hold_out(labels, 0.25, 5), data.hold_out(labels, 0.25, 6)
    np.testing.assert_array_equal(data.hold_out(labels, 0.25, 5)[1], again[1])
    assert again[1].tolist() != other[1].tolist()


def test_a_class_of_two_has_one_image_on_each_side_and_a_class_of_one_stays_in_training():
    train, test = data.hold_out(np.array([0, 0, 1, 2, 2]), 0.01, 0)
    assert len(test) == 2 and 2 in train
    train, test = data.hold_out(np.array([0, 0, 1, 2, 2]), 0.99, 0)
    assert len(test) == 2 and 2 in train


def test_importing_the_data_package_loads_no_reader_library():
    heavy = ("PIL", "sklearn", "tensorflow_datasets")
    code = f"import sys, jaxcnn.data; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "diggits",
            r"unknown data source 'diggits': it is one of digits, idx:DIR, .*; did you mean digits\?",
        ),
        ("folders:/x", r"did you mean folder:PATH\?"),
        ("TFDS:mnist", r"did you mean tfds:NAME\?"),
        ("idx", r"did you mean idx:DIR\?"),
        ("folder:", r"did you mean folder:PATH\?"),
        ("digits:8", r"did you mean digits\?"),
        ("", r"unknown data source '': it is one of digits, idx:DIR, folder:PATH, tfds:NAME$"),
        ("imagenet-from-the-moon", r"tfds:NAME$"),
    ],
)
def test_an_unknown_source_lists_the_known_ones(source: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        data.load(DataConfig(source=source))


def test_a_bare_path_is_taken_for_a_folder(tmp_path):
    with pytest.raises(InputError, match=f"did you mean folder:{tmp_path}"):
        data.load(DataConfig(source=str(tmp_path)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": (0, 28)}, r"data.size .* not \(0, 28\)"),
        ({"size": (28,)}, r"data.size .* not \(28,\)"),
        ({"channels": 2}, r"data.channels .* not 2"),
        ({"test_fraction": 0.0}, r"data.test_fraction .* between 0 and 1, not 0.0"),
        ({"test_fraction": 1.0}, r"data.test_fraction"),
        ({"split_seed": -1}, r"data.split_seed must be 0 or more, not -1"),
    ],
)
def test_an_impossible_field_is_named(options: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        data.load(DataConfig(source="digits", **options))
