"""The commands as a user types them: what they print, their exit codes, and what bad input gets."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcnn import abstract, create, to_torch
from jaxcnn.commands.main import main

ROOT = Path(__file__).parent.parent
TINY = (
    "--data.size",
    "8",
    "8",
    "--network",
    "mlp",
    "--epochs",
    "2",
    "--batch-size",
    "128",
    "--data.augment",
)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def jaxcnn(*arguments, cwd, program="jaxcnn"):
    """Run a command line in this process, which has jax loaded, as if in the folder `cwd`.

    An exception that escapes fails the test: it is the traceback that a user would see.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
        patch.dict(os.environ, COLUMNS="120"),
    ):
        try:
            status = main([str(argument) for argument in arguments], program=program)
        except SystemExit as leaving:  # argparse and tyro leave this way
            status = leaving.code
    return Done(status if isinstance(status, int) else 1, out.getvalue(), err.getvalue())


def train(*arguments, cwd):
    return jaxcnn("train", *arguments, cwd=cwd, program="python train.py")


def in_a_process(*command, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run([sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = train(*TINY, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def refused(done, *parts):
    """Exit code 2, a sentence that holds all parts, no traceback."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    said = " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert "Traceback" not in said
    for part in parts:
        assert part in said, said


def test_training_shows_a_line_an_epoch_then_a_table_the_confusion_matrix_and_the_files(trained):
    _, shown = trained
    assert "training and" in shown and "test images of 8x8x1, 10 classes" in shown
    assert "epoch 2/2" in shown and "images/s" in shown
    assert "accuracy" in shown and "train" in shown and "test" in shown
    assert "true |   0   1   2" in shown and "results/digits/: result.json" in shown


@pytest.mark.slow
def test_train_py_and_the_train_command_are_the_same(trained, tmp_path):
    done = in_a_process("-m", "jaxcnn", "train", *TINY, "--results", "command", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = in_a_process(str(ROOT / "train.py"), *TINY, "--results", "script", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = [trained[0] / "results", tmp_path / "command", tmp_path / "script"]
    assert len({json.loads((f / "digits/result.json").read_text())["params_sha256"] for f in files}) == 1


def test_bad_input_ends_a_process_with_code_2_and_without_a_traceback(tmp_path):
    refused(
        in_a_process(str(ROOT / "train.py"), "--network", "resnet", cwd=tmp_path),
        "there is no network 'resnet'",
    )
    refused(in_a_process(str(ROOT / "train.py"), "--epoch", "3", cwd=tmp_path), "--epoch")
    assert not list(tmp_path.iterdir())


def test_flags_change_what_a_config_file_says(tmp_path):
    config = "config = TrainConfig(name='mine', network='mlp', epochs=7, batch_size=128, data=DataConfig())\n"
    config = f"from jaxcnn.config import *\n{config}"
    (tmp_path / "mine.py").write_text(config)
    done = train("mine.py", "--epochs", "1", "--optimizer.lr", "1e-2", "--results", "elsewhere", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "elsewhere/mine/config.json").read_text())["config"]
    assert (saved["epochs"], saved["optimizer"]["lr"], saved["network"]) == (1, 0.01, "mlp")
    assert "mine.py --epochs 1" in json.loads((tmp_path / "elsewhere/mine/result.json").read_text())["command"]


def test_help_explains_every_field_with_its_default():
    from dataclasses import fields

    from jaxcnn.config import DataConfig, Distillation, OptimizerConfig, Penalty, TrainConfig

    shown = train("--help", cwd=ROOT).stdout
    parts = {"": TrainConfig, "data.": DataConfig, "optimizer.": OptimizerConfig, "penalty.": Penalty}
    parts |= {"distill.": Distillation}
    for prefix, kind in parts.items():
        for field in fields(kind):
            if field.name not in ("data", "optimizer", "penalty", "distill"):
                assert f"--{prefix}{field.name.replace('_', '-')}" in shown
    assert shown.count("(default:") >= 30


def test_evaluate_reports_what_training_reported(trained):
    folder, _ = trained
    result = json.loads((folder / "results/digits/result.json").read_text())
    done = jaxcnn("evaluate", "results/digits", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"accuracy {result['test_accuracy']:.2%}" in done.stdout and f"loss {result['test_loss']:.4f}" in done.stdout


def test_predict_shows_the_five_most_probable_classes_with_bars(trained):
    from sklearn.datasets import load_digits

    folder, _ = trained
    digits = load_digits()
    for number in range(10):
        pixels = np.round(digits.images[number] * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{digits.target[number]}.png")
    done = jaxcnn("predict", "results/digits", *[f"{n}.png" for n in range(10)], cwd=folder)
    assert done.returncode == 0, done.stderr
    blocks = done.stdout.split(".png\n")[1:]
    shares = [[float(line.split()[1].rstrip("%")) for line in block.splitlines()[:5]] for block in blocks]
    assert all(row == sorted(row, reverse=True) and 0 < sum(row) <= 100.1 for row in shares)
    right = sum(block.split()[0] == str(number) for number, block in enumerate(blocks))
    assert right >= 7  # two epochs of a small dense network reach about 90%
    assert "█" in done.stdout


def test_summary_prints_layers_and_totals(tmp_path):
    done = jaxcnn("summary", "lenet5", "--input", "28", "28", "1", cwd=tmp_path)
    assert done.returncode == 0 and "61,706 trainable" in done.stdout and "416,520" in done.stdout
    assert "61,706" in jaxcnn("summary", "lenet5", cwd=tmp_path).stdout


def test_models_lists_every_network(tmp_path):
    import jaxcnn as package

    shown = jaxcnn("models", cwd=tmp_path).stdout
    assert all(name in shown for name in package.models()) and "61,706" in shown


def test_a_network_of_ones_own_is_named_by_module_and_function(tmp_path):
    (tmp_path / "own_nets.py").write_text(
        "from jaxcnn.spec import *\n"
        "def tiny(classes=10):\n    return seq(conv=Conv(4), act=Act(), pool=GlobalPool(), fc=Dense(classes))\n"
    )
    done = train("--network", "own_nets:tiny", "--epochs", "1", "--batch-size", "256", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    refused(jaxcnn("evaluate", "results/digits", cwd=tmp_path), "own_nets:tiny", "--network own_nets:tiny")
    assert jaxcnn("evaluate", "results/digits", "--network", "own_nets:tiny", cwd=tmp_path).returncode == 0
    assert "GlobalPool" in jaxcnn("summary", "own_nets:tiny", "--input", "8", "8", "1", cwd=tmp_path).stdout


BAD_TRAINING = {
    "unknown config": (["configs/nowhere.py"], ["there is no config configs/nowhere.py"]),
    "unknown field": (["--epoch", "3"], ["--epoch", "--epochs"]),
    "unknown nested field": (["--optimizer.rate", "3"], ["--optimizer.rate"]),
    "wrong type": (["--epochs", "many"], ["--epochs", "many"]),
    "unknown choice": (["--optimizer.rule", "adagrad"], ["adagrad", "adam"]),
    "value out of range": (["--epochs", "0"], ["epochs must be at least 1, not 0"]),
    "nested value out of range": (
        ["--task", "classification", "label_smoothing=2"],
        ["label_smoothing must be in [0, 1), not 2"],
    ),
    "unknown network": (["--network", "resnet"], ["there is no network 'resnet'", "jaxcnn models"]),
    "unknown data set": (["--data.source", "mnist"], ["unknown data source 'mnist'"]),
    "missing folder": (["--data.source", "folder:nowhere"], ["nowhere"]),
    "network too deep for the images": (["--data.size", "8", "8"], ["lenet5", "8x8x1", "layer 'conv2'"]),
    "network option out of range": (["--network", "mlp", "--network-options", "width", "0"], ["width must be", "fc1"]),
    "network option of a wrong type": (
        ["--network", "mlp", "--network-options", "width", "abc"],
        ["'abc'", "width must be int"],
    ),
    "dropout rate out of range": (
        ["--network", "mlp", "--network-options", "rate", "2.0"],
        ["rate must be in", "drop1"],
    ),
    "not a network": (["--network", "os:path"], ["must be a function that returns a spec"]),
    "seed out of range": (["--seed", "50000000000000"], ["seed must be at least 0 and below 2**32"]),
    "crop wider than the image": (["--data.augment", "crop=100"], ["padding 100 must be less than", "28x28"]),
    "not a number": (["--penalty.l2", "nan"], ["penalty.l2 must be finite"]),
    "endless learning rate": (["--optimizer.lr", "inf"], ["optimizer.lr must be finite"]),
    "warm-up longer than the run": (["--optimizer.warmup-epochs", "50"], ["50", "longer than the 40"]),
    "config after the flags": (["--epochs", "3", "configs/digits.py"], ["the config comes first"]),
    "very long name": (["--name", "a" * 300], ["at most 100"]),
    "bad name": (["--name", "../up"], ["name must be letters"]),
    "nothing to resume": (["--resume"], ["nothing to resume: results/digits does not exist"]),
}


@pytest.mark.parametrize("case", BAD_TRAINING)
def test_bad_training_input_gets_a_sentence_and_leaves_nothing_behind(case, tmp_path):
    arguments, parts = BAD_TRAINING[case]
    refused(train(*arguments, cwd=tmp_path), *parts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "from jaxcnn.config import *\nconfig = TrainConfig(epoch=3)\n",
            "unexpected keyword argument 'epoch'",
        ),
        ("config = 3\n", "must define `config = TrainConfig(...)`"),
        ("config = TrainConfig(\n", "SyntaxError"),
        (
            "from jaxcnn.config import *\nconfig = TrainConfig(batch_size=0)\n",
            "batch_size must be at least 1",
        ),
        ("from jaxcnn.config import *\nconfig = TrainConfig(epochs=2.5)\n", "epochs must be int, not 2.5"),
        ("from jaxcnn.config import *\nconfig = TrainConfig(data='digits')\n", "data must be DataConfig, not 'digits'"),
        (
            "from jaxcnn.config import *\nconfig = OptimizerConfig('adagrad')\n",
            "optimizer.rule must be Rule, not 'adagrad'",
        ),
    ],
)
def test_a_config_file_that_cannot_be_used_is_named(text, part, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    refused(train("mine.py", cwd=tmp_path), "mine.py", part)
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["mine.py"]


def test_bad_images_are_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    whole = (tmp_path / "images/b/2.png").read_bytes()
    (tmp_path / "images/b/2.png").write_bytes(whole[: len(whole) // 2])
    arguments = (str(ROOT / "configs/folder.py"), "--batch-size", "4", "--epochs", "1")
    refused(train(*arguments, cwd=tmp_path), "images/b/2.png")
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_folder_of_images_tunes_a_network_and_says_what_is_to_beat(tmp_path):
    """With weights of a file in place of the published ones, and images smaller than the config's, for time."""
    for name, count in (("fern", 6), ("moss", 9)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (36, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    net = create("resnet18")
    params, batch_stats = abstract(net, (32, 32, 3))
    params, batch_stats = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.01, leaf.dtype), (params, batch_stats))
    np.savez(tmp_path / "weights.npz", **to_torch(net, params, batch_stats, (32, 32, 3)))
    arguments = ("--weights", "weights.npz", "--data.size", "32", "32", "--batch-size", "4", "--epochs", "1")
    done = train(str(ROOT / "configs/folder.py"), *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "to beat: 66.67% of the test images are of the most frequent class, moss" in done.stdout
    assert (tmp_path / "results/folder/result.json").exists()


@pytest.mark.slow
def test_a_training_goes_to_its_end_where_float64_is_enabled(trained, tmp_path):
    with patch.dict(os.environ, {"JAX_ENABLE_X64": "1"}):
        done = in_a_process(str(ROOT / "train.py"), *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, expected = (json.loads((f / "results/digits/result.json").read_text()) for f in (tmp_path, trained[0]))
    assert found["steps"] == expected["steps"] and np.isfinite(found["train_loss"])


def test_a_run_in_the_way_is_not_touched(trained):
    refused(train(*TINY, cwd=trained[0]), "results/digits exists", "--resume", "--overwrite")


def test_commands_on_runs_that_are_not_there_or_damaged(trained, tmp_path):
    folder, _ = trained
    refused(jaxcnn("evaluate", "results/digit", cwd=folder), "there is no run results/digit", "results/digits")
    refused(jaxcnn("evaluate", ".", cwd=tmp_path), "no config.json")
    refused(jaxcnn("predict", "results/digits", "nowhere.png", cwd=folder), "nowhere.png")
    (folder / "text.png").write_text("no image")
    refused(jaxcnn("predict", "results/digits", "text.png", cwd=folder), "text.png cannot be read as an image")
    refused(jaxcnn("summary", "lenet", cwd=folder), "did you mean 'lenet5'")
    refused(jaxcnn("summary", "lenet5", "--input", "8", "8", "1", cwd=folder), "layer 'conv2'")
    refused(jaxcnn("summary", "lenet5", "--input", "0", "8", "1", cwd=folder), "at least 1")
    refused(jaxcnn("summary", "lenet5", "--input", "28", "28", cwd=folder), "height, width and channels")
    refused(jaxcnn("dance", cwd=folder), "dance")
    refused(jaxcnn("evaluate", "results/digits", "--source", "folder:nowhere", cwd=folder), "nowhere")


def copy_of(trained, tmp_path):
    import shutil

    shutil.copytree(trained[0] / "results", tmp_path / "results")
    return tmp_path / "results/digits"


def test_a_checkpoint_of_another_network_is_refused_with_the_difference(trained, tmp_path):
    run = copy_of(trained, tmp_path)
    saved = json.loads((run / "config.json").read_text())
    saved["config"]["network_options"] = {"width": 7}
    (run / "config.json").write_text(json.dumps(saved))
    refused(jaxcnn("evaluate", "results/digits", cwd=tmp_path), "is of another network", "fc1", "128", "7")


def test_a_damaged_checkpoint_is_refused(trained, tmp_path):
    run = copy_of(trained, tmp_path)
    files = [path for path in (run / "checkpoints/last").rglob("*") if path.is_file() and path.stat().st_size > 2000]
    assert files
    for path in files:
        content = bytearray(path.read_bytes())
        content[100 : len(content) - 100] = bytes(len(content) - 200)
        path.write_bytes(content)
    refused(jaxcnn("evaluate", "results/digits", cwd=tmp_path), "checkpoint", "damaged")


def test_a_missing_checkpoint_and_a_damaged_config_are_refused(trained, tmp_path):
    import shutil

    run = copy_of(trained, tmp_path)
    shutil.rmtree(run / "checkpoints")
    refused(jaxcnn("evaluate", "results/digits", cwd=tmp_path), "no complete checkpoint", "--overwrite")
    (run / "config.json").write_text('{"config": {')
    refused(jaxcnn("evaluate", "results/digits", cwd=tmp_path), "config.json is damaged")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_stopped_run_is_saved_and_says_how_to_go_on(number, code, tmp_path):
    arguments = ("--data.size", "8", "8", "--network", "mlp", "--epochs", "3000", "--batch-size", "128")
    before = signal.signal(number, signal.default_int_handler)  # what is ignored here, a process inherits as ignored
    process = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "train.py"), *arguments], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    signal.signal(number, before)
    assert process.stdout
    try:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert "stopped and saved at step" in said and "--resume" in said and "Traceback" not in said
    assert "jaxcnn: stopped\n" not in said  # it has been said
    assert list((tmp_path / "results/digits/checkpoints/last").glob("[0-9]*"))


def test_divergence_exits_with_1_and_names_step_and_layer(tmp_path):
    done = train(*TINY, "--optimizer.rule", "sgd", "--optimizer.lr", "1e30", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "step" in done.stderr and "not finite" in done.stderr and "layer 'fc" in done.stderr


@pytest.mark.slow
def test_a_run_on_four_devices_is_evaluated_on_one(tmp_path):
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    with patch.dict(os.environ, environment):
        done = in_a_process(str(ROOT / "train.py"), *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accuracy = json.loads((tmp_path / "results/digits/result.json").read_text())["test_accuracy"]
    done = jaxcnn("evaluate", "results/digits", cwd=tmp_path)
    assert done.returncode == 0 and f"accuracy {accuracy:.2%}" in done.stdout


def test_resuming_from_a_damaged_checkpoint_is_refused_and_changes_nothing(trained, tmp_path):
    run = copy_of(trained, tmp_path)
    for path in (run / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refused(train(*TINY, "--resume", cwd=tmp_path), "damaged", "--overwrite")
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words, variables, sentence",
    [
        (["--seeds", "2"], {}, "--distributed trains one run that is kept: leave out --seeds"),
        ([], {"JAX_NUM_PROCESSES": "2"}, "needs $JAX_COORDINATOR_ADDRESS and $JAX_PROCESS_ID too: the address is HOST"),
        (
            [], {"JAX_COORDINATOR_ADDRESS": "x:1", "JAX_PROCESS_ID": "0", "JAX_NUM_PROCESSES": "two"},
            "$JAX_NUM_PROCESSES and $JAX_PROCESS_ID are numbers, not 'two' and '0'",
        ),
    ],
)  # fmt: skip
def test_processes_that_cannot_find_each_other_get_a_sentence(words, variables, sentence, monkeypatch, capsys):
    for name in "JAX_COORDINATOR_ADDRESS", "JAX_PROCESS_ID", "JAX_NUM_PROCESSES":
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "--distributed", *words]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
