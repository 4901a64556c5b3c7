"""Published names resolve to files, their preprocessing and their classes; the server is on this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import math
import re
import threading
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.config import DataConfig, TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.spec import Conv, Dense, GlobalPool, Graph, Node, seq
from jaxcnn.training.plan import prepare
from jaxcnn.weights import keras_files
from jaxcnn.weights import pretrained as module
from jaxcnn.weights.files import write
from jaxcnn.weights.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    imagenet_classes,
    keras_preprocessing,
)
from jaxcnn.weights.pretrained import load_weights, preprocessing_of
from jaxcnn.weights.published import PUBLISHED, Published
from jaxcnn.zoo import NETWORKS

KEY = jax.random.key(0)


# the table


def test_every_network_of_torchvision_and_of_keras_has_its_file():
    peers = {name for name, entry in NETWORKS.items() if entry.peer}
    assert peers - {name for name, _ in PUBLISHED} == {"mobilenet"}  # Keras publishes no checksum of it
    assert {name for name, _ in PUBLISHED} <= peers


@pytest.mark.parametrize("key", PUBLISHED, ids="-".join)
def test_a_published_file_has_a_checksum_and_the_network_s_own_size(key):
    url, digest, preprocessing, mebibytes = PUBLISHED[key]
    algorithm, _, beginning = digest.partition(":")
    assert url.startswith("https://") and re.fullmatch(r"[0-9a-f]{8,32}", beginning)
    assert (algorithm, len(beginning)) == ("md5", 32) if url.endswith(".h5") else algorithm == "sha256"
    assert beginning in url or algorithm == "md5"
    assert (preprocessing.crop, preprocessing.crop, 3) == NETWORKS[key[0]].input
    # Four bytes a number: those of the network, and names; GoogLeNet's and Inception's auxiliary heads have twice as
    # many at the most, and two files (the wide ResNets' first) have numbers of two bytes.
    rows = jaxcnn.walk(jaxcnn.create(key[0]), NETWORKS[key[0]].input)
    numbers = sum(math.prod(p.shape) for row in rows for p in (row.layout.params | row.layout.stats).values())
    assert 0.5 < mebibytes * 2**20 / (4 * numbers) < (2 if "ception" in key[0] or "googlenet" in key[0] else 1.2)


def test_the_classes_are_those_of_imagenet():
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == 1000
    assert (classes[0], classes[281], classes[999]) == ("tench", "tabby", "toilet tissue")


# preprocessing


def photograph(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_the_crop_stands_in_the_middle_and_half_a_pixel_goes_to_the_even_side():
    image = photograph(9, 11)
    for crop, top, left in (8, 0, 2), (6, 2, 2), (4, 2, 4):
        got = Preprocessing(9, crop, mean=(0, 0, 0), std=(1, 1, 1))(image)
        np.testing.assert_array_equal(got, image[top : top + crop, left : left + crop] / np.float32(255))


def test_the_shorter_side_is_resized_with_antialias():
    image = photograph(40, 61)
    resized = Image.fromarray(image).resize((30, 20), Image.Resampling.BICUBIC)  # 61 * 20 / 40 = 30.5, cut off
    expected = (np.asarray(resized)[2:18, 7:23] / np.float32(255) - np.float32(IMAGENET_MEAN)) / np.float32(
        IMAGENET_STD
    )
    np.testing.assert_array_equal(Preprocessing(20, 16, "bicubic")(image), expected)
    assert np.abs(Preprocessing(20, 16, "bilinear")(image) - expected).max() > 0.01


def test_without_a_size_of_the_shorter_side_the_proportions_are_lost():
    image = np.full((10, 30, 3), 255, np.uint8)
    assert Preprocessing(0, 8)(image).shape == (8, 8, 3)


def test_keras_modes():
    pixel = np.array([[[255, 0, 51]]], np.uint8)
    np.testing.assert_allclose(keras_preprocessing("tf", 224).normalize(pixel), [[[1, -1, -0.6]]], rtol=1e-6)
    caffe = keras_preprocessing("caffe", 224).normalize(pixel)
    np.testing.assert_allclose(caffe, [[[51 - 103.939, 0 - 116.779, 255 - 123.68]]], rtol=1e-6)  # float32
    np.testing.assert_array_equal(keras_preprocessing("torch", 224).normalize(pixel), Preprocessing().normalize(pixel))
    with pytest.raises(ValueError, match="mode is 'caffe', 'tf' or 'torch'"):
        keras_preprocessing("theano", 224)


@pytest.mark.parametrize(
    ("name", "options", "high", "channels", "mean"),
    [
        ("resnet50", {}, 1.0, "rgb", 0.485),
        ("resnet50", {"variant": "keras"}, 255.0, "bgr", 103.939),
        ("densenet121", {"variant": "keras"}, 1.0, "rgb", 0.485),
        ("mobilenet", {}, 1.0, "rgb", 0.5),
        ("xception", {}, 1.0, "rgb", 0.5),
        ("googlenet", {}, 1.0, "rgb", 0.5),
    ],
)
def test_weights_from_a_file_are_preprocessed_as_the_peer_does(name, options, high, channels, mean):
    wanted = preprocessing_of(name, "file.h5", NETWORKS[name].input, options)
    assert (wanted.high, wanted.channels, wanted.mean[0]) == (high, channels, mean) and len(wanted.classes) == 1000


def test_another_input_scales_the_resize():
    wanted = preprocessing_of("resnet18", "imagenet", (112, 112, 3))
    assert (wanted.resize, wanted.crop) == (128, 112)


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no image"):
        Preprocessing()(tmp_path / "absent.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as an image"):
        Preprocessing()(tmp_path / "bad.png")
    with pytest.raises(InputError, match=r"uint8 \(H, W, 3\), not float32"):
        Preprocessing()(np.ones((4, 4, 3), np.float32))


# by name


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Weights of resnet20 as if published, on a mirror; returns its state dict and the cache."""
    net, shape = jaxcnn.create("resnet20"), (32, 32, 3)
    state = jaxcnn.to_torch(net, *jaxcnn.init(net, KEY, shape))
    folder, cache = tmp_path / "mirror", tmp_path / "cache"
    folder.mkdir()
    write(folder / "resnet20.npz", state)
    digest = hashlib.sha256((folder / "resnet20.npz").read_bytes()).hexdigest()[:8]
    row = Published("https://nowhere.invalid/models/resnet20.npz", f"sha256:{digest}", Preprocessing(36, 32), 1.1)
    monkeypatch.setitem(PUBLISHED, ("resnet20", "imagenet"), row)
    monkeypatch.setenv("no_proxy", "*")
    # Not by $XDG_CACHE_HOME: the C++ program would be compiled again for an empty one.
    monkeypatch.setattr(module, "cache_folder", lambda: cache)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setenv("JAXCNN_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.server_address[1]}/")
        thread = threading.Thread(target=server.serve_forever, args=[0.01])  # seconds between looks for its end
        thread.start()
        yield state, cache
        server.shutdown()
        thread.join()


