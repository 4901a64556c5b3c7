"""Weights of Keras: every file format, by name and by order, and the same outputs."""

from __future__ import annotations

import io
import json
import os
import re
import tracemalloc
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.host.errors import InputError
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Identity,
    LayerNorm,
    Pool,
    add,
    concat,
    seq,
)
from jaxcnn.weights import keras_files
from jaxcnn.weights.files import write as write_npz
from jaxcnn.weights.keras_files import read_keras
from jaxcnn.weights.keras_order import keras_layers
from jaxcnn.weights.pretrained import load_weights

KEY = jax.random.key(0)
SHAPE = (8, 8, 3)


def small(classes=5):
    """A convolution, an unscaled norm, a separable and a depthwise convolution, a dense layer after Flatten."""
    return seq(
        stem=seq(conv=Conv(4, 3, bias=True), bn=BatchNorm(scale=False, eps=1e-3)), act=Act(),
        sep=seq(depthwise=Conv(None, 3, 1, 0, groups=None), pointwise=Conv(6, 1, bias=True)),
        bn2=BatchNorm(eps=1e-3), twice=Conv(12, 3, groups=None, bias=True), pool=Pool("max", 2),
        flatten=Flatten(), drop=Dropout(0.5), fc=Dense(classes),
    )  # fmt: skip


def small_arrays(classes=5, seed=0):
    """What Keras's get_weights() gives for `small`, drawn; and what our parameters then are."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.uniform(0.2, 1, shape).astype(np.float32)

    arrays = [
        draw(3, 3, 3, 4), draw(4), draw(4), draw(4), draw(4), draw(3, 3, 4, 1), draw(1, 1, 4, 6), draw(6),
        draw(6), draw(6), draw(6), draw(6), draw(3, 3, 6, 2), draw(12), draw(3 * 3 * 12, classes), draw(classes),
    ]  # fmt: skip
    twice = np.stack([arrays[12][:, :, c, m] for c in range(6) for m in range(2)], -1)[:, :, None]
    params = {
        "stem.conv": {"kernel": arrays[0], "bias": arrays[1]}, "stem.bn": {"bias": arrays[2]},
        "sep.depthwise": {"kernel": arrays[5].reshape(3, 3, 1, 4)},
        "sep.pointwise": {"kernel": arrays[6], "bias": arrays[7]}, "bn2": {"scale": arrays[8], "bias": arrays[9]},
        "twice": {"kernel": twice, "bias": arrays[13]}, "fc": {"kernel": arrays[14], "bias": arrays[15]},
    }  # fmt: skip
    stats = {"stem.bn": {"mean": arrays[3], "var": arrays[4]}, "bn2": {"mean": arrays[10], "var": arrays[11]}}
    return arrays, (params, stats)


LAYERS = [("conv2d", 2), ("batch_normalization", 3), ("separable_conv2d", 3), ("batch_normalization", 4),
          ("depthwise_conv2d", 2), ("dense", 2)]  # fmt: skip
NAMES = ["stem_conv", "stem_bn", "sep", "bn2", "twice", "fc"]
CLASSES = ["Conv2D", "BatchNormalization", "SeparableConv2D", "BatchNormalization", "DepthwiseConv2D", "Dense"]


def grouped(arrays):
    rest = iter(arrays)
    return [(kind, [next(rest) for _ in range(count)]) for kind, count in LAYERS]


def write_weights(file, arrays, names=None):
    """As Keras 3 writes .weights.h5: groups by kind and counter; newer versions add the layer's name."""
    h5py = pytest.importorskip("h5py")
    counts: dict[str, int] = {}
    with h5py.File(file, "w") as root:
        root.create_group("vars")
        root.create_group("optimizer/vars").create_dataset("0", data=np.ones(3))
        root.create_group("layers/dropout/seed_generator/vars").create_dataset("0", data=np.ones(2))
        for index, (kind, values) in enumerate(grouped(arrays)):
            counts[kind] = counts.get(kind, -1) + 1
            group = root.create_group(f"layers/{kind}_{counts[kind]}" if counts[kind] else f"layers/{kind}")
            held = group.create_group("vars")
            if names:
                held.attrs["name"] = names[index]
            for number, value in enumerate(values):
                held.create_dataset(str(number), data=value)


def write_archive(file, arrays):
    """As an early Keras 3 writes .keras: the names of layers in the configuration only."""
    content = io.BytesIO()
    write_weights(content, arrays)
    layers = [{"class_name": c, "config": {"name": n}} for c, n in zip(CLASSES, NAMES, strict=True)]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": layers}}))
        archive.writestr("model.weights.h5", content.getvalue())


