"""What captum 0.9.0, grad-cam 1.5.7 and foolbox 3.3.4 say of LeNet-5 and of the public ResNet-20, in float64.

Their numbers are those of `goldens/make_visualize.py`, at every fourth pixel. A sum of some thousand products rounds to
1e-13 of its terms; 1e-10 of the largest value leaves room for sums that cancel. The attacks are equal to the last bit.
"""

from __future__ import annotations

import io
import os
import tarfile
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import rule
from PIL import Image

import jaxcnn
from jaxcnn.spec import Act, Conv, Dense, Flatten, Pool, seq
from jaxcnn.visualize import explain
from jaxcnn.visualize.attack import perturb
from jaxcnn.visualize.gradients import rectified, saliency
from jaxcnn.visualize.scores import Unit
from jaxcnn.visualize.subject import Subject

SHARED = Path(os.environ.get("JAXCNN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
GOLDENS = Path(__file__).parent / "goldens" / "visualize.npz"
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
LENET = seq(
    conv1=Conv(6, 5, padding=2, bias=True), act1=Act(), pool1=Pool("max", 2),
    conv2=Conv(16, 5, padding=0, bias=True), act2=Act(), pool2=Pool("max", 2),
    flatten=Flatten(), fc1=Dense(120), act3=Act(), fc2=Dense(84), act4=Act(), fc3=Dense(10),
)  # fmt: skip
EPSILON = 8 / 255

pytestmark = pytest.mark.usefixtures("float64")


@cache
def goldens() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDENS))