def test_a_published_name_is_downloaded_into_the_cache(published, capsys):
    state, cache = published
    for _ in range(2):
        net, params, _, preprocessing = jaxcnn.pretrained("resnet20")
    np.testing.assert_array_equal(params["conv1"]["kernel"], state["conv1.weight"].transpose(2, 3, 1, 0))
    assert net == jaxcnn.create("resnet20") and (preprocessing.resize, preprocessing.crop) == (36, 32)
    assert [file.name for file in cache.iterdir()] == ["resnet20.npz"]
    assert capsys.readouterr().err.count("downloading http://127.0.0.1") == 1


def test_a_new_classifier_is_drawn(published):
    net, params, stats, _ = jaxcnn.pretrained("resnet20", classes=3, rng=KEY)
    logits, _ = jax.eval_shape(partial(jaxcnn.apply, net), params, stats, jnp.ones((1, 32, 32, 3)))
    assert logits.shape == (1, 3)
    with pytest.raises(ValueError, match="a new classifier needs a key"):
        jaxcnn.pretrained("resnet20", classes=3)


def test_what_reads_a_published_file_is_looked_for_before_the_download(published, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_files, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"xception_weights.*\.h5 is read with h5py, which is not installed: pip"):
        jaxcnn.pretrained("xception")
    assert not (tmp_path / "cache").exists()


def test_weights_may_be_a_path(tmp_path):
    net, shape = jaxcnn.create("lenet5"), (28, 28, 1)
    params, stats = jaxcnn.init(net, KEY, shape)
    write(tmp_path / "lenet5.npz", jaxcnn.to_torch(net, params, stats, shape))
    loaded = jaxcnn.pretrained("lenet5", tmp_path / "lenet5.npz")
    assert jax.tree.structure(loaded.params) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, params)


def test_unknown_weights_are_refused_with_those_that_exist():
    with pytest.raises(
        InputError, match=r"there are no published weights 'imagnet' of resnet50; give imagenet, imagene"
    ):
        jaxcnn.pretrained("resnet50", "imagnet")
    with pytest.raises(
        InputError, match=r"no published weights 'imagenet' of lenet5; give a file \(there are for: alex"
    ):
        jaxcnn.pretrained("lenet5")
    with pytest.raises(InputError, match=r"there is no file of weights absent\.npz"):
        jaxcnn.pretrained("lenet5", "absent.npz")