def write_legacy(file, arrays, names, below="", parts=0):
    """As Keras 2 writes .h5: names of layers, each with names of weights; a whole model has them below a group.

    Names that are too many for one attribute are in several, here in `parts`.
    """
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "w") as root:
        group = root.create_group(below) if below else root
        every = [b"input_1", *(name.encode() for name in names)]
        group.attrs.update(
            {f"layer_names{n}": part for n, part in enumerate(np.array_split(np.array(every), parts))}
            if parts
            else {"layer_names": every}
        )
        group.create_group("input_1").attrs["weight_names"] = np.zeros(0)
        for name, (_, values) in zip(names, grouped(arrays), strict=True):
            held = group.create_group(name)
            held.attrs["weight_names"] = [f"{name}/w{number}:0".encode() for number in range(len(values))]
            for number, value in enumerate(values):
                held.create_dataset(f"{name}/w{number}:0", data=value)


AUTOMATIC = [
    "conv2d_7",
    "batch_normalization_7",
    "separable_conv2d_3",
    "batch_normalization_8",
    "depthwise_2",
    "dense_9",
]
FORMS = {
    "weights.h5 without names": ("m.weights.h5", write_weights, {}),
    "weights.h5 with names": ("m.weights.h5", write_weights, {"names": NAMES}),
    "weights.h5 with automatic names": ("m.weights.h5", write_weights, {"names": AUTOMATIC}),
    "keras": ("m.keras", write_archive, {}),
    "legacy weights": ("m.h5", write_legacy, {"names": NAMES}),
    "legacy weights, names in parts": ("m.h5", write_legacy, {"names": NAMES, "parts": 3}),
    "legacy model, automatic names": ("m.h5", write_legacy, {"names": AUTOMATIC, "below": "model_weights"}),
}


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_list_of_arrays_is_read_in_order():
    arrays, expected = small_arrays()
    assert_same(jaxcnn.from_keras(small(), arrays, SHAPE), expected)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same(form, tmp_path: Path):
    name, write, options = FORMS[form]
    arrays, expected = small_arrays()
    write(tmp_path / name, arrays, **options)
    assert_same(jaxcnn.from_keras(small(), tmp_path / name, SHAPE), expected)


def test_names_decide_where_the_file_has_another_order(tmp_path: Path):
    net = seq(a=Conv(2, 1), b=Conv(2, 1), c=Conv(2, 1), pool=GlobalPool())
    h5py = pytest.importorskip("h5py")
    kernels = {name: np.full((1, 1, 2, 2), number, np.float32) for number, name in enumerate("bac")}
    with h5py.File(tmp_path / "m.h5", "w") as root:
        root.attrs["layer_names"] = list(kernels)
        for name, kernel in kernels.items():
            root.create_group(name).attrs["weight_names"] = ["kernel"]
            root[name]["kernel"] = kernel
    params, _ = jaxcnn.from_keras(net, tmp_path / "m.h5", (4, 4, 2))
    assert {path: float(arrays["kernel"][0, 0, 0, 0]) for path, arrays in params.items()} == {"b": 0, "a": 1, "c": 2}


@pytest.mark.slow
def test_keras_itself_gives_the_same_outputs(tmp_path: Path):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    arrays, _ = small_arrays()
    model = keras.Sequential([
        keras.Input(SHAPE), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(scale=False), layers.ReLU(),
        layers.SeparableConv2D(6, 3), layers.BatchNormalization(),
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dropout(0.5), layers.Dense(5),
    ])  # fmt: skip
    model.set_weights(arrays)
    x = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    theirs = np.asarray(model(x))
    for file in "m.weights.h5", "m.keras", "m.h5":
        (model.save_weights if "weights" in file else model.save)(tmp_path / file)
    for source in model.get_weights(), *(tmp_path / file for file in ("m.weights.h5", "m.keras", "m.h5")):
        ours, _ = jaxcnn.apply(small(), *jaxcnn.from_keras(small(), source, SHAPE), jnp.asarray(x))
        # Sums of up to 108 terms of one sign, five layers deep, in float32: some of the last of seven digits.
        np.testing.assert_allclose(ours, theirs, rtol=2e-5)


