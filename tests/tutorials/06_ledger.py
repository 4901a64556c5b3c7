"""Tutorial 6: how we know that it is right: one operation against a loop, and the ledger that does it for all.

    python tests/tutorials/06_ledger.py

It needs a checkout, as the definitions in loops stand beside the tests.
"""

import itertools

import jax
import numpy as np

from jaxcnn import ops
from jaxcnn.verify import ledger

# A convolution is a sum over three indices. Written as loops in float64, the definition is slow and plainly right:
# y[n, p, q, o] is the sum over the window (u, v) and the channels i of x[n, p + u, q + v, i] h[u, v, i, o].


def loop(x, kernel):
    height, width = x.shape[1] - kernel.shape[0] + 1, x.shape[2] - kernel.shape[1] + 1
    y = np.zeros((len(x), height, width, kernel.shape[-1]))
    for p, q in itertools.product(range(height), range(width)):
        for u, v in itertools.product(range(kernel.shape[0]), range(kernel.shape[1])):
            y[:, p, q] += x[:, p + u, q + v] @ kernel[u, v]
    return y


random = np.random.default_rng(0)
x, kernel = random.normal(size=(2, 7, 6, 3)), random.normal(size=(3, 2, 3, 4))
expected = loop(x, kernel)

# How far may a right answer be off? Every result is a sum of n = 3 * 2 * 3 = 18 products. Rounding costs at most about
# n u times the sum of the sizes of the terms, u = 2^-53 in float64 and 2^-24 in float32 (Higham 2002, lemma 3.1); the
# loop in float64 rounds as well. So the bound is no guess, and it is different for every entry.
n, sizes = 18, loop(abs(x), abs(kernel))
for dtype, unit, wide in ("float32", 2.0**-24, False), ("float64", 2.0**-53, True):
    with jax.enable_x64(wide):
        y = np.asarray(ops.conv(x.astype(dtype), kernel.astype(dtype)))
    assert y.dtype == dtype
    # To float32, x and the kernel are rounded first: two roundings more for every product.
    bound = (n + 2) * unit * sizes + n * 2.0**-53 * sizes
    share = np.max(abs(y - expected) / bound)
    print(f"{dtype}: the worst entry uses {share:.0%} of its bound")
    assert share <= 1

# Such a test can fail. With the kernel flipped (true convolution, not the cross-correlation that networks use), the
# result is off by many thousand times the bound.
with jax.enable_x64(True):
    flipped = np.asarray(ops.convolve(x, kernel))
assert np.max(abs(flipped - expected) / bound) > 1000

# Gradients are checked in three ways that do not trust each other. First, the closed form as a loop. Second, finite
# differences: for a loss that is linear in x, the difference quotient is the derivative up to rounding, for any step.
with jax.enable_x64(True):
    g = random.normal(size=expected.shape)
    gradient = np.asarray(jax.grad(lambda x: (g * ops.conv(x, kernel)).sum())(x))
    direction = random.normal(size=x.shape)
    difference = (g * (ops.conv(x + direction, kernel) - ops.conv(x - direction, kernel))).sum() / 2
closed = np.zeros_like(x)
for p, q in itertools.product(range(g.shape[1]), range(g.shape[2])):
    for u, v in itertools.product(range(3), range(2)):
        closed[:, p + u, q + v] += g[:, p, q] @ kernel[u, v].T
np.testing.assert_allclose(gradient, closed, atol=1e-12)  # sums of 24 terms of size 1: 24 u is 3e-15
np.testing.assert_allclose((gradient * direction).sum(), difference, rtol=1e-11)
# Third, the transpose: <g, A x> = <A' g, x> for every linear A.
np.testing.assert_allclose((g * expected).sum(), (gradient * x).sum(), rtol=1e-11)

# The ledger does all this for every operation, over a grid and a random sample of shapes, strides, paddings, dilations
# and groups, in three dtypes, under jit, vmap, scan and on sharded inputs, beside PyTorch and Keras where they are
# installed. Each case is a check of one operation at one setting. Here is the list for convolution.
cases = ledger.all_cases(["conv"], seed=0)
kinds = list(dict.fromkeys(case.check for case in cases))
assert {"value", "gradient", "transpose", "difference", "second derivative"} <= set(kinds)
print(f"{len(cases):,} cases of convolution, of {len(kinds)} kinds: {', '.join(kinds[:6])} ...")

# A few of them, drawn at random, and their verdicts. A ratio is an error divided by its bound.
chosen = [case for case in cases if case.check in ("value", "gradient", "difference")]
rows, _, seconds = ledger.run(ledger.sample(chosen, 12, seed=0), 0, lambda case, done: None)
for row in rows:
    print(f"  {row.check:10} {row.dtype:8} {row.verdict}  error {row.error:.1e} of {row.bound:.1e}  {row.setting[:60]}")
assert len(rows) == 12 and all(row.verdict == "green" and row.ratio <= 1 for row in rows)

# Where to read on: jaxcnn/verify/README.md; results/conformance.md (the whole ledger); tests/reference/ (the loops);
# `jaxcnn verify --sample 70 --output conformance` runs a part of it on your machine.