@pytest.mark.parametrize(
    ("weights", "options", "theirs"),
    [("imagenet", {"variant": "keras"}, "torchvision"), ("mine.h5", {}, "keras"), ("mine.keras", {}, "keras")],
)
def test_weights_of_another_variant_are_refused_before_they_are_sought(weights, options, theirs):
    """MobileNetV2's fit by their shapes, but the two libraries pad differently."""
    with pytest.raises(InputError, match=f"the weights {weights} of mobilenet_v2 are of variant '{theirs}', not"):
        jaxcnn.pretrained("mobilenet_v2", weights, **options)


def test_a_mirror_is_a_url(monkeypatch):
    monkeypatch.setenv("JAXCNN_WEIGHTS_MIRROR", "mirror")
    with pytest.raises(InputError, match=r"JAXCNN_WEIGHTS_MIRROR must be a URL, such as .*, not 'mirror'"):
        jaxcnn.pretrained("resnet18")


def test_training_begins_with_published_weights(published, tmp_path, monkeypatch):
    state, _ = published
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").mkdir()  # a folder of that name does not hide them
    data = DataConfig("digits", size=(32, 32), channels=3)
    config = TrainConfig(network="resnet20", weights="imagenet", data=data)
    start = prepare(config).start or pytest.fail("no weights were read")
    net = jaxcnn.create("resnet20")
    jax.tree.map(np.testing.assert_array_equal, start, jaxcnn.from_torch(net, state, (32, 32, 3)))
    fresh, _ = prepare(replace(config, head="new")).start or pytest.fail("no weights were read")
    assert not np.array_equal(fresh["linear"]["kernel"], start[0]["linear"]["kernel"])
    np.testing.assert_array_equal(fresh["conv1"]["kernel"], start[0]["conv1"]["kernel"])
    with pytest.raises(InputError, match="there are no published weights 'imagnet' of resnet20; give imagenet, a file"):
        prepare(replace(config, weights="imagnet"))
    other = replace(config, network="mobilenet_v2", network_options={"variant": "keras"})
    with pytest.raises(InputError, match="are of variant 'torchvision', not 'keras'"):
        prepare(other)


def test_training_begins_with_a_folder_of_the_hub_which_is_no_run(tmp_path):
    net, shape = jaxcnn.create("lenet5"), (28, 28, 1)
    weights = jaxcnn.init(net, KEY, shape)
    (tmp_path / "config.json").write_text("{}")
    write(tmp_path / "model.safetensors", jaxcnn.to_torch(net, *weights, shape))
    data = DataConfig("digits", size=(28, 28))
    start = prepare(TrainConfig(network="lenet5", weights=str(tmp_path), data=data)).start
    jax.tree.map(np.testing.assert_array_equal, start, weights)


def test_training_begins_with_a_file_of_keras(tmp_path):
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    shapes = {"fc1": (64, 32), "fc2": (32, 10)}
    arrays = {name: [rng.normal(size=shape), rng.normal(size=shape[1:])] for name, shape in shapes.items()}
    with h5py.File(tmp_path / "mlp.h5", "w") as file:
        file.attrs["layer_names"] = list(arrays)
        for name, values in arrays.items():
            file.create_group(name).attrs["weight_names"] = ["kernel", "bias"]
            file[name].update(dict(zip(("kernel", "bias"), values, strict=True)))  # pyright: ignore
    config = TrainConfig(
        network="mlp", network_options={"width": 32}, weights=str(tmp_path / "mlp.h5"), data=DataConfig("digits")
    )
    params, _ = prepare(config).start or pytest.fail("no weights were read")
    for name, values in arrays.items():
        for ours, array in zip(("kernel", "bias"), values, strict=True):
            np.testing.assert_array_equal(params[name][ours], array.astype(np.float32))


def test_auxiliary_heads_are_left_out_only_where_the_network_has_none(tmp_path):
    def net(aux):
        heads = [Node("aux1", seq(pool=GlobalPool(), fc=Dense(2)), ("conv",))] if aux else []
        return Graph(
            (Node("conv", Conv(4)), *heads, Node("pool", GlobalPool(), ("conv",)), Node("fc", Dense(2), ("pool",)))
        )

    shape = (4, 4, 1)
    write(tmp_path / "aux.npz", jaxcnn.to_torch(net(True), *jaxcnn.init(net(True), KEY, shape)))
    write(tmp_path / "none.npz", jaxcnn.to_torch(net(False), *jaxcnn.init(net(False), KEY, shape)))
    assert set(load_weights(net(False), tmp_path / "aux.npz", shape)[0]) == {"conv", "fc"}
    assert set(load_weights(net(True), tmp_path / "aux.npz", shape)[0]) == {"conv", "aux1.fc", "fc"}
    with pytest.raises(ValueError, match=r"2 missing \(aux1.fc.weight"):
        load_weights(net(True), tmp_path / "none.npz", shape)