def test_a_model_in_a_model_and_a_normalization_in_front(tmp_path: Path, capsys):
    """What `keras.applications` with a head of one's own is: names and counters of the inner layers, in one layer."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    base = keras.Sequential([
        keras.Input(SHAPE), layers.Conv2D(4, 3, padding="same", name="stem"), layers.BatchNormalization(name="bn"),
        layers.ReLU(), layers.SeparableConv2D(6, 3, name="sep"),
    ], name="base")  # fmt: skip
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).normal(2, 3, size=(10, *SHAPE)))
    model = keras.Sequential([keras.Input(SHAPE), norm, base, layers.GlobalAveragePooling2D(), layers.Dense(5)])
    rng = np.random.default_rng(1)
    base.set_weights([rng.uniform(0.2, 1, w.shape) for w in base.get_weights()])
    net = seq(
        stem=Conv(4, 3, bias=True), bn=BatchNorm(eps=1e-3), act=Act(),
        sep=seq(depthwise=Conv(None, 3, 1, 0, groups=None), pointwise=Conv(6, 1, bias=True)),
        pool=GlobalPool(), fc=Dense(5),
    )  # fmt: skip
    x = rng.normal(2, 3, size=(2, *SHAPE)).astype(np.float32)
    theirs = np.asarray(model(x))
    for file in "m.weights.h5", "m.keras", "m.H5":
        where = tmp_path / file
        if file == "m.H5":
            model.save(tmp_path / "m.h5")
            (tmp_path / "m.h5").rename(where)
        else:
            (model.save_weights if "weights" in file else model.save)(where)
        capsys.readouterr()
        for read in jaxcnn.from_keras, load_weights:
            params, stats = read(net, where, SHAPE)
            said = capsys.readouterr().err
            assert "left out its layer normalization; the network wants images minus the mean [" in said
            ours, _ = jaxcnn.apply(net, params, stats, jnp.asarray(norm(x)))
            # Sums of up to 108 terms, four layers deep, in float32: some of the last of seven digits.
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-5)


def test_a_model_in_a_model_as_an_early_keras_3_wrote_it(tmp_path: Path):
    """Without names in the groups: those of the configuration, inner ones too; and by counters where there is none."""
    h5py = pytest.importorskip("h5py")
    net, content = seq(a=Conv(2, 1), b=Conv(2, 1), pool=GlobalPool(), fc=Dense(2), out=Dense(2)), io.BytesIO()
    groups = {"layers/functional/layers/conv2d": 1, "layers/functional/layers/conv2d_1": 2,
              "layers/functional/layers/dense": 3, "layers/dense": 4}  # fmt: skip
    shapes = {"conv2d": (1, 1, 2, 2), "conv2d_1": (1, 1, 2, 2), "dense": (2, 2)}
    with h5py.File(content, "w") as root:
        for path, number in groups.items():
            name = path.rpartition("/")[2]
            held = root.create_group(f"{path}/vars")
            held["0"] = np.full(shapes[name], number, np.float32)
            if "dense" in name:
                held["1"] = np.full(2, number, np.float32)
    (tmp_path / "m.weights.h5").write_bytes(content.getvalue())
    inner = [("Conv2D", "b"), ("Conv2D", "a"), ("Dense", "fc")]  # the names decide: b is the first
    layers = [{"class_name": c, "config": {"name": n}} for c, n in inner]
    config = {"class_name": "Functional", "config": {"name": "base", "layers": layers}}
    outer = {"config": {"layers": [config, {"class_name": "Dense", "config": {"name": "out"}}]}}
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(outer))
        archive.writestr("model.weights.h5", content.getvalue())
    for file, expected in ("m.weights.h5", [1, 2, 3, 4]), ("m.keras", [2, 1, 3, 4]):
        params, _ = jaxcnn.from_keras(net, tmp_path / file, (*SHAPE[:2], 2))
        assert [float(params[path]["kernel"].max()) for path in ("a", "b", "fc", "out")] == expected


def bottleneck():
    """A block of Keras's ResNet50: the projection and the last convolution stand one below the sum."""
    body = seq(c1=Conv(2, 1), b1=BatchNorm(), c2=Conv(2, 3), b2=BatchNorm(), c3=Conv(8, 1), b3=BatchNorm())
    return add(body, seq(c0=Conv(8, 1), b0=BatchNorm()), then=Act())


def test_layers_come_by_depth_and_equally_deep_ones_by_the_order_of_the_sum():
    body, shortcut = ["c1", "b1", "c2", "b2"], [["c3", "c0", "b3", "b0"], ["c0", "c3", "b0", "b3"]]
    for reverse in False, True:
        assert [layer.name for layer in keras_layers(bottleneck(), SHAPE, reverse)] == body + shortcut[reverse]


