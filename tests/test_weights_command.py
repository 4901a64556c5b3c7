"""`jaxcnn convert` and `jaxcnn diff` as a user types them."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.commands.main import main
from jaxcnn.config import TrainConfig
from jaxcnn.training.loop import fit
from jaxcnn.training.trained import trained
from jaxcnn.weights.files import read, write
from jaxcnn.weights.pretrained import preprocessing_of

NET, SHAPE = "resnet20", (32, 32, 3)


@pytest.fixture(scope="module")
def weights():
    net = jaxcnn.create(NET)
    return net, *jaxcnn.init(net, jax.random.key(0), SHAPE)


@pytest.fixture
def folder(tmp_path, monkeypatch, weights):
    """A folder to work in, with a file of weights and an image."""
    monkeypatch.chdir(tmp_path)
    write("w.safetensors", jaxcnn.to_torch(*weights))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(pixels).save("image.png")
    return tmp_path


def run(capsys, *arguments):
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


# convert


@pytest.mark.parametrize("ending", ["npz", "safetensors", "pth"])
def test_convert_keeps_every_array(ending, folder, capsys):
    status, out, _ = run(capsys, "convert", "w.safetensors", "--network", NET, "--output", f"o.{ending}")
    assert status == 0 and "269,722 parameters and 1,376 statistics of resnet20" in out
    before, after = read("w.safetensors"), read(f"o.{ending}")
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(np.asarray(after[name]), array)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["w.safetensors", "--network", "resnet32"],
            "w.safetensors does not fit the network: 60 missing (layer1.3.conv1",
        ),
        (["w.safetensors", "--network", NET, "--classes", "7"], "2 of another shape (linear.weight is 10x64, not 7x64"),
        (["w.safetensors", "--network", "resnet21"], "there is no network 'resnet21'; did you mean 'resnet"),
        (["absent.npz", "--network", NET], "there is no file of weights absent.npz"),
        (["imagenet", "--network", NET], "there are no published weights 'imagenet' of resnet20"),
        (["w.safetensors", "--network", NET, "--variant", "keras"], "network 'resnet20' has no option variant"),
    ],
)
def test_bad_input_of_convert_gets_a_sentence_and_writes_nothing(arguments, sentence, folder, capsys):
    status, _, err = run(capsys, "convert", *arguments, "--output", "o.npz")
    assert status == 2 and err.startswith("jaxcnn: ") and sentence in err and err.count("\n") == 1
    assert not (folder / "o.npz").exists()


def test_convert_refuses_another_ending_before_it_reads(folder, capsys):
    status, _, err = run(capsys, "convert", "absent.npz", "--network", NET, "--output", "o.onnx")
    assert (status, err) == (2, "jaxcnn: --output must end in .safetensors, .npz, .pth, not o.onnx\n")


@pytest.mark.thorough
def test_convert_takes_a_run_of_ours(folder, capsys, monkeypatch):
    fit(TrainConfig(name="small", epochs=1), results=folder / "results", command="")
    capsys.readouterr()
    status, out, _ = run(capsys, "convert", "results/small", "--output", "o.npz")
    assert status == 0 and out == "o.npz: 61,706 parameters and 0 statistics of lenet5, under PyTorch's names\n"
    kernel = trained(folder / "results" / "small").params["conv1"]["kernel"]
    np.testing.assert_array_equal(read("o.npz")["conv1.weight"], np.transpose(kernel, (3, 2, 0, 1)))
    status, _, err = run(capsys, "convert", "results/small", "--network", "lenet5", "--output", "again.npz")
    assert (status, err) == (
        2, "jaxcnn: results/small is a run, which knows its network: leave out --network\n"
    )  # fmt: skip
    status, _, err = run(capsys, "convert", "results", "--output", "again.npz")
    assert status == 2 and err.startswith("jaxcnn: results ") and not (folder / "again.npz").exists()


def test_convert_of_a_file_asks_for_the_network(folder, capsys):
    status, _, err = run(capsys, "convert", "w.safetensors", "--output", "o.npz")
    assert status == 2 and err.startswith("jaxcnn: w.safetensors is not the folder of a run: say whose weights it has")


# predict


def test_predict_with_weights_shows_the_most_probable_classes(folder, weights, capsys):
    status, out, _ = run(capsys, "predict", NET, "image.png", "--weights", "w.safetensors")
    net, params, stats = weights
    logits, _ = jaxcnn.apply(net, params, stats, x_of()[np.newaxis])
    best = int(logits.argmax())
    assert status == 0 and out.splitlines()[0] == "image.png" and out.splitlines()[1].startswith(f"  class {best} ")
    assert f"{float(jax.nn.softmax(logits).max()):.2%}" in out


def test_predict_with_weights_that_do_not_fit_gets_a_sentence(folder, capsys):
    status, _, err = run(capsys, "predict", "resnet32", "image.png", "--weights", "w.safetensors")
    assert status == 2 and "w.safetensors does not fit the network: 60 missing" in err
    status, _, err = run(capsys, "predict", "resnet20", "absent.png", "--weights", "w.safetensors")
    assert (status, err) == (2, "jaxcnn: there is no image absent.png\n")


def test_predict_takes_weights_of_other_classes_and_does_not_call_them_by_the_published_names(folder, capsys):
    net = jaxcnn.create("squeezenet1_1", classes=3)
    write("three.npz", jaxcnn.to_torch(net, *jaxcnn.init(net, jax.random.key(0), (64, 64, 3))))
    options = ("--weights", "three.npz", "--classes", "3", "--input", "64", "64", "3")
    status, out, _ = run(capsys, "predict", "squeezenet1_1", "image.png", *options)
    assert status == 0 and sorted(line.split()[1] for line in out.splitlines()[1:]) == ["0", "1", "2"]
    assert jaxcnn.pretrained("squeezenet1_1", "three.npz", classes=3, rng=jax.random.key(1)).preprocessing.classes == ()


def test_predict_says_what_a_network_without_weights_wants(folder, capsys):
    status, _, err = run(capsys, "predict", NET, "image.png")
    assert (status, err) == (2, "jaxcnn: resnet20 is a network, not a run: give its --weights, imagenet or a file\n")


# diff


def dump(weights, x, layout="torch", **changed):
    """Activations as a peer would save them."""
    net, params, stats = weights
    found = {"input": x[np.newaxis]} | jaxcnn.forward(net, params, stats, x[np.newaxis]).activations
    found = {path: np.asarray(value) for path, value in found.items()} | changed
    if layout == "torch":
        return {path: np.moveaxis(value, -1, 1) for path, value in found.items()}
    return {path.replace(".", "_"): value for path, value in found.items()}


def x_of():
    return preprocessing_of(NET, "w.safetensors", SHAPE)("image.png")


DIFF = ("diff", NET, "w.safetensors", "image.png", "--dump", "dump.npz")


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_diff_of_equal_activations(layout, folder, weights, capsys):
    np.savez("dump.npz", **dump(weights, x_of(), layout))
    status, out, _ = run(capsys, *DIFF)
    assert status == 0 and "activations agree within 0.001 standard deviations" in out and "differs" not in out


def wrong_from(weights, x, path):
    """Activations of a network whose layer `path` has other weights."""
    net, params, stats = weights
    kernel = params[path]["kernel"]
    return dump((net, params | {path: {"kernel": kernel.transpose(1, 0, 2, 3)}}, stats), x)


@pytest.mark.parametrize("path", ["conv1", "layer2.1.conv2", "layer3.0.conv1"])
def test_diff_names_the_first_layer_that_differs(path, folder, weights, capsys):
    np.savez("dump.npz", **wrong_from(weights, x_of(), path))
    status, out, _ = run(capsys, *DIFF)
    assert status == 1 and f"the first that differs is {path} (by " in out
    names = [line.split()[0] for line in out.splitlines() if line.endswith(("equal", "differs"))]
    before = names[names.index(path) - 1]
    assert f"{before} still agrees" in out and names[0] == "input"


def test_another_preprocessing_is_found_and_does_not_hide_the_rest(folder, weights, capsys):
    np.savez("dump.npz", **wrong_from(weights, x_of()[:, ::-1] * np.float32(1.5), "layer3.2.conv2"))
    status, out, _ = run(capsys, *DIFF)
    differing = [line.split()[0] for line in out.splitlines() if line.endswith("differs")]
    assert status == 1 and "the first that differs is input" in out and differing[:2] == ["input", "layer3.2.conv2"]


def test_an_activation_of_another_shape_differs(folder, weights, capsys):
    np.savez("dump.npz", **dump(weights, x_of()) | {"layer2.0.bn1": np.ones((1, 32, 15, 15))})
    status, out, _ = run(capsys, *DIFF)
    assert (
        status == 1 and "the first that differs is layer2.0.bn1 (it is 1x32x15x15 there); layer2.0.conv1 still" in out
    )


def test_a_preprocessed_array_may_be_given(folder, weights, capsys):
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    np.save("x.npy", x)
    np.savez("dump.npz", **{name: value for name, value in dump(weights, x).items() if name != "input"})
    assert run(capsys, "diff", NET, "w.safetensors", "x.npy", "--dump", "dump.npz")[0] == 0
    assert run(capsys, *DIFF)[0] == 1  # of another image


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["image.png", "--dump", "other.npz"],
            "the dump has no layer of the network: it has backbone.conv, the network",
        ),
        (["image.png", "--dump", "other.pt"], "--dump must be an .npz file"),
        (["image.png", "--dump", "other.npz", "--tolerance", "0"], "--tolerance must be more than 0"),
        (["small.npy", "--dump", "other.npz"], "small.npy gives an input of 4x4x3, not 32x32x3"),
        (["absent.png", "--dump", "other.npz"], "there is no image absent.png"),
    ],
)
def test_bad_input_of_diff_gets_a_sentence(arguments, sentence, folder, capsys):
    np.savez("other.npz", **{"backbone.conv": np.ones(3)})
    np.save("small.npy", np.ones((4, 4, 3)))
    status, _, err = run(capsys, "diff", NET, "w.safetensors", *arguments)
    assert status == 2 and sentence in err and err.count("\n") == 1
