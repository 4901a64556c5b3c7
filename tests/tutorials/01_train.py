"""Tutorial 1: train a network, look at what the run left behind, and use it.

    python tests/tutorials/01_train.py

The data are scikit-learn's 1,797 handwritten digits, which are installed with the library: nothing is downloaded.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import jaxcnn
from jaxcnn.config import OptimizerConfig, TrainConfig
from jaxcnn.data import load
from jaxcnn.data.pixels import normalize
from jaxcnn.training import fit
from jaxcnn.training.run_folder import fingerprint
from jaxcnn.training.trained import trained

# A run is described by one frozen value, the config. Its defaults train LeNet-5 on the digits for forty epochs; here
# three are enough. `replace` makes another config and leaves the first one alone. Every field that you see here is also
# a flag of the command line: `python train.py --epochs 3 --batch-size 32`.
config = replace(TrainConfig(), name="first", epochs=3, batch_size=32, optimizer=OptimizerConfig(lr=3e-3))
assert config.network == "lenet5" and config.data.source == "digits"

# `fit` trains, prints a line an epoch, and writes everything into one folder. What it returns is what result.json says.
results = Path(tempfile.mkdtemp())
result = fit(config, results=results)

# A fifth of the digits was held out and never trained on. Guessing would get a tenth of them right.
assert result["test_accuracy"] > 0.9

# The folder documents the run: the config, a line of metrics for every epoch, the result, two pictures, checkpoints.
folder = results / "first"
rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
assert len(rows) == 3
assert rows[-1]["train_loss"] < rows[0]["train_loss"]
assert (folder / "curves.png").exists() and (folder / "confusion_matrix.png").exists()
print("the loss of each epoch:", [round(row["train_loss"], 3) for row in rows])

# To use the network, read it back from the folder: the spec, which holds no arrays, and the arrays that belong to it.
run = trained(folder)
assert run.net == jaxcnn.create("lenet5", classes=10)

# These are the very arrays that training ended with: result.json has a fingerprint, a hash of them all. A run is a
# function of its config: the seed draws the same parameters, order of the images and shifts every time, so a second run
# on this machine ends with the same fingerprint, and so does one that was stopped and resumed.
assert fingerprint(run.params, run.batch_stats) == result["params_sha256"]

# Images are bytes (N, H, W, C). The network has seen them normalized by the mean and the deviation of the training
# images, which the folder remembers.
test = load(run.config.data).test
assert test.images.dtype == np.uint8 and test.images.shape[1:] == (28, 28, 1)
images = normalize(jnp.asarray(test.images), run.facts.mean, run.facts.std)
logits, _ = jaxcnn.apply(run.net, run.params, run.batch_stats, images)
guesses = np.argmax(logits, axis=-1)

# This is what the run itself measured in its last epoch.
accuracy = np.mean(guesses == test.labels)
assert abs(accuracy - result["test_accuracy"]) < 1e-6
print(f"{accuracy:.1%} of {len(test.labels)} held-out digits are read correctly")
wrong = np.flatnonzero(guesses != test.labels)[:3]
for place in wrong:
    print(f"  digit {place} is a {test.labels[place]}, and was taken for a {guesses[place]}")

# Where to read on: 02_own_network.py; jaxcnn/training/README.md (what a run's folder holds, how it is resumed),
# jaxcnn/data/README.md (your own images), jaxcnn/optimizers/README.md and jaxcnn/tasks/README.md (what can be set).
