"""Whether an explanation can be trusted: what it promises, and what a picture without a network would do as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as changed
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.stats import rankdata

from jaxcnn.forward_pass import apply, forward
from jaxcnn.layout import Params, init, walk
from jaxcnn.spec import Spec
from jaxcnn.visualize.explanation import Explanation, explain
from jaxcnn.visualize.scores import Logit, Score

MOVES = 3  # of a map to elsewhere, for chance
ALIKE = 0.7  # a rank correlation from which on a map is said to be alike


class Curve(NamedTuple):
    """The mean score while pixels are covered, or shown, in the order of a map, of chance and of edges, (N,) each.

    Chance is the mean of the same map moved to elsewhere: single pixels at random would cover more than any map does.
    """

    by_map: np.ndarray
    by_chance: np.ndarray
    by_edges: np.ndarray


class Checks(NamedTuple):
    """What speaks for and against an explanation, for every image.

    `completeness` is the residual as a share of the difference that the map promises to sum up to, or None where the
    method promises none. `randomization` is the rank correlation with the map of the network whose last layers are
    drawn anew, a row for every share of layers: 1 means that the map shows nothing that was learned (Adebayo 2018).
    `deletion` should fall fast, so be low, `insertion` high, beside chance and edges (Petsiuk et al. 2018).
    `edge_similarity` is the rank correlation with the edges of the image, `class_similarity` that with the map of
    another class, the most probable one: near 1 the map tells no class from others; None where the score is no class's.
    """

    completeness: np.ndarray | None  # (N,)
    randomization: np.ndarray  # (shares, N)
    deletion: Curve
    insertion: Curve
    edge_similarity: np.ndarray  # (N,)
    class_similarity: np.ndarray | None = None  # (N,)

    def warnings(self, index: int) -> list[str]:
        """What should be read beside the map of an image."""
        found = []
        if abs(same := float(np.nan_to_num(self.randomization[-1, index]))) > ALIKE:
            found.append(f"the map hardly depends on what was learned: {same:.2f} like that of random weights")
        if self.class_similarity is not None and (other := self.class_similarity[index]) > ALIKE:
            found.append(f"the map hardly tells the class from others: {other:.2f} like that of the next one")
        if self.completeness is not None and abs(self.completeness[index]) > 0.05:
            found.append(f"its sum is off by {abs(self.completeness[index]):.1%} of what it promises: take more steps")
        if not self.deletion.by_map[index] < self.deletion.by_chance[index]:
            found.append("covering what it marks lowers the score no faster than covering elsewhere")
        return found


def check(
    net: Spec, params: Params, batch_stats: Params, x: Array, explanation: Explanation, key: Array, *,
    shares: Sequence[float] = (1.0,), steps: int = 20,
) -> Checks:  # fmt: skip
    """Check an explanation of images.

    Args:
      net, params, batch_stats, x: what was explained.
      explanation: what `explain` returned for them.
      key: draws the other parameters, the order of chance, and that of pixels which a map does not tell apart.
      shares: of the layers with parameters, from the last to the first, that are drawn anew; checked one by one.
      steps: of the curves of deletion and insertion; what is covered is the mean of the image.

    Raises:
      ValueError: a share that is not above 0 and at most 1, or less than one step.
    """
    if not all(0 < share <= 1 for share in shares) or not shares:
        raise ValueError(f"shares of the layers are above 0 and at most 1, not {tuple(shares)}")
    if steps < 1:
        raise ValueError(f"a curve has at least 1 step, not {steps}")
    maps, edges = explanation.map, sobel(np.asarray(x))
    drawn, order, ties = jax.random.split(key, 3)
    orders = [maps, edges, *(_moved(maps, each) for each in jax.random.split(order, MOVES))]
    rankings = [_ranked(values, tie) for values, tie in zip(orders, jax.random.split(ties, len(orders)), strict=True)]
    curves = np.asarray(_curves(net, params, batch_stats, x, explanation.score, jnp.asarray(np.stack(rankings)), steps))
    similar = [
        correlation(maps, _redrawn(net, params, batch_stats, x, explanation, drawn, share).map) for share in shares
    ]
    return Checks(
        _completeness(explanation), np.stack(similar),
        _curve(curves[:, 0]), _curve(curves[:, 1]), correlation(np.abs(maps), edges),
        _class_similarity(net, params, batch_stats, x, explanation),
    )  # fmt: skip


def _curve(means: np.ndarray) -> Curve:
    return Curve(means[0], means[2:].mean(0), means[1])


def _completeness(explanation: Explanation) -> np.ndarray | None:
    if explanation.residual is None:
        return None
    promised = explanation.map.reshape(len(explanation.map), -1).sum(1) + explanation.residual
    return explanation.residual / np.where(promised == 0, 1, promised)


def _class_similarity(
    net: Spec, params: Params, batch_stats: Params, x: Array, explanation: Explanation
) -> np.ndarray | None:
    """How alike the map is to that of the most probable class but the one that is explained."""
    score = explanation.score
    if not isinstance(score, Logit):
        return None
    outputs = np.array(_outputs(net, params, batch_stats, x))
    if outputs.shape[1] < 2:
        return None
    outputs[np.arange(len(x)), np.asarray(score.classes)] = -np.inf
    return correlation(
        explanation.map, _again(net, params, batch_stats, x, explanation, changed(score, classes=outputs.argmax(1))).map
    )


@partial(jax.jit, static_argnums=0)
def _outputs(net: Spec, params: Params, batch_stats: Params, x: Array) -> Array:
    return apply(net, params, batch_stats, x)[0]


def _again(
    net: Spec, params: Params, batch_stats: Params, x: Array, explanation: Explanation, score: Score | None = None
) -> Explanation:
    """The same explanation with other arrays or of another score; without refining what it sums up."""
    options = {name: value for name, value in explanation.options.items() if name != "tolerance"}
    given = explanation.score if score is None else score, explanation.method, explanation.at
    return explain(net, params, batch_stats, x, *given, **options)


def _redrawn(
    net: Spec, params: Params, batch_stats: Params, x: Array, explanation: Explanation, key: Array, share: float
) -> Explanation:
    fresh, fresh_stats = init(net, key, x.shape[1:])
    paths = list(dict.fromkeys(row.path for row in walk(net, x.shape[1:]) if row.layout.params or row.layout.stats))
    last = paths[len(paths) - max(1, round(share * len(paths))) :]

    def mixed(kept: Params, new: Params) -> Params:
        return {
            path: jax.tree.map(lambda a, b: b.astype(a.dtype), arrays, new[path]) if path in last else arrays
            for path, arrays in kept.items()
        }

    arrays = mixed(params, fresh), mixed(batch_stats, fresh_stats)
    return _again(net, *arrays, x, explanation)


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of maps (N, H, W), (N,): NaN where one is the same everywhere."""
    ranks = [rankdata(values.reshape(len(values), -1), axis=1) for values in (one, other)]
    a, b = (values - values.mean(1, keepdims=True) for values in ranks)
    with np.errstate(invalid="ignore"):
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


