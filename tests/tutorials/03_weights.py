"""Tutorial 3: weights in and out: files, PyTorch's names, other classes, and what is refused.

    python tests/tutorials/03_weights.py

Nothing is downloaded. Where PyTorch is installed, one more comparison is made.
"""

import importlib.util
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, Pool, seq
from jaxcnn.weights.files import write

folder = Path(tempfile.mkdtemp())
shape = (8, 8, 3)
net = seq(
    conv=Conv(6, bias=True), bn=BatchNorm(), relu=Act(), pool=Pool("max", 2), flatten=Flatten(), fc=Dense(5)
)  # fmt: skip
params, batch_stats = jaxcnn.init(net, jax.random.key(0), shape)
batch_stats["bn"]["mean"] = jnp.linspace(-0.5, 0.5, 6)  # as if it had been trained
images = jax.random.normal(jax.random.key(1), (4, *shape))
logits, _ = jaxcnn.apply(net, params, batch_stats, images)

# The arrays are plain trees, so any library that writes trees can write them. To exchange them with others there is
# PyTorch's form, the state dict. `to_torch` renames and transposes: our kernels are (height, width, in, out), PyTorch's
# (out, in, height, width). The shape of an image is needed because a flattened image has another order there.
state = jaxcnn.to_torch(net, params, batch_stats, shape)
assert state["conv.weight"].shape == (6, 3, 3, 3) and state["fc.weight"].shape == (5, 6 * 4 * 4)
assert set(state) == {
    *("conv.weight", "conv.bias", "fc.weight", "fc.bias"),
    *("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"),
}
np.testing.assert_array_equal(state["conv.weight"][2, 1], params["conv"]["kernel"][:, :, 1, 2])

# A file of it in the safetensors format, which holds arrays and nothing that could run. `from_torch` reads it back, to
# the same bits: renaming and transposing rounds nothing.
file = folder / "net.safetensors"
write(file, state)
loaded = jaxcnn.from_torch(net, file, shape)
jax.tree.map(np.testing.assert_array_equal, loaded, (params, batch_stats))
print(f"{file.name}: {len(state)} arrays, {file.stat().st_size:,} bytes, read back to the same bits")

# PyTorch's own files (.pth, .pt, .ckpt) are read too, without PyTorch and without running what is in them. What
# training scripts put around a state dict is taken off: dicts in dicts, prefixes, counters.
wrapped = {"epoch": 9, "model": {f"module.{name}": array for name, array in state.items()}}
unwrapped = jaxcnn.from_torch(net, wrapped, shape)
jax.tree.map(np.testing.assert_array_equal, unwrapped, (params, batch_stats))

# Where PyTorch is installed, the same network there, given the same arrays, gives the same logits. It takes images as
# (N, C, H, W). Both sum in float32, in another order: sums of at most 96 terms of size 1 differ in the sixth digit.
if importlib.util.find_spec("torch"):
    import torch
    from torch import nn

    layers = {
        "conv": nn.Conv2d(3, 6, 3, padding=1), "bn": nn.BatchNorm2d(6), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2),
        "flatten": nn.Flatten(), "fc": nn.Linear(96, 5),
    }  # fmt: skip
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=False)
    model.eval()
    with torch.no_grad():
        theirs = model(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(logits, theirs, atol=1e-5)
    print(f"PyTorch's logits differ by at most {np.abs(logits - theirs).max():.1e}")

# Keras's arrays come as the list that `model.get_weights()` returns, or as a file. They have our layout already, and
# an order: here convolution, BatchNorm (gamma, beta, mean, variance), dense.
arrays = [
    *(params["conv"]["kernel"], params["conv"]["bias"]),
    *(params["bn"]["scale"], params["bn"]["bias"], batch_stats["bn"]["mean"], batch_stats["bn"]["var"]),
    *(params["fc"]["kernel"], params["fc"]["bias"]),
]
from_list = jaxcnn.from_keras(net, arrays, shape)
jax.tree.map(np.testing.assert_array_equal, from_list, (params, batch_stats))

# What does not fit is refused, as a whole and in a sentence: nothing is loaded in part.
state_with_a_gap = {name: array for name, array in state.items() if name != "fc.bias"}
try:
    jaxcnn.from_torch(net, state_with_a_gap, shape)
except ValueError as error:
    assert "fc.bias" in str(error)
    print(f"refused: {error}")

# The same weights for other classes: `head="new"` draws the last layer anew and loads all the others.
three = jaxcnn.rewrite.replace_head(net, classes=3)
tuned, _ = jaxcnn.from_torch(three, file, shape, head="new", rng=jax.random.key(2))
assert tuned["fc"]["kernel"].shape == (96, 3)
np.testing.assert_array_equal(tuned["conv"]["kernel"], params["conv"]["kernel"])

# Published weights are known by name, with their preprocessing and their classes. This line would download them once:
#
#     net, params, batch_stats, preprocess = jaxcnn.pretrained("resnet50")

# Where to read on: 04_surgery.py; jaxcnn/weights/README.md (which name and shape becomes which, how files of strangers
# are read); `jaxcnn convert --help` and `jaxcnn diff --help` (the same from the command line).
