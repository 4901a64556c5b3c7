"""State dicts as training scripts save them: found, told apart, and brought to the network's names."""

from __future__ import annotations

import json
import pickle
import re

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.commands.main import main
from jaxcnn.host.errors import InputError
from jaxcnn.spec import BatchNorm, Conv, Dense, GlobalPool, seq
from jaxcnn.weights.files import read, write
from jaxcnn.weights.pretrained import load_weights
from jaxcnn.weights.state_dict import renamed, state_dict_of

KEY = jax.random.key(0)
SHAPE = (4, 4, 1)
NET = seq(conv1=Conv(2, 3), bn=BatchNorm(), pool=GlobalPool(), fc=Dense(3))


def state(fill=1.0, net=NET):
    """A state dict of the network, full of one number."""
    arrays = jaxcnn.to_torch(net, *jaxcnn.init(net, KEY, SHAPE))
    return {name: np.full_like(array, fill) for name, array in arrays.items()}


def taken(source, **options):
    """The number that the loaded kernels are full of."""
    params, stats = jaxcnn.from_torch(NET, source, SHAPE, **options)
    assert {p: set(a) for p, a in params.items()} == {
        "conv1": {"kernel"},
        "bn": {"scale", "bias"},
        "fc": {"kernel", "bias"},
    }
    (number,) = {float(array.max()) for array in jax.tree.leaves((params, stats))}
    return number


def prefixed(prefix, fill=1.0):
    return {f"{prefix}{name}": array for name, array in state(fill).items()}


# prefixes


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "model.", "backbone.", "net.", "module.model.backbone.", "_orig_mod.module.", "model.0."],
)
def test_a_prefix_of_all_names_is_taken_off(prefix, capsys):
    assert taken(prefixed(prefix)) == 1
    assert capsys.readouterr().err == ""


def test_a_compiled_or_wrapped_part_inside_is_unwrapped():
    given = {re.sub(r"^(conv1|fc)\.", r"\1._orig_mod.", name): array for name, array in state().items()}
    assert taken({f"module._fsdp_wrapped_module.{name}": array for name, array in given.items()}) == 1


def test_what_does_not_have_the_prefix_is_left_out_and_said(capsys):
    beside = {"module.projector.0.weight": np.ones((8, 8)), "module.queue": np.ones((4, 8)), "criterion.w": np.ones(3)}
    assert taken(prefixed("module.encoder.", 2) | beside) == 2
    assert capsys.readouterr().err == (
        "jaxcnn: the weights: took what begins with 'module.encoder.', left out 3 others (module.projector.0.weight, "
        "module.queue, criterion.w, ...)\n"
    )


def test_two_parts_that_fit_are_refused_until_one_is_named():
    given = prefixed("module.encoder_q.", 1) | prefixed("module.encoder_k.", 2)
    with pytest.raises(ValueError, match=r"fits 'module\.encoder_q' and 'module\.encoder_k' of the state dict"):
        taken({"state_dict": given})
    assert taken({"state_dict": given}, key="state_dict.module.encoder_k") == 2
    assert taken(given, key="module.encoder_q") == 1


def test_a_backbone_loads_under_a_new_head():
    given = {name: array for name, array in prefixed("backbone.", 2).items() if "fc" not in name}
    params, _ = jaxcnn.from_torch(NET, given | {"head.mlp.0.weight": np.ones((8, 2))}, SHAPE, head="new", rng=KEY)
    assert float(params["conv1"]["kernel"].max()) == 2
    np.testing.assert_array_equal(params["fc"]["kernel"], jaxcnn.init(NET, KEY, SHAPE)[0]["fc"]["kernel"])
    with pytest.raises(ValueError, match=re.escape("2 missing (fc.weight 3x2, fc.bias 3)")):
        jaxcnn.from_torch(NET, given, SHAPE)


def test_names_that_fit_as_they_are_keep_their_beginning():
    net = seq(module=NET)
    params, _ = jaxcnn.from_torch(net, prefixed("module."), SHAPE)
    assert set(params) == {"module.conv1", "module.bn", "module.fc"}


def test_names_that_fit_nowhere_are_said_as_they_are():
    with pytest.raises(ValueError, match=re.escape("1 unexpected (model.w 2)")):
        taken({"model.w": np.ones(2)})


# which state dict


@pytest.mark.parametrize(
    "name",
    ["state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params", "params_ema", "ema",
     "state_dict_ema", "model_ema", "teacher", "student", "generator"],
)  # fmt: skip
def test_a_state_dict_is_found_by_itself(name, capsys):
    optimizer = {"state": {0: {"momentum": np.ones((2, 2))}}, "param_groups": [{"lr": 0.1}]}
    beside = {"epoch": 3, "optimizer": optimizer, "rng_state": np.ones(9), "best": np.float32(1)}
    assert taken({**beside, name: state(4)}) == 4
    assert taken({**beside, "checkpoint": {name: prefixed("module.", 4)}}) == 4
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [("model_ema", "model"), ("state_dict_ema", "state_dict"), ("teacher", "student"), ("ema", "model"),
     ("params_ema", "params"), ("model", "extra")],
)  # fmt: skip
def test_of_several_averages_come_first_and_which_was_taken_is_said(first, second, capsys):
    for source in ({first: state(1), second: state(2)}, {second: state(2), first: state(1)}):
        assert taken(source) == 1
        assert capsys.readouterr().err == (
            f"jaxcnn: the weights: took the state dict '{first}'; key= or --weights-key takes another: '{second}'\n"
        )
        assert taken(source, key=second) == 2
        assert capsys.readouterr().err == ""