def present(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is absent: set JAXCNN_SHARED_DATA")
    return SHARED / name


def lenet() -> tuple[Subject, np.ndarray, str]:
    shape = (28, 28, 1)
    shapes = {
        "conv1.weight": (6, 1, 5, 5), "conv1.bias": (6,), "conv2.weight": (16, 6, 5, 5), "conv2.bias": (16,),
        "fc1.weight": (120, 400), "fc1.bias": (120,), "fc2.weight": (84, 120), "fc2.bias": (84,),
        "fc3.weight": (10, 84), "fc3.bias": (10,),
    }  # fmt: skip
    arrays = jaxcnn.from_torch(LENET, rule.torch_weights(shapes, "lenet5"), shape)
    return Subject(LENET, *widened(arrays), shape, (), lambda x: x), rule.image(shape).astype(float), "act2"


def resnet20() -> tuple[Subject, np.ndarray, str]:
    """Its images are pixels from 0 to 1, to be prepared."""
    net = jaxcnn.create("resnet20")
    arrays = jaxcnn.from_torch(net, present("resnet20-cifar10/resnet20.safetensors"), (32, 32, 3))
    subject = Subject(net, *widened(arrays), (32, 32, 3), (), lambda pixels: (pixels - MEAN) / STD)
    return subject, pictures(present("cifar10-jpeg.tar.xz")), "layer3"


@cache
def pictures(archive: Path) -> np.ndarray:
    """The first cat and the first ship; the archive takes a second to be read."""
    with tarfile.open(archive) as file:
        files = [file.extractfile(f"test/{name}/0000.jpg") for name in ("cat", "ship")]
        return np.stack([np.asarray(Image.open(io.BytesIO(each.read()))) for each in files if each]) / 255


def widened(arrays):
    return jax.tree.map(lambda array: jnp.asarray(array, jnp.float64), arrays)


NETWORKS = pytest.mark.parametrize("network", [lenet, resnet20])


def close(ours, theirs: np.ndarray) -> bool:
    tolerance = 1e-10 if theirs.dtype == np.float64 else 3e-7  # captum adds up windows in float32: five roundings
    return bool(np.abs(rule.sample(np.asarray(ours)) - theirs).max() <= tolerance * np.abs(theirs).max())


@pytest.mark.slow
@NETWORKS
def test_captum_and_grad_cam_say_the_same(network):
    subject, images, layer = network()
    golden = {name.partition("/")[2]: value for name, value in goldens().items() if name.startswith(network.__name__)}
    classes = golden["logits"].argmax(1)
    arrays, x = subject[:3], subject.prepare(jnp.asarray(images))
    assert close(jaxcnn.apply(*arrays, x)[0], golden["logits"])
    pixels = 1.0 if network is lenet else STD  # their gradients are those of pixels
    assert close(saliency(*arrays, x, classes) / pixels, golden["saliency"])
    assert close(rectified(*arrays, x, classes, "guided") / pixels, golden["guided"])
    black = subject.prepare(jnp.zeros_like(jnp.asarray(images)))
    made = explain(*arrays, x, classes, "integrated_gradients", baseline=black)
    steps = 50 * float(np.float32(1 / 50))  # captum keeps the lengths of its steps in float32
    assert close(made.raw * steps, golden["integrated"])
    for size, step in (8, 8), (8, 6):
        made = explain(*arrays, x, classes, "occlusion", window=size, stride=step, fill=black)
        assert close(made.map[..., None], golden[f"occlusion_{size}_{step}"])
    assert close(explain(*arrays, x, classes, "gradcam", layer).raw, golden["gradcam"])
    assert close(plus_plus(arrays, x, layer, classes, 1e-6), golden["gradcam++"])
    assert close(explain(*arrays, x, classes, "gradcam++", layer).raw, plus_plus(arrays, x, layer, classes, 1e-300))


def plus_plus(arrays, x, layer: str, classes: np.ndarray, eps: float) -> np.ndarray:
    """Grad-CAM++ with what grad-cam adds to its denominators."""
    features = np.asarray(jaxcnn.features(*arrays, x, layer)[layer])

    def score(change):
        run = jaxcnn.forward(*arrays, x, edits={layer: lambda y: y + change})
        return run.output[jnp.arange(len(x)), classes].sum()

    slope = np.asarray(jax.grad(score)(jnp.zeros_like(features)))
    alphas = slope**2 / (2 * slope**2 + features.sum((1, 2), keepdims=True) * slope**3 + eps)
    alphas = np.where(slope != 0, alphas, 0)
    return (features * (np.maximum(slope, 0) * alphas).sum((1, 2), keepdims=True)).sum(-1)


def test_captums_deconvolution_of_a_unit_is_ours_started_from_one():
    subject, images, _ = lenet()
    unit = Unit("act2", 3, (5, 8))
    ours = rectified(*subject[:3], jnp.asarray(images), unit, "deconvnet")
    assert close(ours, goldens()["lenet/deconvolution"])
    (top, bottom), (left, right) = jaxcnn.receptive_field(LENET, (28, 28, 1), "act2", (5, 8))
    rows, columns = (np.flatnonzero(np.asarray(ours)[0, ..., 0].any(axis)) for axis in (1, 0))
    assert (top, bottom, left, right) == (8, 22, 14, 28)  # field 14, jump 2
    assert top <= rows[0] and rows[-1] < bottom and left <= columns[0] and columns[-1] < right


@pytest.mark.slow
@NETWORKS
def test_foolboxs_attacks_are_ours_to_the_last_bit(network):
    subject, images, _ = network()
    name = network.__name__
    pixels = np.clip(images / 8 + 0.5, 0, 1) if network is lenet else images
    labels = np.asarray(jaxcnn.apply(*subject[:3], subject.prepare(jnp.asarray(pixels)))[0]).argmax(1)
    options = {"prepare": subject.prepare, "step_size": EPSILON / 4}
    for attack, steps in ("fgsm", 1), ("pgd", 10):
        given = options if steps > 1 else {"prepare": subject.prepare}
        ours, _ = perturb(*subject[:3], jnp.asarray(pixels), labels, EPSILON, steps=steps, **given)
        assert rule.digest(np.asarray(ours)) == goldens()[f"{name}/{attack}"], attack