def sobel(x: np.ndarray) -> np.ndarray:
    """The strength of the edges of images (N, H, W, C), (N, H, W): Sobel's gradient of the mean of the channels."""
    padded = np.pad(x.mean(-1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth, slope = (1, 2, 1), (-1, 0, 1)

    def filtered(rows: Sequence[int], columns: Sequence[int]) -> np.ndarray:
        height, width = x.shape[1:3]
        parts = [
            row * column * padded[:, i : i + height, j : j + width]
            for i, row in enumerate(rows)
            for j, column in enumerate(columns)
        ]
        return sum(parts, np.zeros(x.shape[:3]))

    return np.hypot(filtered(smooth, slope), filtered(slope, smooth))


def _moved(maps: np.ndarray, key: Array) -> np.ndarray:
    """Every map moved by a quarter to three quarters of the image, round its borders."""
    shares = np.asarray(jax.random.uniform(key, (len(maps), 2), minval=0.25, maxval=0.75))
    steps = np.rint(shares * maps.shape[1:]).astype(int)
    return np.stack([np.roll(each, step, (0, 1)) for each, step in zip(maps, steps, strict=True)])


def _ranked(values: np.ndarray, key: Array) -> np.ndarray:
    """The place of every pixel in the order from the greatest value on, (N, H*W); equal ones in an order of chance."""
    flat = values.reshape(len(values), -1)
    tie = np.asarray(jax.random.uniform(key, flat.shape))
    return np.argsort(np.lexsort((tie, -flat), axis=1), axis=1)


@partial(jax.jit, static_argnums=(0, 6))
def _curves(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score, rankings: Array, steps: int
) -> Array:
    """The mean scores of deletion and insertion, by every ranking: (rankings, 2, N)."""
    size = x.shape[1] * x.shape[2]
    gray = jnp.broadcast_to(x.mean((1, 2), keepdims=True), x.shape)

    def mean(ranking: Array) -> Array:
        def at(number: Array) -> Array:
            first = (ranking * steps < number * size).reshape(*x.shape[:3], 1)
            pair = jnp.stack([jnp.where(first, gray, x), jnp.where(first, x, gray)])
            return jax.vmap(lambda images: score(forward(net, params, batch_stats, images)))(pair)

        scores = jax.lax.map(at, jnp.arange(steps + 1))
        return (scores[0] / 2 + scores[1:-1].sum(0) + scores[-1] / 2) / steps

    return jax.lax.map(mean, rankings)
