"""BatchNorm over parts of a batch: against its parts one by one, and that one part is the whole."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import agree, random

import jaxcnn
from jaxcnn import ops
from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.rewrite import freeze, ghost_batch_norm
from jaxcnn.spec import BatchNorm, Conv, Dense, GlobalPool, Graph, seq
from jaxcnn.training.plan import prepare

EPS = 1e-3


def small(classes: int) -> Graph:
    """A network that a config can name."""
    return seq(conv=Conv(2), bn=BatchNorm(), mean=GlobalPool(), fc=Dense(classes))


PARTS = 3


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("mask", [None, (1, 1, 1, 0, 0, 0), (1, 0, 0, 1, 1, 1)], ids=["all", "the end", "within"])
def test_each_part_is_normalized_as_if_it_were_the_batch(mask):
    """Values, statistics and gradients; a part of padding alone does not count."""
    x, scale, bias, gradient = 3 * random(1, 6, 4, 5, 2) + 1, random(2, 2), random(3, 2), random(4, 6, 4, 5, 2)
    keep = np.full(6, True) if mask is None else np.array(mask, bool)
    given = None if mask is None else jnp.asarray(mask)

    def ours(x, scale, bias):
        return ops.batch_norm(x, scale, bias, EPS, given, parts=PARTS)

    (y, *statistics), back = jax.vjp(ours, *map(jnp.asarray, (x, scale, bias)))
    slopes = back((jnp.asarray(gradient), jnp.zeros(2), jnp.zeros(2)))
    seen, sums = [], [np.zeros(2), np.zeros(2)]
    for part in (slice(0, 2), slice(2, 4), slice(4, 6)):
        if keep[part].any():
            expected, *of_part = reference.batch_norm(x[part], scale, bias, EPS, keep[part])
            dx, *more = reference.norm.batch_norm_gradient(
                gradient[part], x[part], scale, bias, eps=EPS, mask=keep[part]
            )
            agree(y[part], expected)
            agree(slopes[0][part], dx)
            seen.append(of_part)
            sums = [total + one for total, one in zip(sums, more, strict=True)]
    for found, wanted in zip(statistics, np.mean(seen, 0), strict=True):
        agree(found, wanted)
    if len(seen) == PARTS:  # of padding alone nothing is defined
        agree(slopes[1], sums[0])
        agree(slopes[2], sums[1])


def test_running_averages_move_once_to_the_mean_of_the_parts_and_one_part_is_the_whole():
    net = seq(bn=BatchNorm(momentum=0.5))
    params, stats = jaxcnn.init(net, jax.random.key(0), (3, 3, 2))
    x = jnp.asarray(random(5, 4, 3, 3, 2), jnp.float32)
    _, moved = jaxcnn.apply(ghost_batch_norm(net, 2), params, stats, x, train=True)
    halves = np.asarray(x, np.float64).reshape(2, -1, 2)
    # float32 sums of 18
    np.testing.assert_allclose(moved["bn"]["mean"], 0.5 * halves.mean(1).mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moved["bn"]["var"], 0.5 + 0.5 * halves.var(1, ddof=1).mean(0), rtol=1e-5)
    assert ghost_batch_norm(net, 1) == net
    evaluated = jaxcnn.apply(ghost_batch_norm(net, 2), params, stats, x)[0]
    np.testing.assert_array_equal(evaluated, jaxcnn.apply(net, params, stats, x)[0])


def test_what_cannot_be_cut_is_refused():
    net = ghost_batch_norm(seq(bn=BatchNorm()), 2)
    params, stats = jaxcnn.init(net, jax.random.key(0), (2, 2, 1))
    with pytest.raises(ValueError, match="cannot cut a batch of 3 into 2 equal parts") as error:
        jaxcnn.apply(net, params, stats, jnp.ones((3, 2, 2, 1)), train=True)
    assert "bn" in str(error.value.__notes__)
    with pytest.raises(ValueError, match="parts must be an integer of at least 1"):
        jaxcnn.init(seq(bn=BatchNorm(parts=0)), jax.random.key(0), (2, 2, 1))
    with pytest.raises(ValueError, match="give at least 1"):
        ghost_batch_norm(net, 0)
    still, _ = freeze(net, ["bn"])
    for other in still, seq(conv=Conv(2), pool=GlobalPool()):
        with pytest.raises(ValueError, match="there is no BatchNorm"):
            ghost_batch_norm(other, 2)


def test_a_run_normalizes_the_parts_of_its_config_or_says_why_not():
    config = TrainConfig(network="test_ghost_batch_norm:small", batch_size=48, batch_norm_parts=3)
    assert prepare(config).recipe.net == ghost_batch_norm(small(10), 3) != small(10)
    whole = prepare(replace(config, batch_norm_parts="device")).recipe  # one device, one part
    assert whole.net == small(10)
    with pytest.raises(
        InputError, match=r"batch_size 64 must be a multiple of .* and of the 3 parts of batch_norm_parts"
    ):
        prepare(replace(config, batch_size=64))
    with pytest.raises(InputError, match="and of the 3 parts of batch_norm_parts, times the 4 parts of accumulate"):
        prepare(replace(config, batch_size=64, accumulate=4))
    with pytest.raises(InputError, match="batch_norm_parts: there is no BatchNorm"):
        prepare(replace(config, network="lenet5"))
    with pytest.raises(InputError, match="batch_norm_parts must be at least 1, or device, not 0"):
        replace(config, batch_norm_parts=0)
