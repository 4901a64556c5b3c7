"""Settings that are one of several kinds: as words, as JSON, and what is refused."""

from __future__ import annotations

import json

import pytest

from jaxcnn.config import SGD, Adam, Augmentation, Constant, Crop, Flip, Rule, Schedule, Step, Task, TrainConfig
from jaxcnn.host.choices import Choice
from jaxcnn.host.errors import InputError
from jaxcnn.host.settings import from_json, to_json

FAMILIES = (Rule, Schedule, Augmentation, Task)


@pytest.mark.parametrize(
    ("family", "words", "values"),
    [
        (Rule, "sgd", [SGD()]),
        (Rule, "sgd=0.8", [SGD(0.8)]),
        (Rule, "sgd momentum=0.8 nesterov=false", [SGD(0.8, False)]),
        (Rule, "adam eps=1", [Adam(eps=1.0)]),
        (Schedule, "step epochs=10,15.5 factor=0.5", [Step((10, 15.5), 0.5)]),
        (Augmentation, "flip crop=2 flip probability=1", [Flip(), Crop(2), Flip(1.0)]),
        (Augmentation, "", []),
    ],
)
def test_words_are_values(family: type[Choice], words: str, values: list[Choice]):
    assert family.parse(words.split()) == tuple(values)


@pytest.mark.parametrize(
    ("family", "words", "sentence"),
    [
        (Rule, "sgx", "there is no optimizer 'sgx'; did you mean 'sgd'?"),
        (
            Augmentation,
            "crop=1,zeros,1,2",
            "augmentation crop has only the fields padding, fill, probability: crop=1,zeros,1,2",
        ),
        (Augmentation, "crop=1,2", "augmentation crop: fill must be one of zeros, reflect, edge, not 2"),
        (Augmentation, "crop pad=3", "augmentation crop has no field 'pad'; did you mean 'padding'?"),
        (Augmentation, "padding=3", "there is no augmentation 'padding'; there are: "),
        (Augmentation, "crop=wide", "augmentation crop: padding must be int, not 'wide'"),
        (Augmentation, "crop=-1", "crop's padding must not be negative, not -1"),
        (Schedule, "step", "the step schedule needs at least one of its epochs"),
        (Schedule, "constant=3", "schedule constant has only the fields none: constant=3"),
    ],
)
def test_words_that_mean_nothing_are_an_error(family: type[Choice], words: str, sentence: str):
    with pytest.raises(InputError) as error:
        family.parse(words.split())
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_comes_back_from_its_words_and_its_json(family: type[Choice]):
    for kind in family.kinds.values():
        value = kind((2.0,)) if kind is Step else kind()  # type: ignore[call-arg]
        assert family.parse(value.words()) == (value,)
        assert family.from_json(json.loads(json.dumps(to_json(value)))) == value
        assert hash(value) == hash(family.parse(value.words())[0])


def test_a_config_comes_back_from_its_json():
    config = TrainConfig(freeze=("conv1",), network_options={"width": 3})
    assert from_json(TrainConfig, json.loads(json.dumps(to_json(config)))) == config


def test_an_unknown_kind_in_json_is_an_error():
    with pytest.raises(KeyError):
        Schedule.from_json({"kind": "sawtooth"})
    assert Schedule.from_json({"kind": "constant"}) == Constant()
