"""The bits of a training step on one core and on all: what the C++ program computes is the same, and the rest where
NPROC says the same, as XLA cuts its own sums by the number of its threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from native_program import needs_a_compiler

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
pytestmark = [
    pytest.mark.slow,
    needs_a_compiler,
    pytest.mark.skipif(len(CORES) < 2, reason="one core, or a system that does not say how many a process may use"),
]

PROGRAM = """
import hashlib, os, sys
os.sched_setaffinity(0, map(int, sys.argv[1:]))
import jax, jax.numpy as jnp, numpy as np, jaxcnn
from jaxcnn.ops import native
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, Pool, seq
net = seq(
    conv1=Conv(32, 3, bias=True), act1=Act(), pool1=Pool("max", 2), conv2=Conv(64, 3), bn=BatchNorm(),
    act2=Act(), depthwise=Conv(64, 3, groups=64), pool2=Pool("avg", 2), flatten=Flatten(), fc=Dense(10),
)
numbers = np.random.default_rng(0)
params, stats = jaxcnn.init(net, jax.random.key(0), (32, 32, 3))
params = jax.tree.map(lambda leaf: jnp.asarray(numbers.normal(size=leaf.shape), "float32"), params)
x, w = (jnp.asarray(numbers.normal(size=size), "float32") for size in ((64, 32, 32, 3), (64, 10)))
loss = lambda params: (w * jaxcnn.apply(net, params, stats, x, train=True)[0]).sum()
for path, leaves in jax.jit(jax.grad(loss))(params).items():
    for name, leaf in leaves.items():
        print(f"{path}.{name}", hashlib.sha256(np.asarray(leaf)).hexdigest())
"""


def bits(cores: list[int], **variables: str) -> dict[str, str]:
    """Of the gradients of a step on these cores."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NPROC", "PJRT_NPROC")}
    words = [sys.executable, "-c", PROGRAM, *map(str, cores)]
    done = subprocess.run(words, env={**environment, **variables}, capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def test_the_program_computes_the_same_bits_on_one_core_and_on_all():
    """Of convolutions, pools and batch normalization; a bias's gradient is a sum of XLA's."""
    one, all_cores = bits(CORES[:1]), bits(CORES)
    ours = [name for name in one if (name.endswith("kernel") and name != "fc.kernel") or name.startswith("bn.")]
    assert len(ours) == 5
    assert {name: one[name] for name in ours} == {name: all_cores[name] for name in ours}


def test_all_bits_are_the_same_where_xla_is_told_as_many_threads():
    assert bits(CORES[:1], NPROC="2") == bits(CORES[:2], NPROC="2")