def test_of_several_without_a_telling_name_none_is_taken():
    both = {"a": state(1), "b": {"inner": state(2)}}
    with pytest.raises(ValueError, match=r"there are state dicts at 'a', 'b\.inner': say which by key="):
        taken(both)
    assert taken(both, key="b.inner") == 2
    with pytest.raises(ValueError, match=r"there is no state dict at key='c'; there is one at 'a', 'b\.inner'"):
        taken(both, key="c")
    with pytest.raises(ValueError, match="there is no state dict at key='model'; there is one at the top"):
        taken(state(), key="model")


def test_a_dict_in_itself_has_an_end():
    source = {"model": {"state_dict": state(3)}}
    source["model"]["model"] = source  # pyright: ignore[reportArgumentType]
    assert taken(source) == 3
    empty: dict = {}
    empty["model"] = empty
    with pytest.raises(ValueError, match=r"there is no state dict: \['model'\] are not names of arrays"):
        taken(empty)


def test_names_without_end_are_refused():
    with pytest.raises(ValueError, match="the state dict has a name of 200,000 letters"):
        taken(state() | {"a." * 100_000: np.ones(2)})


def test_counters_are_left_out_and_what_is_no_array_is_skipped():
    counters = {"n_averaged": np.array(5), "module.bn.num_batches_tracked": np.array(7)}
    assert taken({**counters, **prefixed("module.", 3)}) == 3
    assert taken({**state(2), "extra_state": None, "version": "1.0", "epoch": 3}) == 2


# the head


def test_a_head_that_is_a_part_of_a_sequential_is_the_head():
    given = {name.replace("fc.", "fc.1."): array for name, array in state(5).items()}
    assert taken(given) == 5
    assert taken({f"module.{name}": array for name, array in given.items()}) == 5


def test_a_head_that_is_no_part_of_a_sequential_is_the_head_of_one():
    wanted = {"classifier.1.weight", "classifier.1.bias", "conv1.weight"}
    found = renamed({"classifier.weight": 1, "classifier.bias": 2, "conv1.weight": 3}, wanted, "classifier.1")
    assert found.state == {"classifier.1.weight": 1, "classifier.1.bias": 2, "conv1.weight": 3}


def test_a_head_of_several_layers_is_not_taken_for_one():
    given = {name: array for name, array in state().items() if not name.startswith("fc")}
    given |= {"fc.0.weight": np.ones((8, 2)), "fc.2.weight": np.ones((3, 8))}
    with pytest.raises(ValueError, match=r"2 missing \(fc\.weight 3x2, fc\.bias 3\), 2 unexpected \(fc\.0\.weight"):
        taken(given)
    params, _ = jaxcnn.from_torch(NET, given, SHAPE, head="new", rng=KEY)  # a new head has no need of it
    assert params["fc"]["kernel"].shape == (2, 3)


# files and folders


def test_a_folder_of_the_hugging_face_hub_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "num_classes": 3}))
    with pytest.raises(InputError, match=r"is a folder without weights$"):
        read(tmp_path)
    write(tmp_path / "model.safetensors", state(3))
    assert taken(tmp_path) == 3
    assert float(load_weights(NET, tmp_path, SHAPE)[0]["fc"]["bias"][0]) == 3


def test_a_folder_with_an_index_is_read_whole(tmp_path):
    arrays = state(6)
    parts = {"model-00001-of-00002.safetensors": ["conv1.weight"], "model-00002-of-00002.safetensors": list(arrays)[1:]}
    index = {name: file for file, names in parts.items() for name in names}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    for file, names in parts.items():
        with pytest.raises(InputError, match=f"names {file}, which is not there"):
            read(tmp_path)
        write(tmp_path / file, {name: arrays[name] for name in names})
    assert taken(tmp_path) == 6


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "../a.npz"}}'])
def test_an_index_that_leads_elsewhere_is_refused(content, tmp_path):
    (tmp_path / "pytorch_model.bin.index.json").write_text(content)
    with pytest.raises(InputError, match=r"is no index of files of weights|which is no file beside it"):
        read(tmp_path)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A file of LeNet-5's weights and their averages."""
    monkeypatch.chdir(tmp_path)
    net, shape = jaxcnn.create("lenet5"), (28, 28, 1)
    arrays = jaxcnn.to_torch(net, *jaxcnn.init(net, KEY, shape), shape)
    plain, average = ({name: np.full_like(array, fill) for name, array in arrays.items()} for fill in (1, 2))
    (tmp_path / "two.pth").write_bytes(pickle.dumps({"model": plain, "model_ema": average, "epoch": 3}))


@pytest.mark.parametrize(("options", "number"), [([], 2), (["--weights-key", "model"], 1)])
def test_the_command_line_chooses_among_several(two, options, number, capsys):
    assert main(["convert", "two.pth", "--network", "lenet5", "--output", "o.npz", *options]) == 0
    assert float(read("o.npz")["conv1.weight"].max()) == number
    said = "jaxcnn: two.pth: took the state dict 'model_ema'; key= or --weights-key takes another: 'model'\n"
    assert capsys.readouterr().err == ("" if options else said)
    params = jaxcnn.pretrained("lenet5", "two.pth", key=options[1] if options else None).params
    assert float(params["conv1"]["kernel"].max()) == number


def test_the_command_line_takes_a_folder_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net, shape = jaxcnn.create("lenet5"), (28, 28, 1)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").write_text("{}")
    write(tmp_path / "hub" / "model.safetensors", jaxcnn.to_torch(net, *jaxcnn.init(net, KEY, shape), shape))
    assert main(["convert", "hub", "--network", "lenet5", "--output", "o.npz"]) == 0


def test_state_dicts_are_listed_by_their_places():
    found = state_dict_of({"teacher": {"backbone": state(1)}, "student": state(2)})
    assert (found.key, found.others) == ("teacher.backbone", ("student",))