def test_branches_side_by_side_come_by_depth():
    """Keras's Inception: a branch of two units begins one unit before a branch of one."""
    net = concat(seq(a1=Conv(2, 1)), seq(b1=Conv(2, 1), b2=Conv(2, 3)), seq(pool=Pool("avg", 3, 1, 1), c=Conv(2, 1)))
    assert [layer.name for layer in keras_layers(net, SHAPE)] == ["b1", "a1", "b2", "c"]


def test_what_the_output_does_not_need_comes_last_and_separable_convolutions_are_one_layer():
    layers = keras_layers(small(), SHAPE)
    assert [layer.kind for layer in layers] == [kind for kind, _ in LAYERS]
    assert [layer.name for layer in layers] == NAMES
    assert [v.name for v in layers[2].variables] == ["depthwise_kernel", "pointwise_kernel", "bias"]


def numbered(net, shape, reverse):
    return [
        np.full(v.shape, float(i)) for i, layer in enumerate(keras_layers(net, shape, reverse)) for v in layer.variables
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_shapes_tell_which_way_round_a_sum_is(reverse):
    net = seq(block=bottleneck())  # 3 channels in: c0 is 3 to 8, c3 is 2 to 8
    params, _ = jaxcnn.from_keras(net, numbered(net, SHAPE, reverse), SHAPE)
    assert float(params["block.c3"]["kernel"].max()) == (5 if reverse else 4)


def test_layers_that_cannot_be_told_apart_are_refused():
    net, shape = seq(block=bottleneck()), (8, 8, 2)  # 2 channels in: c0 and c3 are both 2 to 8
    with pytest.raises(ValueError, match="the list of arrays has two layers that may be"):
        jaxcnn.from_keras(net, numbered(net, shape, False), shape)


def test_other_layers_are_read_too():
    net = seq(up=ConvTranspose(4), norm=LayerNorm(), id=Identity(), pool=GlobalPool(), fc=Dense(2, bias=False))
    arrays = [np.random.default_rng(0).normal(size=s) for s in [(2, 2, 4, 3), (4,), (4,), (4,), (4, 2)]]
    params, _ = jaxcnn.from_keras(net, arrays, SHAPE)
    np.testing.assert_allclose(params["up"]["kernel"], arrays[0], rtol=1e-6)  # float64 rounded to float32
    np.testing.assert_allclose(params["fc"]["kernel"], arrays[4], rtol=1e-6)


def test_what_does_not_fit_is_said_in_one_sentence(tmp_path: Path):
    arrays, _ = small_arrays(classes=7)
    write_legacy(tmp_path / "m.h5", arrays, [*NAMES[:4], "third", NAMES[5]])
    sentence = (
        f"{tmp_path / 'm.h5'} does not fit the network: 2 of another shape (fc.kernel is 108x7, not 108x5, "
        "fc.bias is 7, not 5); head='new' loads all but the classifier"
    )
    with pytest.raises(ValueError, match=re.escape(sentence)):
        jaxcnn.from_keras(small(), tmp_path / "m.h5", SHAPE)
    with pytest.raises(ValueError, match=re.escape("the list of arrays does not fit the network: 1 missing (fc.bias")):
        jaxcnn.from_keras(small(), small_arrays()[0][:-1], SHAPE)
    with pytest.raises(ValueError, match=re.escape("(array 0 in the file) is 3x3x2x4, not") + "[^;]*$"):
        jaxcnn.from_keras(small(), [small_arrays()[0][0][..., :2, :4], *small_arrays()[0][1:]], SHAPE)
    with pytest.raises(ValueError, match=re.escape("1 unexpected (array 16/0 2)")):
        jaxcnn.from_keras(small(), [*small_arrays()[0], np.ones(2)], SHAPE)


def test_a_norm_with_a_scale_is_not_one_without():
    arrays, _ = small_arrays()
    with pytest.raises(ValueError, match="does not fit the network"):
        jaxcnn.from_keras(small(), [*arrays[:2], np.ones(4), *arrays[2:]], SHAPE)


@pytest.mark.parametrize("form", ["list", "legacy weights", "weights.h5 without names"])
def test_a_new_head_is_drawn_and_the_body_is_loaded(form, tmp_path: Path):
    arrays, (expected, _) = small_arrays(classes=7)
    source = arrays
    if form != "list":
        name, write, options = FORMS[form]
        source = tmp_path / name
        write(source, arrays, **options)
    params, _ = jaxcnn.from_keras(small(), source, SHAPE, head="new", rng=KEY)
    drawn, _ = jaxcnn.init(small(), KEY, SHAPE)
    assert_same(params, expected | {"fc": drawn["fc"]})


def test_wrong_options_and_files_get_a_sentence(tmp_path: Path):
    with pytest.raises(ValueError, match="head is 'load' or 'new'"):
        jaxcnn.from_keras(small(), [], SHAPE, head="old")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="a new head needs a key"):
        jaxcnn.from_keras(small(), [], SHAPE, head="new")
    with pytest.raises(ValueError, match="no Dense layer and no 1x1 convolution ends this network"):
        jaxcnn.from_keras(seq(bn=BatchNorm()), [np.ones(3)] * 4, SHAPE, head="new", rng=KEY)
    with pytest.raises(ValueError, match="array 0 is no array of real numbers but str"):
        jaxcnn.from_keras(small(), ["kernel"], SHAPE)
    with pytest.raises(InputError, match="there is no file of weights"):
        jaxcnn.from_keras(small(), tmp_path / "absent.h5", SHAPE)
    (tmp_path / "model.tf").write_text("a graph")
    with pytest.raises(InputError, match="is in none of the formats of weights"):
        jaxcnn.from_keras(small(), tmp_path / "model.tf", SHAPE)
    write_npz(tmp_path / "a.npz", {"a": np.ones(2)})
    (tmp_path / "a.npz").rename(tmp_path / "model.h5")
    with pytest.raises(InputError, match=r"is a \.npz file of arrays and not one of Keras's: from_torch reads it"):
        jaxcnn.from_keras(small(), tmp_path / "model.h5", SHAPE)
    with pytest.raises(ValueError, match=r"a file or the list that model\.get_weights\(\) returns, not NoneType"):
        jaxcnn.from_keras(small(), None, SHAPE)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"the shape of one example is \(H, W, C\), whole numbers from 1, not 8"):
        jaxcnn.from_keras(small(), [], 8)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_damaged_files_are_refused(name, tmp_path: Path):
    pytest.importorskip("h5py")
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(InputError, match="is not a sound file of Keras's weights"):
        jaxcnn.from_keras(small(), tmp_path / name, SHAPE)


def refused(file: Path, sentence: str) -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match=sentence) as error:
        read_keras(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(file) in str(error.value) and "\n" not in str(error.value)
    assert peak < 1 << 26  # 64 MiB, where 1 TiB is claimed


def hostile(h5py, root, what):
    """One layer of the newer layout whose array is not what it seems."""
    held = root.create_group("layers/dense/vars")
    match what:
        case "chunks that were never written":
            held.create_dataset("0", (1 << 19, 1 << 19), "f4", chunks=(64, 64))
        case "numbers that were never written":
            held.create_dataset("0", (1 << 19, 1 << 19), "f4")
        case "compressed without end":
            held.create_dataset("0", data=np.zeros((1 << 13, 10_000), np.uint8), compression="gzip")
        case "texts":
            held.create_dataset("0", data=[b"kernel"])
        case "a group":
            held.create_group("0").create_dataset("0", data=np.ones(2))
        case "a link into another file":
            held["0"] = h5py.ExternalLink("other.h5", "/secret")
        case "a group in another file":
            root["layers/conv2d"] = h5py.ExternalLink("other.h5", "/")
        case "numbers in another file":
            held.create_dataset("0", (4,), "f4", external=[("other.raw", 0, h5py.h5f.UNLIMITED)])
        case "a view of another file":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "secret", (4,))
            held.create_virtual_dataset("0", layout)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("chunks that were never written", r"would become 1,099,511,627,776$"),
        ("numbers that were never written", r"would become 1,099,511,627,776$"),
        ("compressed without end", r"its [0-9,]+ bytes of numbers would become 81,920,000$"),
        ("texts", "its /layers/dense/vars/0 is no array of numbers"),
        ("a group", "its /layers/dense/vars/0 is no array of numbers"),
        ("a link into another file", r"its layers/dense/vars/0 stands in another file, other\.h5, which is not opened"),
        ("a group in another file", r"its layers/conv2d stands in another file, other\.h5, which is not opened"),
        ("numbers in another file", "its /layers/dense/vars/0 has its numbers in another file, which is not opened"),
        ("a view of another file", "its /layers/dense/vars/0 has its numbers in another file, which is not opened"),
    ],
)
def test_an_hdf5_file_does_not_lead_out_of_it_and_claims_no_more_than_it_has(what, sentence, tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(4, np.float32)
    (tmp_path / "other.raw").write_bytes(np.ones(4, np.float32).tobytes())
    with h5py.File(tmp_path / "m.weights.h5", "w") as root:
        hostile(h5py, root, what)
    refused(tmp_path / "m.weights.h5", sentence)


def test_the_older_layout_does_not_lead_out_of_the_file_either(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = np.ones(4)
    with h5py.File(tmp_path / "m.h5", "w") as root:
        root.attrs["layer_names"] = ["fc"]
        root.create_group("fc").attrs["weight_names"] = ["away/kernel"]
        root["fc/away"] = h5py.ExternalLink("other.h5", "/")
    refused(tmp_path / "m.h5", r"its fc/away stands in another file, other\.h5, which is not opened")


def test_groups_in_each_other_have_an_end(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.weights.h5", "w") as root:
        group = root.create_group("layers")
        for _ in range(40):  # two ways to each of the next: 2^40 in all
            inner = group.create_group("a")
            group["b"] = inner
            inner["back"], group = root["layers"], inner
    refused(tmp_path / "m.weights.h5", "no layer in it has weights")


def test_a_config_that_unpacks_without_end_is_refused(tmp_path: Path):
    pytest.importorskip("h5py")
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (1 << 25))
        archive.writestr("model.weights.h5", b"")
    refused(tmp_path / "m.keras", r"its config\.json would become 33,554,432 bytes")
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "[" * 100_000)
        archive.writestr("model.weights.h5", b"")
    refused(tmp_path / "m.keras", "is not a sound file of Keras's weights: it is damaged")
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(100_000_000))
    refused(tmp_path / "m.keras", r"bytes of parts would become 100,000,002")


def test_where_h5py_is_not_installed_a_sentence_says_so(tmp_path: Path, monkeypatch):
    pytest.importorskip("h5py")
    write_weights(tmp_path / "m.weights.h5", small_arrays()[0])
    monkeypatch.setattr(keras_files, "find_spec", lambda name: None)
    refused(tmp_path / "m.weights.h5", "is read with h5py, which is not installed: pip install h5py")


PEERS = {
    "resnet50": ("ResNet50", {"variant": "keras"}), "resnet50v2": ("ResNet50V2", {}), "xception": ("Xception", {}),
    "mobilenet": ("MobileNet", {}), "mobilenet_v2": ("MobileNetV2", {"variant": "keras"}),
    "inception_v3": ("InceptionV3", {"variant": "keras"}), "inception_resnet_v2": ("InceptionResNetV2", {}),
    "densenet121": ("DenseNet121", {"variant": "keras"}), "vgg16": ("VGG16", {}),
    "nasnet_mobile": ("NASNetMobile", {}),
}  # fmt: skip
RESNET = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)")


def our_name(theirs: str) -> str:
    """Keras's names of ResNet50's layers, in ours."""
    if not (match := RESNET.fullmatch(theirs)):
        return {"conv1_conv": "conv1", "conv1_bn": "bn1", "predictions": "fc"}[theirs]
    stage, block, number, kind = match.groups()
    last = f"downsample_{'01'[kind == 'bn']}" if number == "0" else f"{kind}{number}"
    return f"layer{int(stage) - 1}_{int(block) - 1}_{last}"


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_our_order_is_that_of_keras(name):
    """Layer by layer: kind, shapes, and the name wherever it tells the layer."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    called, options = PEERS[name]
    shape = jaxcnn.zoo.NETWORKS[name].input
    theirs = [
        layer for layer in getattr(keras.applications, called)(weights=None, input_shape=shape).layers if layer.weights
    ]
    orders = [keras_layers(jaxcnn.create(name, **options), shape, reverse) for reverse in (False, True)]
    shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in theirs]
    fitting = [order for order in orders if [[v.shape for v in layer.variables] for layer in order] == shapes]
    assert fitting
    ours = [layer.name for layer in fitting[0]]
    expected = [our_name(layer.name) for layer in theirs] if name == "resnet50" else [layer.name for layer in theirs]
    shared = set(ours) & set(expected)
    assert [n for n in ours if n in shared] == [n for n in expected if n in shared]
    assert len(shared) > 40 or name in ("mobilenet_v2", "inception_v3", "densenet121", "vgg16")
